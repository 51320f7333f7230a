package throttle

import (
	"math"
	"time"
)

// others is what somebody else is expected to spend from a fixed window. It is
// an estimate, learned from the numbers that answers carry, and promises
// nothing: the numbers are as old as the answers.
//
// Of what is left of a window after t, the others are taken to want λ·t, and
// z·√(λ·t) more hardly ever (z = 3, a Poisson stream).
type others struct {
	rate float64 // λ, weight per nanosecond; zero means that nobody is expected

	seen  int64 // what they have spent in the present window, by the numbers
	heard bool  // there was a number about it
}

const (
	othersZ      = 3
	othersWeight = 0.25 // of the newest window in the average
	// othersLag is how old a number may be: the others are expected for that
	// much longer, so that the end of a window is not ours alone.
	othersLag = 500 * time.Millisecond
)

// note takes a number into account.
func (o *others) note(spent int64) {
	o.seen, o.heard = max(o.seen, spent), true
}

// turn goes over to a new window.
func (o *others) turn(per time.Duration) {
	if o.heard && o.rate > 0 {
		o.rate += othersWeight * (float64(o.seen)/float64(per) - o.rate)
		o.rate = max(o.rate, 1/float64(per)) // somebody who paused is not gone
	}
	o.seen, o.heard = 0, false
}

// reserve is what to leave to them when so much of the window is left.
func (o *others) reserve(left time.Duration) int64 {
	if o.rate == 0 {
		return 0
	}
	expected := o.rate * float64(max(0, left)+othersLag)
	return int64(min(math.Ceil(expected+othersZ*math.Sqrt(expected)), maxWeight))
}

// releases returns how much of the window is left when their reserve has
// fallen to free; negative if it never does.
func (o *others) releases(free int64) time.Duration {
	if o.rate == 0 {
		return never
	}
	if free < 0 {
		return -1
	}
	root := (math.Sqrt(othersZ*othersZ+4*float64(free)) - othersZ) / 2
	return time.Duration(min(root*root/o.rate, float64(maxPer))) - othersLag
}
