package throttle

import (
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
