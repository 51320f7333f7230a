package auth

import (
	"math"
	"time"
)

// Clock is the server's time as it is known here. It is safe for concurrent use
// and does not block.
type Clock interface {
	// Now is the best estimate of the server's clock.
	Now() time.Time
	// Bound is how far Now can be from the server's clock, in either direction.
	Bound() time.Duration
}

// NoBound is the Bound of a Clock that was not compared with the server's yet: a century, which
// claims nothing.
const NoBound = 100 * 365 * 24 * time.Hour

// Ranger is a Clock that knows the server's time at other moments than now: the
// first and the last instant its clock can show at a local instant. Deadlines
// need it. A Clock that is no Ranger is taken to run at the local rate.
type Ranger interface {
	Clock
	Range(local time.Time) (lo, hi time.Time)
}

// LocalClock is a Clock for a server whose time is not measured: the machine's
// own wall clock, taken to be right within the given duration. LocalClock(0)
// takes it at its word.
type LocalClock time.Duration

// Now returns the wall clock.
func (LocalClock) Now() time.Time { return time.Now().Round(0) }

// Bound returns what the clock was made with.
func (c LocalClock) Bound() time.Duration { return time.Duration(c) }

// FixedClock is a Clock that stands still, for tests and for replaying requests.
type FixedClock time.Time

// Now returns the same instant always.
func (c FixedClock) Now() time.Time { return time.Time(c) }

// Bound returns zero.
func (FixedClock) Bound() time.Duration { return 0 }

// reading is one look at a clock, in nanoseconds of server Unix time.
type reading struct {
	est, lo, hi int64
	deadline    int64 // the earliest the server's clock can show at the deadline; MaxInt64 for none
}

func read(clock Clock, deadline time.Time) reading {
	est, bound := clock.Now().UnixNano(), int64(min(clock.Bound(), longest))
	r := reading{est: est, lo: est - bound, hi: est + bound, deadline: math.MaxInt64}
	if deadline.IsZero() {
		return r
	}
	left := time.Until(deadline)
	if left > longest { // it would be no time on the server's clock
		left, deadline = longest, time.Now().Add(longest)
	}
	if ranger, ok := clock.(Ranger); ok {
		lo, _ := ranger.Range(deadline)
		r.deadline = lo.UnixNano()
		return r
	}
	r.deadline = r.lo + int64(left) // both clocks are taken to run alike until then
	return r
}
