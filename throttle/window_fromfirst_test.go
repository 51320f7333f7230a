package throttle

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// firstServer counts in windows that open with the first request to arrive, one at a time,
// of a length that changes once.
type firstServer struct {
	per     time.Duration
	opened  time.Duration
	over    time.Duration
	counted int64
}

func (s *firstServer) arrives(at time.Duration) {
	if at >= s.over {
		s.opened, s.over, s.counted = at, at+s.per, 0
	}
	s.counted++
}

// Of what leaves on after the length of the windows has changed, or after another kind of
// window, no window that opens later is asked for more than it admits; and once all is quiet
// for long enough a key is as good as new, so that its spells count again.
func TestWindowsThatWereInDoubtAreTrustedAgainOnceTheyAreOver(t *testing.T) {
	again := 0
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 9))
		const quota = 4
		per := []time.Duration{sec, 2 * sec, 500 * ms}[rng.IntN(3)]
		before := Limit{ID: "a", Quota: quota, Per: per, Window: []Window{FixedFromFirst, Sliding, Leaky}[rng.IntN(3)]}
		after := Limit{ID: "a", Quota: quota, Per: sec, Window: FixedFromFirst}
		l, err := New([]Limit{before}, Options{ClockRate: 1e-9})
		require.NoError(t, err)
		server := &firstServer{per: per}
		type flight struct {
			p               *Permit
			arrives, answer time.Duration
			arrived         bool
		}
		var flying []*flight
		replaced := false
		now, changed := time.Duration(0), time.Duration(300+rng.IntN(3000))*ms
		for range 400 {
			now += time.Duration(1+rng.IntN(60)) * ms
			if rng.IntN(40) == 0 {
				now += time.Duration(rng.IntN(3)) * sec
			}
			for {
				var next *flight
				for _, f := range flying {
					if !f.arrived && f.arrives <= now && (next == nil || f.arrives < next.arrives) {
						next = f
					}
				}
				if next == nil {
					break
				}
				next.arrived = true
				server.arrives(next.arrives)
				if server.opened > changed || before.Window == Sliding && per == sec || !replaced && before.Window == FixedFromFirst {
					require.LessOrEqual(t, server.counted, int64(quota), "at %v, changed at %v: %v of %v; window %v to %v", now, changed, before.Window, per, server.opened, server.over)
				}
			}
			left := flying[:0]
			for _, f := range flying {
				if f.answer <= now {
					l.Settle(now, f.p, Outcome{})
				} else {
					left = append(left, f)
				}
			}
			flying = left
			if now >= changed && !replaced {
				require.NoError(t, l.Replace(now, []Limit{after}))
				changed, replaced, server.per = now, true, sec
			}
			if w, ok := l.meterFor(now, l.table.rules["a"], noParts).window.(*fromFirst); ok && replaced && w.alone() {
				again++
			}
			for range rng.IntN(3) {
				p := &Permit{Limit: "a"}
				require.NoError(t, l.Acquire(now, p))
				if p.State() != Granted {
					l.Cancel(now, p)
					continue
				}
				arrives := now + time.Duration(rng.IntN(200))*ms
				flying = append(flying, &flight{p: p, arrives: arrives, answer: arrives + time.Duration(1+rng.IntN(200))*ms})
			}
		}
	})
	require.Greater(t, again, 300, "or else nothing was trusted again")
}

// One ledger learns at the answer what each request costs, another is told before, and both are
// asked for the same: but for what is in flight, they have the same room.
func TestACostAboveWhatWasReservedCountsAsIfItHadBeenReserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 11))
		told := &terms{quota: 1000, per: sec, hold: sec + time.Duration(rng.IntN(2))*ms, short: sec, clock: &serverClock{}}
		learns, knows := newWindow(FixedFromFirst, told), newWindow(FixedFromFirst, told)
		m := &meter{window: learns}
		type flight struct {
			reserved, more int64
			sent           time.Duration
		}
		var flying []flight
		hidden := int64(0)
		for now := time.Duration(0); now < 20*sec; now += time.Duration(rng.IntN(400)) * ms {
			if rng.IntN(2) == 0 {
				f := flight{1 + rng.Int64N(9), rng.Int64N(9), now}
				learns.grant(now, f.reserved)
				knows.grant(now, f.reserved+f.more)
				flying, hidden = append(flying, f), hidden+f.more
			} else if len(flying) > 0 {
				i := rng.IntN(len(flying))
				f := flying[i]
				m.exceed(now, f.more)
				learns.settle(f.reserved, answer{at: now, real: true, sent: f.sent})
				knows.settle(f.reserved+f.more, answer{at: now, real: true, sent: f.sent})
				flying, hidden = append(flying[:i], flying[i+1:]...), hidden-f.more
			}
			require.Equal(t, knows.room(now), learns.room(now)-hidden, "at %v", now)
			require.Equal(t, knows.when(now, 1, 0), learns.when(now, 1, 0), "at %v", now)
		}
		require.True(t, learns.(*fromFirst).alone())
	})
}

func TestACostAboveWhatWasReservedIsNotTakenForOthersSpending(t *testing.T) {
	limit := Limit{ID: "a", Quota: 4, Per: sec, Window: FixedFromFirst, Keyed: true}
	l := exact(t, Options{}, limit)
	key := Permit{Limit: "a", Key: "k"}
	grantedFor := func(now time.Duration, p Permit) *Permit {
		require.NoError(t, l.Acquire(now, &p))
		require.Equal(t, Granted, p.State(), "at %v", now)
		return &p
	}
	l.Settle(20*ms, grantedFor(0, key), Outcome{Costs: []Cost{{ID: "a", Weight: 2}}})
	l.Settle(900*ms, grantedFor(800*ms, key), Outcome{Costs: []Cost{{ID: "a", Weight: 2}}})
	whole := key
	whole.Weight = 4
	grantedFor(1020*ms, whole) // all comes back together, and not as a log would have it

	free := key
	free.Weights = []Cost{{ID: "a", Weight: 0}}
	for _, cost := range []int64{0, 5} {
		l = exact(t, Options{}, limit)
		l.Settle(20*ms, grantedFor(0, free), Outcome{Costs: []Cost{{ID: "a", Weight: cost}}})
		w := l.meterAt(l.table.rules["a"], Parts{Key: "k"}).window.(*fromFirst)
		require.Equal(t, cost == 0, w.alone(), "it may have opened a window that no spell knows of")
		for now, waits := l.ForgetAt(); waits && now < time.Minute; now, waits = l.ForgetAt() {
			l.Forget(now)
		}
		require.Zero(t, l.table.rules["a"].meters.n, "a key is forgotten once its window is over")
	}
}

func TestWhatAMeterIsSupposedToHaveSpentIsTrustedAgainOnceItsWindowIsOver(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 2, Per: sec, Window: FixedFromFirst})
	w := l.meterFor(0, l.table.rules["a"], noParts).window.(*fromFirst)
	l.meterFor(0, l.table.rules["a"], noParts).suppose(100*ms, 2)
	require.Zero(t, w.room(1099*ms))
	require.False(t, w.alone())
	require.EqualValues(t, 2, w.room(1100*ms))
	require.True(t, w.alone())
	require.Equal(t, time.Duration(math.MaxInt64), w.closes)
}
