package limits

import (
	"time"

	"go.uber.org/ratelimit"
	"golang.org/x/time/rate"
)

// epoch is the instant 0 for clients that want a time.Time.
var epoch = time.Unix(1_000_000_000, 0)

// xTimeRate reserves from one rate.Limiter per rule, as WaitN does, and sleeps
// until the last of them allows.
type xTimeRate struct {
	unaware
	w        *world
	limiters []*rate.Limiter
}

func newXTimeRate(w *world) *xTimeRate {
	x := &xTimeRate{w: w}
	for i, r := range w.rules {
		every := rate.Limit(float64(r.quota) / r.per.Seconds())
		x.limiters = append(x.limiters, rate.NewLimiter(every, w.heaviest(i)))
	}
	return x
}

// heaviest is the most that one request takes from a rule; a smaller burst
// would never let it go.
func (s *setup) heaviest(i int) int {
	heaviest := int64(1)
	for _, f := range s.flows {
		for _, c := range f.charges {
			if c.rule == i && !f.foreign {
				heaviest = max(heaviest, c.weight)
			}
		}
	}
	return int(heaviest)
}

func (x *xTimeRate) submit(r *request) {
	now := epoch.Add(x.w.now)
	var wait time.Duration
	for _, c := range r.charges {
		wait = max(wait, x.limiters[c.rule].ReserveN(now, int(c.weight)).DelayFrom(now))
	}
	x.w.after(wait, func() { x.w.send(r) })
}

// uber takes from one ratelimit.Limiter per rule, each of which would sleep
// until its turn, and goes when the last of them wakes.
type uber struct {
	unaware
	w        *world
	limiters []ratelimit.Limiter
	wait     time.Duration // what the limiters slept in this call of submit
}

func newUber(w *world) *uber {
	u := &uber{w: w}
	for _, r := range w.rules {
		u.limiters = append(u.limiters, ratelimit.New(int(r.quota), ratelimit.Per(r.per), ratelimit.WithClock(u)))
	}
	return u
}

// Now and Sleep are the clock of the limiters. All waiters sleep at once, each
// on its own, so nothing moves here.
func (u *uber) Now() time.Time { return epoch.Add(u.w.now) }

// Sleep notes how long the caller would have to.
func (u *uber) Sleep(d time.Duration) { u.wait = max(u.wait, d) }

func (u *uber) submit(r *request) {
	u.wait = 0
	for _, c := range r.charges {
		for range c.weight {
			u.limiters[c.rule].Take()
		}
	}
	u.w.after(u.wait, func() { u.w.send(r) })
}
