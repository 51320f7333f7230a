package schedule

import (
	"math"
	"math/big"
	"time"
)

// ramp is a stage whose rate changes. Seen from its slower end the rate is low + slope·t with
// a slope above zero, and the mass m is reached at
//
//	t = 2m / (low + sqrt(low² + 2·slope·m))
//
// in which nothing cancels: a ramp downwards is seen from its end, backwards. Computed in
// float64, t is within 8 half units in the last place. Where that leaves open which nanosecond
// it is in, whole numbers decide.
type ramp struct {
	low, slope float64 // a nanosecond, and a nanosecond squared
	length     int64
	total      float64 // mass of all of it
	down       bool
	rest       float64 // the mass from the beginning to the first instant
	left       mass    // the mass from the first instant to the end
	huge       bool    // left is more than can be held

	// The mass at t from the beginning is (square·t² + linear·t) / scale, and the instant k
	// is at the mass (k·unit + part) / unit.
	square, linear, scale, unit, part *big.Int
}

func newRamp(stage Stage, rest *big.Rat) *ramp {
	from, to, total := stage.From.exact(), stage.To.exact(), stage.mass()
	r := &ramp{length: int64(stage.For), down: to.Cmp(from) < 0}
	low, high := from, to
	if r.down {
		low, high = to, from
	}
	slope := new(big.Rat).Sub(high, low)
	slope.Quo(slope, big.NewRat(r.length, 1))
	r.low, _ = low.Float64()
	r.slope, _ = slope.Float64()
	r.total, _ = total.Float64()
	r.rest, _ = rest.Float64()
	if left := new(big.Rat).Sub(total, rest); left.Sign() > 0 {
		r.left, r.huge = newMass(left), !floor(left).IsUint64()
	}
	// mass(t) = from·t + (to-from)/(2·length)·t²
	half := new(big.Rat).Sub(to, from)
	half.Quo(half, big.NewRat(2, 1))
	half.Quo(half, big.NewRat(r.length, 1))
	r.scale = new(big.Int).Mul(half.Denom(), from.Denom())
	r.square = new(big.Int).Mul(half.Num(), from.Denom())
	r.linear = new(big.Int).Mul(from.Num(), half.Denom())
	r.unit, r.part = rest.Denom(), rest.Num()
	return r
}

// uncertainty is twice the relative error of fromSlow.
const uncertainty = 0x1p-49

// fromSlow is how long from its slower end the ramp takes for the mass m.
func (r *ramp) fromSlow(m float64) float64 {
	return 2 * m / (r.low + math.Sqrt(r.low*r.low+2*r.slope*m))
}

// due is the instant k, from the beginning: below the length, exact, and rounded down.
func (r *ramp) due(k uint64) time.Duration {
	var t float64
	if r.down {
		t = r.fromSlow(float64(r.left.whole-k) + r.left.fraction)
	} else {
		t = r.fromSlow(float64(k) + r.rest)
	}
	whole := math.Floor(t)
	doubt := t * uncertainty
	if sure := t-whole > doubt && whole+1-t > doubt && !r.huge; !sure {
		return r.exactly(k, t, doubt)
	}
	if r.down {
		return time.Duration(r.length - int64(whole) - 1)
	}
	return time.Duration(whole)
}

// exactly finds the last nanosecond at which the mass is not above that of the instant k,
// near where t and its doubt have it.
func (r *ramp) exactly(k uint64, t, doubt float64) time.Duration {
	if r.down {
		t = float64(r.length) - t
	}
	want := new(big.Int).SetUint64(k)
	want.Mul(want, r.unit)
	want.Add(want, r.part)
	want.Mul(want, r.scale)
	low, high := int64(0), r.length // at low the mass is not above it, at high it is
	if t+doubt+2 < float64(r.length) {
		if near := int64(t+doubt) + 2; r.above(near, want) {
			high = near
		}
	}
	if t-doubt-2 > 0 {
		if near := int64(t-doubt) - 2; near < high && !r.above(near, want) {
			low = near
		}
	}
	for high-low > 1 {
		if middle := low + (high-low)/2; r.above(middle, want) {
			high = middle
		} else {
			low = middle
		}
	}
	return time.Duration(low)
}

// above says whether the mass at t, in units of 1/(scale·unit), is above want.
func (r *ramp) above(t int64, want *big.Int) bool {
	at := big.NewInt(t)
	sum := new(big.Int).Mul(r.square, at)
	sum.Add(sum, r.linear)
	sum.Mul(sum, at)
	sum.Mul(sum, r.unit)
	return sum.Cmp(want) > 0
}

// reach is how long from the beginning the ramp takes for the mass m, as near as float64 has it.
func (r *ramp) reach(m float64) float64 {
	if r.down {
		return float64(r.length) - r.fromSlow(max(r.total-m, 0))
	}
	return r.fromSlow(m)
}
