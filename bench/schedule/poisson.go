package schedule

import (
	"math"
	"math/rand/v2"
	"sort"
	"time"
)

// poisson draws arrivals. Those of a Poisson process at rate 1 are at sums of exponential
// gaps; it is at the instants at which the stages reach those sums that arrivals at
// the stages' rate are.
//
// Invariant: At(n) is a function of n, the seed and the stages, whatever was asked before: one
// that was passed already is drawn again from the beginning.
type poisson struct {
	stages *even
	seed   uint64

	random *rand.Rand
	drawn  uint64 // how many arrivals were drawn
	sum    mass   // of the last arrival
	at     time.Duration
	ended  bool // the one after those drawn is beyond the end
}

func newPoisson(stages *even, seed uint64) *poisson {
	p := &poisson{stages: stages, seed: seed}
	p.rewind()
	return p
}

func (p *poisson) rewind() {
	p.random = rand.New(rand.NewPCG(p.seed, 0x736c75696365)) // any second word would do, if it never changes
	p.drawn, p.sum, p.at, p.ended = 0, mass{}, 0, false
}

// At is part of Schedule. It takes as long as it takes to draw what is between n and the
// instant that was asked for last.
func (p *poisson) At(n uint64) (time.Duration, bool) {
	if n+1 < p.drawn {
		p.rewind()
	}
	for p.drawn <= n {
		if !p.next() {
			return 0, false
		}
	}
	return p.at, true
}

// draw draws all that there are, and returns how many; zero if there is no end.
func (p *poisson) draw() uint64 {
	if p.stages.count == 0 {
		return 0
	}
	for p.next() {
	}
	return p.drawn
}

func (p *poisson) next() bool {
	if p.ended {
		return false
	}
	sum := p.sum.plus(p.random.ExpFloat64())
	if p.stages.count != 0 && !sum.below(p.stages.end) {
		p.ended = true
		return false
	}
	p.sum, p.drawn = sum, p.drawn+1
	// Sums grow, and so do instants; only rounding could have it otherwise, by a nanosecond.
	p.at = max(p.at, p.stages.reach(sum))
	return true
}

// reach is the instant at which the stages reach a mass that is below that of all of them.
func (e *even) reach(sum mass) time.Duration {
	if p := &e.pieces[e.at]; sum.below(p.mass) || e.at+1 < len(e.pieces) && !sum.below(e.pieces[e.at+1].mass) {
		e.at = max(sort.Search(len(e.pieces), func(i int) bool { return sum.below(e.pieces[i].mass) })-1, 0)
	}
	p := &e.pieces[e.at]
	own := max(float64(sum.whole-p.mass.whole)+(sum.fraction-p.mass.fraction), 0)
	var t float64
	if p.ramp != nil {
		t = p.ramp.reach(own)
	} else {
		t = own * (float64(p.per) / float64(p.requests))
	}
	if t >= math.MaxInt64 {
		return p.last
	}
	return min(later(p.begin, time.Duration(max(t, 0))), p.last)
}

func (m mass) plus(gap float64) mass {
	sum := m.fraction + gap
	whole := math.Floor(sum)
	return mass{m.whole + uint64(whole), sum - whole}
}

func (m mass) below(other mass) bool {
	return m.whole < other.whole || m.whole == other.whole && m.fraction < other.fraction
}
