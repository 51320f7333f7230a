package throttle

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// manyLimits are limits that nobody names, and the two of a request: "route", and
// "all" that it is linked to.
func manyLimits(n int) []Limit {
	limits := make([]Limit, n, n+2)
	for i := range limits {
		limits[i] = Limit{ID: fmt.Sprint("other", i), Quota: 10, Per: sec, Scope: fmt.Sprint("scope", i%7)}
		if i > 0 {
			limits[i].Linked = []Link{{ID: "other0"}}
		}
	}
	limits[0].Scope, limits[0].Linked = "", nil
	return append(limits,
		Limit{ID: "route", Quota: 5, Per: sec, Window: Fixed, Keyed: true, Linked: []Link{{ID: "all"}}},
		Limit{ID: "all", Quota: 8, Per: sec, Scope: "account"},
	)
}

// Whoever looks at another limit of the table falls over it.
func TestARequestLooksAtNoLimitButThoseItIsCharged(t *testing.T) {
	l := newLedger(t, Options{}, manyLimits(1000)...)
	for id := range l.table.rules {
		if strings.HasPrefix(id, "other") {
			l.table.rules[id] = nil
		}
	}
	for id := range l.table.routes {
		if strings.HasPrefix(id, "other") {
			l.table.routes[id] = nil
		}
	}
	now := time.Duration(0)
	for round := range 300 {
		now += 50 * ms
		l.SetClock(now, sec, sec+ms)
		p := &Permit{Limit: "route", Key: fmt.Sprint(round % 3), Origin: "here", Deadline: now + sec}
		if err := l.Acquire(now, p); err != nil {
			require.ErrorIs(t, err, ErrDeadline)
			continue
		}
		for l.Next(now) != nil {
		}
		l.Wake()
		_ = l.Holding(now, p)
		if p.State() == Queued {
			require.Error(t, l.Expire(now, p))
			continue
		}
		require.NotEmpty(t, l.scopes("route"))
		quota, burst, known := l.declared("route")
		require.True(t, known)
		require.EqualValues(t, []int64{5, 5}, []int64{quota, burst})
		fate := Answered
		if round%10 == 0 {
			fate = Lost
		}
		l.Settle(now, p, Outcome{Fate: fate, Refused: round%50 == 0})
		require.NoError(t, l.Sync(now, "route", Parts{Key: p.Key}, 1, 0))
		require.NoError(t, l.Adjust(now, "all", Parts{}, 1))
		if round%50 == 0 {
			_, err := l.Refused(now, now, Scope{Origin: "here", Name: "account"}, ms)
			require.NoError(t, err)
		}
		_, _ = l.Paused(now), l.PauseVersion()
	}
}

func TestAKeyIsLookedUpAmongManyAndNotSearched(t *testing.T) {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
	}
	l := newLedger(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec, Keyed: true, Keys: keys})
	clear(l.table.rules["a"].Keys) // whoever goes through them finds none
	require.NoError(t, l.Acquire(0, &Permit{Limit: "a", Key: "key999"}))
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "a", Key: "key1000"}), ErrUnknownKey)
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "a", Key: ""}), ErrNoKey)
}

// What a table costs is objects, of which each limit needs a few.
func TestATableCostsAFewAllocationsALimit(t *testing.T) {
	cost := func(n int) float64 {
		limits := manyLimits(n)
		return testing.AllocsPerRun(3, func() {
			_, err := New(limits, Options{})
			require.NoError(t, err)
		}) / float64(n)
	}
	require.Less(t, cost(10_000), 4.0)
	require.InDelta(t, cost(1000), cost(10_000), 0.5, "the same for each, however many there are")
}

// Links to very many limits are summed up one by one, and not each against all.
func TestARouteChargesTheSumOfAllWaysToALimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "limits")
		limits := make([]Limit, n)
		for i := range limits {
			l := &limits[i]
			l.ID = fmt.Sprint(i)
			for to := range i { // so that there is no cycle
				if rapid.IntRange(0, 2).Draw(t, "linked") == 0 {
					weight := int64(0)
					if limits[to].Quota > 0 {
						weight = rapid.Int64Range(0, 3).Draw(t, "weight")
					}
					l.Linked = append(l.Linked, Link{ID: limits[to].ID, Weight: weight})
				}
			}
			if len(l.Linked) == 0 || rapid.Bool().Draw(t, "quota") {
				l.Quota, l.Per, l.Weight = 1<<40, sec, rapid.Int64Range(0, 3).Draw(t, "own")
			}
		}
		order := rapid.Permutation(limits).Draw(t, "order")
		l, err := New(order, Options{})
		require.NoError(t, err)
		for i := range limits {
			want := map[string]int64{}
			if limits[i].Quota > 0 {
				want[limits[i].ID] = max(1, limits[i].Weight)
			}
			chargeLinks(limits, i, want)
			have := map[string]int64{}
			route := l.table.routes[limits[i].ID]
			for _, c := range route.tolls {
				require.NotContains(t, have, c.rule.ID, "each limit is charged once")
				have[c.rule.ID] = c.weight
			}
			require.Equal(t, want, have, "of %v", limits[i].ID)
			if route.own >= 0 {
				require.Equal(t, limits[i].ID, route.tolls[route.own].rule.ID)
			}
		}
	})
}

