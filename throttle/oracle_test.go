package throttle

import (
	"math/big"
	"time"
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
	clock *clock
	log   []*usage
	held  time.Duration // hold, worked out once
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
	num := new(big.Int).Mul(big.NewInt(int64(o.limit.Per)), big.NewInt(billion))
	den := big.NewInt(billion - o.rate)
	q, r := num.QuoRem(num, den, new(big.Int))
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return time.Duration(q.Int64())
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
	return floorDiv(server-o.limit.Offset, o.limit.Per)
}

// leakyRoom takes the counter through all answers in their order, in rational
// numbers.
func (o *oracle) leakyRoom(now time.Duration) int64 {
	level, last := new(big.Rat), time.Duration(0)
	drainTo := func(t time.Duration) {
		per := big.NewRat(int64(o.hold()), 1)
		fall := new(big.Rat).Mul(big.NewRat(int64(t-last), 1), big.NewRat(o.limit.Quota, 1))
		level.Sub(level, fall.Quo(fall, per))
		if level.Sign() < 0 {
			level.SetInt64(0)
		}
		last = t
	}
	for _, u := range o.log { // kept in the order of the answers by the world
		if u.answered != never {
			drainTo(u.answered)
			level.Add(level, big.NewRat(u.w, 1))
		}
	}
	drainTo(now)
	capacity := orDefault(o.limit.Burst, o.limit.Quota)
	if o.limit.Tick > 0 {
		capacity -= int64(mulDivUp(o.limit.Tick, o.limit.Quota, int64(o.limit.Per)))
	}
	free := new(big.Rat).Sub(big.NewRat(capacity, 1), level)
	free.Sub(free, big.NewRat(1, 1000)) // the ledger rounds to nanoseconds
	floor := new(big.Int).Div(free.Num(), free.Denom()) // Euclidean: rounds down
	return floor.Int64() - o.flying()
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
