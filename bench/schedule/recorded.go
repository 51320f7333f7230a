package schedule

import (
	"math"
	"time"
)

// recorded are instants that were recorded, faster or slower than they were.
type recorded struct {
	instants []time.Duration
	speed    float64
}

// At is part of Schedule.
func (r *recorded) At(n uint64) (time.Duration, bool) {
	if n >= uint64(len(r.instants)) {
		return 0, false
	}
	at := r.instants[n]
	if r.speed == 1 {
		return at, true
	}
	scaled := float64(at) / r.speed
	if scaled >= math.MaxInt64 {
		return math.MaxInt64, true
	}
	return time.Duration(scaled), true
}
