package compare

import (
	"math"
	"slices"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// Options say how to compare. The zero value gates what is usual, at the usual threshold.
type Options struct {
	// Gate has the figures that a regression may be found in; nil means the usual ones.
	Gate []Figure
	// Threshold is how much worse a figure has to be, as a share; 0 means the usual one. That
	// of allocations is never more than a hundredth.
	Threshold float64
	// Seed makes the draws repeatable.
	Seed uint64
	// Paired says of several runs on each side that those at the same place are a pair.
	Paired bool
	// Anyway compares what is not alike, and has the report say so.
	Anyway bool
}

// Effect is what became of one figure.
type Effect struct {
	Figure Figure `json:"figure"`
	// Old and New are medians: in microseconds, as a share, a second, or a count.
	Old float64 `json:"old"`
	New float64 `json:"new"`
	// Ratio is new ÷ old, and CI its 95 % interval; of pairs it is the median of theirs,
	// which is not the quotient of the two medians. Errors have none, for there may have been
	// none: of them Difference is new − old, over all requests of each side, and CI is its interval.
	Ratio      float64        `json:"ratio,omitempty"`
	Difference float64        `json:"difference,omitempty"`
	CI         gauge.Interval `json:"ci95"`
	// P is how likely chance alone makes such a difference, and Corrected the same after
	// Holm's correction over what is gated; of what is not, they are the same.
	P         float64 `json:"p"`
	Corrected float64 `json:"p_holm"`
	Gated     bool    `json:"gated"`
	Threshold float64 `json:"threshold"`
	// Findable is the least worsening, as a share, that would have been found nine times in
	// ten, of errors the least difference; zero if there is too little to find any, and then CI holds everything and P is 1.
	Findable    float64 `json:"findable,omitempty"`
	Regression  bool    `json:"regression"`
	Improvement bool    `json:"improvement"`
}

// measured is a figure before it is judged.
type measured struct {
	figure   Figure
	old, new float64
	requests float64 // of errors: those of the new that they are a share of
	estimate
}

// judge makes effects of what was measured: Holm's correction is over what is gated.
func judge(figures []measured, gate []Figure, usual float64) []Effect {
	var ps []float64
	for _, m := range figures {
		if slices.Contains(gate, m.figure) {
			ps = append(ps, m.p)
		}
	}
	corrected := holm(ps)
	var effects []Effect
	next := 0
	for _, m := range figures {
		e := m.effect(gate, usual)
		if e.Gated {
			e.Corrected = corrected[next]
			next++
		}
		if m.weak {
			e.CI, e.P, e.Corrected = m.figure.anything(), 1, 1
		} else {
			e.Findable = finite(m.findable(e.Threshold, len(ps)))
			e.decide()
			e.leaveNothingToFind()
		}
		effects = append(effects, e.finite())
	}
	return effects
}

// effect is what was measured, before anything is decided about it.
func (m measured) effect(gate []Figure, usual float64) Effect {
	e := Effect{
		Figure: m.figure, Old: m.old, New: m.new, Ratio: m.ratio, CI: m.ci, P: m.p, Corrected: m.p,
		Gated: slices.Contains(gate, m.figure), Threshold: m.figure.threshold(usual),
	}
	if m.figure == Errors {
		e.Ratio, e.Difference = 0, logOf(m.ratio)
		e.CI = gauge.Interval{Low: logOf(m.ci.Low), High: logOf(m.ci.High)}
	}
	return e
}

func (m measured) findable(threshold float64, gated int) float64 {
	if m.figure == Errors {
		return findableDifference(m.spread, threshold*m.old, m.requests, gated)
	}
	return findable(m.spread, threshold, gated)
}

// decide says whether the difference is certain, and large enough.
func (e *Effect) decide() {
	none, ratio := 1.0, e.Ratio
	if e.Figure == Errors {
		none, ratio = 0, quotient(e.New, e.Old) // what is certain is the difference; it must be large enough beside what there was
	}
	certain := e.Corrected <= alpha && (e.CI.Low > none || e.CI.High < none)
	e.Regression = certain && e.Figure.worse(ratio) > e.Threshold && e.Gated
	e.Improvement = certain && e.Figure.worse(quotient(1, ratio)) > e.Threshold
}

// leaveNothingToFind says of errors that nothing could have been found where what would have
// been is more than can still fail.
func (e *Effect) leaveNothingToFind() {
	if e.Figure != Errors || e.Regression || e.Improvement || e.Old+e.Findable <= 1 {
		return
	}
	e.Findable, e.CI, e.P, e.Corrected = 0, e.Figure.anything(), 1, 1
}

// finite keeps JSON able to hold the effect: a ratio to nothing has no end.
func (e Effect) finite() Effect {
	for _, x := range []*float64{&e.Old, &e.New, &e.Ratio, &e.Difference, &e.CI.Low, &e.CI.High, &e.P, &e.Corrected} {
		*x = finite(*x)
	}
	return e
}

func finite(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return 0
	case math.IsInf(x, 0):
		return math.Copysign(math.MaxFloat64, x)
	}
	return x
}
