package schedule

import (
	"math"
	"math/big"
	"math/bits"
	"sort"
	"time"
)

// even spaces instants by stages. Let mass(t) be the integral of the rate from 0 to t.
//
// Invariant: At(n) is the infimum of all t with mass(t) > n, rounded down to a nanosecond, and
// there is an instant n if mass(end) > n. So a stage that begins and ends at masses a and b has
// exactly the instants n with ceil(a) <= n < ceil(b).
type even struct {
	pieces []piece // those with a rate; their first never goes down
	count  uint64  // zero if there is no end
	end    mass    // of all of them; zero if there is no end
	at     int     // the piece that was asked for last
}

// piece is a stage with a rate. The instant n of it, which is k = n - first, is where its own
// mass, from its beginning, is k + rest.
type piece struct {
	first uint64 // the least n that is in it, or in a later one if it has none
	begin time.Duration
	mass  mass          // before it
	last  time.Duration // the last nanosecond of it, from the beginning of the run
	// Constant: k is due at floor((k·per + early) / requests), where early is the
	// floor of rest·per. Rounding that one down changes nothing, since all else
	// in the sum is whole.
	requests, per, early uint64
	ramp                 *ramp // nil for a constant one
}

// mass is a sum of requests, its fraction apart so that it is as fine after 10^18 as at first.
type mass struct {
	whole    uint64
	fraction float64 // in [0, 1)
}

var mostInstants = new(big.Int).SetUint64(math.MaxUint64)

// compile makes the schedule of stages that have been checked.
func compile(stages []Stage) *even {
	e := &even{}
	before := new(big.Rat)
	var begin time.Duration
	for _, stage := range stages {
		first := ceil(before)
		if first.Cmp(mostInstants) >= 0 {
			break // nobody can ask for what comes after
		}
		if stage.From.Requests > 0 || stage.To.Requests > 0 {
			e.pieces = append(e.pieces, newPiece(stage, begin, before, first))
		}
		if stage.For == 0 {
			return e
		}
		before.Add(before, stage.mass())
		begin += stage.For
	}
	e.count, e.end = clampUint64(ceil(before)), newMass(before)
	return e
}

func newPiece(stage Stage, begin time.Duration, before *big.Rat, first *big.Int) piece {
	p := piece{first: first.Uint64(), begin: begin, mass: newMass(before), last: math.MaxInt64}
	if stage.For > 0 {
		p.last = begin + stage.For - 1
	}
	rest := new(big.Rat).SetInt(first)
	rest.Sub(rest, before)
	if stage.ramp() {
		p.ramp = newRamp(stage, rest)
		return p
	}
	early := new(big.Rat).SetInt64(int64(stage.From.Per))
	early.Mul(early, rest)
	p.requests, p.per, p.early = stage.From.Requests, uint64(stage.From.Per), floor(early).Uint64()
	return p
}

func newMass(r *big.Rat) mass {
	whole := floor(r)
	fraction, _ := new(big.Rat).Sub(r, new(big.Rat).SetInt(whole)).Float64()
	return mass{clampUint64(whole), fraction}
}

// mass of a stage is its length times the mean of its rates.
func (s Stage) mass() *big.Rat {
	sum := new(big.Rat).Add(s.From.exact(), s.To.exact())
	return sum.Mul(sum, big.NewRat(int64(s.For), 2))
}

func floor(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) }

func ceil(r *big.Rat) *big.Int {
	quotient, rest := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return quotient
}

func clampUint64(i *big.Int) uint64 {
	if i.IsUint64() {
		return i.Uint64()
	}
	return math.MaxUint64
}

// At is part of Schedule.
func (e *even) At(n uint64) (time.Duration, bool) {
	if e.count != 0 && n >= e.count {
		return 0, false
	}
	if p := &e.pieces[e.at]; n < p.first || e.at+1 < len(e.pieces) && n >= e.pieces[e.at+1].first {
		e.at = sort.Search(len(e.pieces), func(i int) bool { return e.pieces[i].first > n }) - 1
	}
	p := &e.pieces[e.at]
	k := n - p.first
	if p.ramp != nil {
		return p.begin + p.ramp.due(k), true
	}
	return later(p.begin, p.due(k)), true
}

// due is the instant k of a constant piece, from its beginning.
func (p *piece) due(k uint64) time.Duration {
	high, low := bits.Mul64(k, p.per)
	low, carry := bits.Add64(low, p.early, 0)
	high += carry
	if high >= p.requests { // the quotient has more than 64 bits
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high, low, p.requests)
	return time.Duration(min(quotient, math.MaxInt64))
}

// later adds two durations that are not below zero.
func later(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