// chargeLinks goes every way down from a limit, each by itself.
func chargeLinks(limits []Limit, from int, charged map[string]int64) {
	for _, link := range limits[from].Linked {
		var to int
		_, _ = fmt.Sscan(link.ID, &to)
		if limits[to].Quota > 0 {
			weight := link.Weight
			if weight == 0 {
				weight = max(1, limits[to].Weight)
			}
			charged[link.ID] = min(charged[link.ID]+weight, maxWeight)
		}
		chargeLinks(limits, to, charged)
	}
}

// chained are limits with a quota each, of which each is linked to the next.
func chained(n int) []Limit {
	limits := make([]Limit, n)
	for i := range limits {
		limits[i] = Limit{ID: fmt.Sprint(i), Quota: math.MaxInt32, Per: sec}
		if i > 0 {
			limits[i-1].Linked = []Link{{ID: limits[i].ID}}
		}
	}
	return limits
}

// linkedToAll are n limits and a route that is linked to each of them.
func linkedToAll(n int) []Limit {
	limits := make([]Limit, n, n+1)
	route := Limit{ID: "route", Linked: make([]Link, n)}
	for i := range limits {
		limits[i] = Limit{ID: fmt.Sprint(i), Quota: math.MaxInt32, Per: sec}
		route.Linked[i] = Link{ID: limits[i].ID}
	}
	return append(limits, route)
}

func TestARequestIsChargedAsManyLimitsAsItMayBe(t *testing.T) {
	for route, limits := range map[string][]Limit{"0": chained(MostCharged), "route": linkedToAll(MostCharged)} {
		l, err := New(limits, Options{})
		require.NoError(t, err)
		require.Len(t, l.table.routes[route].tolls, MostCharged)
	}
}

// Each against all would be a thousand million comparisons, and a list for each of all behind it
// as many entries.
func TestARouteOverTooManyLimitsIsAMistakeThatIsFoundWithoutTheirSums(t *testing.T) {
	const n = 50_000
	for want, limits := range map[string][]Limit{
		`limit "49743": charges 257 limits, with all that it is linked to, and 256 is the most`:   chained(n),
		`limit "route": charges 50000 limits, with all that it is linked to, and 256 is the most`: linkedToAll(n),
	} {
		_, err := New(limits, Options{})
		require.EqualError(t, err, want, "and nothing of those that only lead there")
	}
}

func TestALimitThatIsChargedOnManyWaysIsOne(t *testing.T) {
	limits := linkedToAll(MostCharged)
	for i := range MostCharged {
		if i > 0 {
			limits[i].Linked = []Link{{ID: "0"}}
		}
	}
	l, err := New(append(limits, Limit{ID: "front", Linked: []Link{{ID: "route"}, {ID: "1"}}}), Options{})
	require.NoError(t, err)
	require.Len(t, l.table.routes["front"].tolls, MostCharged)
}

func TestFallbacksInARowAreAsManyAsLimitsThatMayBeCharged(t *testing.T) {
	inARow := func(fallbacks int) error {
		limits := make([]Limit, fallbacks+1)
		for i := range limits {
			limits[i] = Limit{ID: fmt.Sprint(i), Quota: 1, Window: Lifetime}
			if i > 0 {
				limits[i-1].Fallback = limits[i].ID
			}
		}
		_, err := New(limits, Options{})
		return err
	}
	require.NoError(t, inARow(MostCharged))
	require.EqualError(t, inARow(8000), `limit "7743": has 257 fallbacks, one behind the other, and 256 is the most`)
}

// It is the first in the table of those that are charged as much, though limits without
// links are laid before all others.
func TestAShareThatIsTooSmallNamesTheFirstRouteThatIsChargedTheMost(t *testing.T) {
	pool := Limit{ID: "pool", Quota: 10, Per: sec, Weight: 4}
	first := Limit{ID: "first", Linked: []Link{{ID: "pool", Weight: 5}}}
	second := Limit{ID: "second", Linked: []Link{{ID: "pool", Weight: 5}}}
	for _, limits := range [][]Limit{{first, pool, second}, {pool, first, second}, {first, second, pool}} {
		err := newLedger(t, Options{}, limits...).SetShare(0, "pool", 0.4, NoMargin)
		require.ErrorContains(t, err, `"first" charges 5`)
	}
}
