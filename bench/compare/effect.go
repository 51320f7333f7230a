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
	// which is not the quotient of the two medians. Errors are compared with half of one
	// added on either side, so that none at all has a ratio to some.
	Ratio float64        `json:"ratio"`
	CI    gauge.Interval `json:"ci95"`
	// P is how likely chance alone makes such a difference, and Corrected the same after
	// Holm's correction over what is gated; of what is not, they are the same.
	P         float64 `json:"p"`
	Corrected float64 `json:"p_holm"`
	Gated     bool    `json:"gated"`
	Threshold float64 `json:"threshold"`
	// Findable is the least worsening, as a share, that would have been found nine times in
	// ten; zero if there is too little to find any, and then CI holds everything and P is 1.
	Findable    float64 `json:"findable,omitempty"`
	Regression  bool    `json:"regression"`
	Improvement bool    `json:"improvement"`
}

// measured is a figure before it is judged.
type measured struct {
	figure   Figure
	old, new float64
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
		e := Effect{
			Figure: m.figure, Old: m.old, New: m.new, Ratio: m.ratio, CI: m.ci, P: m.p, Corrected: m.p,
			Gated: slices.Contains(gate, m.figure), Threshold: m.figure.threshold(usual),
		}
		if e.Gated {
			e.Corrected = corrected[next]
			next++
		}
		if m.weak {
			e.CI, e.P, e.Corrected = gauge.Interval{Low: 0, High: math.Inf(1)}, 1, 1
		} else {
			e.Findable = finite(findable(m.spread, e.Threshold, len(ps)))
			e.decide()
		}
		effects = append(effects, e.finite())
	}
	return effects
}

// decide says whether the difference is certain, and large enough.
func (e *Effect) decide() {
	certain := e.Corrected <= alpha && (e.CI.Low > 1 || e.CI.High < 1)
	worse := e.Figure.worse(e.Ratio)
	e.Regression = certain && worse > e.Threshold && e.Gated
	e.Improvement = certain && e.Figure.worse(quotient(1, e.Ratio)) > e.Threshold
}

// finite keeps JSON able to hold the effect: a ratio to nothing has no end.
func (e Effect) finite() Effect {
	for _, x := range []*float64{&e.Old, &e.New, &e.Ratio, &e.CI.Low, &e.CI.High, &e.P, &e.Corrected} {
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
