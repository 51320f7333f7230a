package throttle

import (
	"cmp"
	"time"

	"github.com/sluice-engine/sluice/internal/quotient"
)

// usage is one request on one limit, as the slow and obvious oracle remembers
// it.
type usage struct {
	w        int64
	sent     time.Duration
	answered time.Duration // when it is certain to have arrived; never if it is in flight
}

// oracle remembers every request of one limit and works everything out anew.
type oracle struct {
	limit Limit
	rate  int64 // parts per billion
	clock *serverClock
	log   []*usage
	held  time.Duration // hold, worked out once
	// lenient has rounding of a Leaky one favour the ledger, and its counter refuse
	// what would take it above its capacity, as a server does.
	lenient bool
}

// hold is Per on the slowest clock the server may have: Per / (1 - rate),
// rounded up.
func (o *oracle) hold() time.Duration {
	if o.held == 0 {
		o.held = o.slowest()
	}
	return o.held
}

func (o *oracle) slowest() time.Duration {
	per, rate := int64(o.limit.Per), billion-o.rate
	whole, rest := per/rate, per%rate // Per * billion would not fit an int64 for long ones
	return time.Duration(whole*billion + (rest*billion+rate-1)/rate)
}

func (o *oracle) flying() (w int64) {
	for _, u := range o.log {
		if u.answered == never {
			w += u.w
		}
	}
	return w
}

// room is what the limit has free at now. For FixedFromFirst it is the least
// there must be.
func (o *oracle) room(now time.Duration) int64 {
	switch o.limit.Window {
	case Fixed:
		return max(o.slidingRoom(now), o.alignedRoom(now))
	case Leaky:
		return o.leakyRoom(now)
	case Concurrency:
		return o.limit.Quota - o.flying()
	case Lifetime:
		free := o.limit.Quota
		for _, u := range o.log {
			free -= u.w
		}
		return free
	}
	return o.slidingRoom(now)
}

func (o *oracle) slidingRoom(now time.Duration) int64 {
	free := o.limit.Quota
	for _, u := range o.log {
		if u.answered == never || now < u.answered+o.hold()-o.limit.RTTFloor {
			free -= u.w
		}
	}
	return free
}

// alignedRoom supposes that the clock was set once, before the first request.
func (o *oracle) alignedRoom(now time.Duration) int64 {
	if !o.clock.known {
		return -never64
	}
	charges := map[int64]int64{}
	var open int64
	first := o.window(o.clock.earliest(now))
	for _, u := range o.log {
		if u.answered == never {
			open += u.w
			continue
		}
		for k := first; k <= o.window(o.clock.latest(u.answered)); k++ {
			charges[k] += u.w
		}
	}
	var worst int64
	for _, c := range charges {
		worst = max(worst, c)
	}
	return o.limit.Quota - open - worst
}

const never64 = int64(never)

func (o *oracle) window(server time.Duration) int64 {
	return quotient.Floor(server-o.limit.Offset, o.limit.Per)
}

// leakyRoom takes the counter through all answers in their order, in weight
// times hold, so that all is whole. The world keeps the log in that order.
func (o *oracle) leakyRoom(now time.Duration) int64 {
	unit := int64(o.hold())
	capacity := cmp.Or(o.limit.Burst, o.limit.Quota)
	var level int64
	var last time.Duration
	drainTo := func(t time.Duration) {
		level = max(0, level-int64(t-last)*o.limit.Quota)
		last = t
	}
	for _, u := range o.log {
		if u.answered != never {
			drainTo(u.answered)
			level += u.w * unit
			if o.lenient {
				level = min(level, capacity*unit)
			}
		}
	}
	drainTo(now)
	if o.limit.Tick > 0 {
		capacity -= mulDivUp(o.limit.Quota, o.limit.Tick, o.limit.Per)
	}
	slack := int64(1000) // the ledger rounds to nanoseconds
	if o.lenient {
		slack = -slack
	}
	return quotient.Floor(time.Duration(capacity*unit-level-slack*o.limit.Quota), time.Duration(unit)) - o.flying()
}

// worstCase returns the largest weight an adversary who chooses every arrival
// between a request's grant and its answer could make a sliding window see.
func (o *oracle) worstCase() (w int64) {
	for _, edge := range o.log {
		if edge.answered == never {
			continue
		}
		var sum int64
		for _, u := range o.log {
			if u.answered >= edge.answered && u.sent < edge.answered+o.hold()-o.limit.RTTFloor {
				sum += u.w
			}
		}
		w = max(w, sum)
	}
	return w
}
