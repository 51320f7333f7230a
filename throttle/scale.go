package throttle

import (
	"math/bits"
	"time"
)

const billion = 1_000_000_000

// mulDivUp returns a·b/c rounded up, or never if that is more. The product may
// be larger than an int64; a and b must not be negative, and c must be above
// zero.
func mulDivUp(a time.Duration, b, c int64) time.Duration {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, uint64(c-1), 0)
	return divide(hi+carry, lo, c)
}

// mulDivDown is mulDivUp rounded down.
func mulDivDown(a time.Duration, b, c int64) time.Duration {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return divide(hi, lo, c)
}

// plus adds a weight to a count, up to maxWeight: a count that is above every
// quota says no more.
func plus(count, w int64) int64 { return min(count+w, maxWeight) }

// divide saturates at never.
func divide(hi, lo uint64, c int64) time.Duration {
	if hi >= uint64(c) { // bits.Div64 panics where the quotient has more than 64 bits
		return never
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return time.Duration(min(q, uint64(never)))
}
