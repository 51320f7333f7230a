package throttle

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// tableOf returns a ledger with limits of such ids.
func tableOf(t *testing.T, ids ...string) *Ledger {
	var limits []Limit
	for _, id := range ids {
		limits = append(limits, Limit{ID: id, Quota: 1, Per: time.Second})
	}
	l, err := New(limits, Options{})
	require.NoError(t, err)
	return l
}

func TestAnErrorForAnUnknownLimitNamesThoseThatAreClosest(t *testing.T) {
	many := []string{"zeta", "orders", "order", "weight", "Orders10s", "raw"}
	for _, c := range []struct {
		name, id string
		ids      []string
		text     string
	}{
		{"a table without limits", "a", nil, `limit "a": no such limit: Limits has none of that id`},
		{"few", "a", []string{"c", "b"}, `limit "a": no such limit: Limits has none of that id (there is "b", "c")`},
		{"many", "ordesr", many, `limit "ordesr": no such limit: Limits has none of that id (the closest are "order", "orders", "Orders10s")`},
		{"another case", "WEIGHT", many, `limit "WEIGHT": no such limit: Limits has none of that id (the closest are "weight", "zeta", "order")`},
		{"an empty one", "", many, `limit "": no such limit: Limits has none of that id (the closest are "raw", "zeta", "order")`},
	} {
		err := tableOf(t, c.ids...).Acquire(0, &Permit{Limit: c.id})
		require.ErrorIs(t, err, ErrUnknownLimit, c.name)
		require.EqualError(t, err, c.text, c.name)
	}
}

func TestWhoeverNamesAnUnknownLimitIsToldWhichThereAreWhereverThatIs(t *testing.T) {
	l := tableOf(t, "a")
	_, _, announced := l.Announce(0, "b", Parts{}, 1)
	_, foreseen := l.Foresee(0, Permit{Limit: "b"})
	for _, err := range []error{
		l.TryAcquire(0, &Permit{Limit: "b"}), foreseen, l.Sync(0, "b", Parts{}, 1, 0), l.Adjust(0, "b", Parts{}, 1), l.SetShare(0, "b", 1, 0),
		announced, l.Adopt(0, &Permit{Limit: "b"}),
	} {
		require.ErrorIs(t, err, ErrUnknownLimit)
		require.ErrorContains(t, err, `(there is "a")`)
	}
	waits := &Permit{Limit: "a"}
	require.NoError(t, l.Acquire(0, &Permit{Limit: "a"}))
	require.NoError(t, l.Acquire(0, waits))
	require.NoError(t, l.Replace(0, []Limit{{ID: "c", Quota: 1, Per: time.Second}}))
	require.Same(t, waits, l.Next(0))
	require.ErrorContains(t, waits.Err(), `(there is "c")`)
}

func TestARouteIsNotSaidToBeUnknownToItsTable(t *testing.T) {
	l, err := New([]Limit{{ID: "a", Quota: 1, Per: time.Second}, {ID: "way", Linked: []Link{{ID: "a"}}}}, Options{})
	require.NoError(t, err)
	err = l.SetShare(0, "way", 1, 0)
	require.ErrorIs(t, err, ErrUnknownLimit)
	require.ErrorContains(t, err, "(it is a route, without a quota of its own)")
}

func TestTheErrorForAnUnknownLimitCostsNoMoreInALargeTable(t *testing.T) {
	var many []string
	for n := range 20_000 {
		many = append(many, fmt.Sprintf("route %05d", n), strings.Repeat("long", 1000)+fmt.Sprint(n))
	}
	err := tableOf(t, many...).Acquire(0, &Permit{Limit: "route 12345x"})
	require.ErrorContains(t, err, `(the closest are "route 12345", `)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { _ = err.Error() })
	}
	all.Wait()
	allocs := testing.AllocsPerRun(10, func() { _ = err.Error() })
	require.Less(t, allocs, 1500.0)
}

func TestThatALimitIsUnknownCostsWhatAnyRefusalDoes(t *testing.T) {
	l, p := tableOf(t, "a", "b", "c", "d", "e", "f"), &Permit{Limit: "x"}
	require.LessOrEqual(t, testing.AllocsPerRun(10, func() {
		if !errors.Is(l.Acquire(0, p), ErrUnknownLimit) {
			panic("it is known")
		}
	}), 1.0)
}

func TestChangesAreAsManyAsTheFewestThereAre(t *testing.T) {
	var fewest func(a, b string) int
	fewest = func(a, b string) int {
		switch {
		case a == "" || b == "":
			return len(a) + len(b)
		case a[0] == b[0]:
			return fewest(a[1:], b[1:])
		}
		return 1 + min(fewest(a[1:], b), fewest(a, b[1:]), fewest(a[1:], b[1:]))
	}
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.StringMatching("[abc]{0,6}")
		a, b := of.Draw(t, "a"), of.Draw(t, "b")
		require.Equal(t, fewest(a, b), changes(a, b))
	})
}
