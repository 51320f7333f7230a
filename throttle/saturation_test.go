package throttle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// saturation keeps the limits a and b full of requests of weight 1 each, of which
// ten always wait on either, and whose answers take up to twice a flight.
type saturation struct {
	l       *Ledger
	rng     *rand.Rand
	now     time.Duration
	flight  time.Duration
	waiting map[string]int
	landing []landing
}

type landing struct {
	at time.Duration
	p  *Permit
}

func (s *saturation) run(t testing.TB, d time.Duration) {
	for end := s.now + d; s.now < end; {
		s.step(t)
	}
}

// step grants and asks at one instant, and goes on to the next.
func (s *saturation) step(t testing.TB) {
	if s.waiting == nil {
		s.waiting = map[string]int{}
	}
	for progress := true; progress; {
		progress = false
		for p := s.l.Next(s.now); p != nil; p = s.l.Next(s.now) {
			s.waiting[p.Limit]--
			s.fly(p)
		}
		for _, limit := range []string{"a", "b"} {
			for s.waiting[limit] < 10 {
				progress = true
				p := &Permit{Limit: limit}
				require.NoError(t, s.l.Acquire(s.now, p))
				if p.State() == Granted {
					s.fly(p)
				} else {
					s.waiting[limit]++
				}
			}
		}
	}
	next, ok := s.l.Wake()
	if !ok {
		next = never
	}
	for _, f := range s.landing {
		next = min(next, f.at)
	}
	s.now = next
	rest := s.landing[:0]
	for _, f := range s.landing {
		if f.at <= s.now {
			s.l.Settle(s.now, f.p, Outcome{})
		} else {
			rest = append(rest, f)
		}
	}
	s.landing = rest
}

func (s *saturation) fly(p *Permit) {
	if p.Limit == "heavy" {
		return // the test waits for no more than that
	}
	s.landing = append(s.landing, landing{s.now + 1 + time.Duration(s.rng.Int64N(int64(2*s.flight))), p})
}
