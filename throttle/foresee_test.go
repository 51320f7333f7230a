package throttle

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is foreseen comes true if the permit is asked for, and to look changes nothing.
func TestWhatIsForeseenComesTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
		draw := func() Permit {
			return Permit{
				Limit: any("limit", "keyed", "plain", "all", "budget", "open", "nowhere", NoLimit), Key: any("key", "", "k1", "k2", "k3"),
				Origin: any("origin", "", "o", "new"), Priority: Priority(rapid.IntRange(-1, 2).Draw(t, "priority")),
				Weight: int64(rapid.IntRange(0, 1).Draw(t, "weight")),
			}
		}
		l, err := New([]Limit{
			{ID: "all", Quota: 9, Per: sec, Reserve: []Reserve{{Priority: 2, Weight: 2}}},
			{ID: "keyed", Quota: 2, Per: 3 * sec, Keyed: true, Scope: "s", Linked: []Link{{ID: "all", Weight: 2}}},
			{ID: "plain", Quota: 3, Per: sec, Window: Leaky, Linked: []Link{{ID: "all"}}},
			{ID: "budget", Quota: 2, Window: Lifetime}, {ID: "open", Quota: 2, Window: Concurrency, Scope: "s"},
		}, Options{StartFull: rapid.Bool().Draw(t, "start full")})
		require.NoError(t, err)
		var now time.Duration
		var flying []*Permit
		next := func() {
			for p := l.Next(now); p != nil; p = l.Next(now) {
				if p.State() == Granted {
					flying = append(flying, p)
				}
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 600).Draw(t, "wait")) * ms
			next()
			if len(flying) > 0 && rapid.Bool().Draw(t, "settle") {
				l.Settle(now, flying[0], Outcome{})
				flying = flying[1:]
			}
			if rapid.IntRange(0, 9).Draw(t, "pause") == 0 {
				_ = l.Pause(now, Scope{Origin: any("paused at", "o", AnyOrigin), Name: any("paused", "s", "", WholeOrigin)}, now+2*sec)
			}
			next()
			p := draw()
			before := fmt.Sprintf("%+v", l.Snapshot(now))
			paths, version := l.idlers.n, l.pauses.version
			seen, foreseen := l.Foresee(now, p)
			require.Equal(t, before, fmt.Sprintf("%+v", l.Snapshot(now)), "it changes nothing")
			require.Equal(t, paths, l.idlers.n)
			require.Equal(t, version, l.pauses.version)
			require.Equal(t, Idle, p.State())

			asked := &p
			err := l.Acquire(now, asked)
			require.Equal(t, err != nil, foreseen != nil, "%v, %v", err, foreseen)
			if err != nil {
				var refused, expected *LimitError
				require.True(t, errors.As(err, &refused) && errors.As(foreseen, &expected))
				require.Equal(t, refused.Error(), expected.Error())
				continue
			}
			require.Equal(t, asked.State() == Granted, seen.AtOnce)
			if asked.State() == Granted {
				flying = append(flying, asked)
				continue
			}
			held := l.Holding(now, asked)
			if asked.Limit == NoLimit { // of several scopes that are paused as long, any one is named
				held.Scope, seen.Hold.Scope = Scope{}, Scope{}
			}
			require.Equal(t, held, seen.Hold)
			require.Equal(t, countAhead(l, now, asked), seen.Ahead)
			for i, c := range asked.path.charges {
				require.Equal(t, c.meter.rule.ID, seen.Charges[i].ID)
				require.Equal(t, asked.weight(i), seen.Charges[i].Weight)
				require.Equal(t, c.meter.window.room(now), seen.Charges[i].Room)
			}
			next()
		}
	})
}

// countAhead counts one by one.
func countAhead(l *Ledger, now time.Duration, p *Permit) (classes []Class) {
	for _, ln := range l.queue.lanes {
		shared := false
		for _, c := range ln.path.charges {
			for _, own := range p.path.charges {
				shared = shared || c.meter == own.meter
			}
		}
		for _, s := range l.pauses.troubled {
			both := 0
			for _, at := range []*path{ln.path, p.path} {
				at.obeyed(func(own *scope) {
					if own == s && s.paused(now) {
						both++
					}
				})
			}
			shared = shared || both == 2
		}
		for q := ln.head; shared && q != nil; q = q.next {
			if q.before(p) {
				classes = count(classes, ln.priority, 1)
			}
		}
	}
	return classes
}

func TestACrowdThatRanksBeforeIsNotCountedToItsEnd(t *testing.T) {
	l := exact(t, Options{Aging: sec}, Limit{ID: "open", Quota: 1, Window: Concurrency})
	granted(t, l, 0, "open")
	for i := range 3000 {
		require.NoError(t, l.Acquire(time.Duration(i)*10*ms, &Permit{Limit: "open", Priority: 0}))
	}
	f, err := l.Foresee(30*sec, Permit{Limit: "open", Priority: 10})
	require.NoError(t, err)
	require.True(t, f.More)
	require.Equal(t, []Class{{0, mostAhead}}, f.Ahead)
	f, err = l.Foresee(30*sec, Permit{Limit: "open"})
	require.NoError(t, err)
	require.False(t, f.More)
	require.Equal(t, []Class{{0, 3000}}, f.Ahead, "all of them, without a look at each")
}

func TestNobodyIsAheadOfWhatLeavesAtOnce(t *testing.T) {
	l := newLedger(t, Options{},
		Limit{ID: "a", Quota: 10, Per: sec}, Limit{ID: "b", Quota: 1, Per: sec},
		Limit{ID: "both", Linked: []Link{{ID: "a"}, {ID: "b"}}})
	for range 6 { // of which five wait for b
		_ = l.Acquire(0, &Permit{Limit: "both"})
	}
	f, err := l.Foresee(0, Permit{Limit: "a"})
	require.NoError(t, err)
	require.True(t, f.AtOnce)
	require.Empty(t, f.Ahead)
	f, err = l.Foresee(0, Permit{Limit: "both"})
	require.NoError(t, err)
	require.False(t, f.AtOnce)
	require.NotEmpty(t, f.Ahead)
}
