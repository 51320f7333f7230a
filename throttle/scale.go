package throttle

import "math/bits"

const billion = 1_000_000_000

// mulDivUp returns a times the ratio b/c, rounded up, or never if that is more: a time or a
// weight, as a is, and b and c are two of either. The product of a and b may be larger
// than an int64; neither must be negative, and c must be above zero.
func mulDivUp[T, R ~int64](a T, b, c R) T {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, uint64(c-1), 0)
	return T(divide(hi+carry, lo, uint64(c)))
}

// mulDivDown is mulDivUp rounded down.
func mulDivDown[T, R ~int64](a T, b, c R) T {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return T(divide(hi, lo, uint64(c)))
}

// plus adds a weight to a count, up to maxWeight: a count that is above every
// quota says no more.
func plus(count, w int64) int64 { return min(count+w, maxWeight) }

// divide saturates at never.
func divide(hi, lo, c uint64) uint64 {
	if hi >= c { // bits.Div64 panics where the quotient has more than 64 bits
		return uint64(never)
	}
	q, _ := bits.Div64(hi, lo, c)
	return min(q, uint64(never))
}
