package compare

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// certainty is how well a figure of one run, or of two that are compared, is known by its
// seconds: the variance of its logarithm, and how many free values that stands on.
type certainty struct{ variance, freedom float64 }

// certaintyOf finds it by leaving out one second after the other. Drawing in blocks sees
// resemblances of neighbours only within a block, and the resemblance that is measured in few
// seconds is too small in the mean (Kendall 1954): both make equal runs look different, so
// what is missing is added here.
func (f *figuresOf) certaintyOf(figure Figure) certainty {
	n := float64(len(f.seconds))
	weights := f.once()
	whole := logOf(f.of(figure, weights))
	influence, own := make([]float64, len(f.seconds)), make([]float64, len(f.seconds))
	for i := range f.seconds {
		weights[i] = 0
		if without := f.of(figure, weights); isMeasured(without) {
			influence[i] = (n - 1) * (whole - logOf(without))
		}
		weights[i] = 1
	}
	clear(weights)
	for i := range f.seconds {
		weights[i] = 1
		if alone := f.of(figure, weights); isMeasured(alone) {
			own[i] = logOf(alone) - whole
		}
		weights[i] = 0
	}
	if n < fewest {
		return certainty{freedom: max(1, n-1)}
	}
	// A median's influence has little but a sign, so the second's own is looked at as well.
	fewer := gauge.Fewer(max(gauge.Resemblance(influence), gauge.Resemblance(own)), len(influence))
	variance := stat.Variance(influence, nil) / max(0.2, 1-(fewer-1)/(n-1))
	return certainty{variance: variance * fewer / n, freedom: max(1, n/fewer-1)}
}

// with is the certainty of a ratio (Welch and Satterthwaite).
func (c certainty) with(other certainty) certainty {
	sum := c.variance + other.variance
	if sum == 0 {
		return certainty{freedom: c.freedom + other.freedom}
	}
	return certainty{variance: sum, freedom: sum * sum / (c.variance*c.variance/c.freedom + other.variance*other.variance/other.freedom)}
}

// widened makes an estimate from draws no more certain than c lets it be.
func (e estimate) widened(drawn []float64, c certainty) estimate {
	if c.variance == 0 || e.spread == 0 {
		return e
	}
	return e.stretched(drawn, max(1, math.Sqrt(c.variance)/e.spread), c.freedom)
}

// stretched has draws lie so many times farther from the ratio, and the tails of Student's
// distribution with so much freedom.
func (e estimate) stretched(drawn []float64, farther, freedom float64) estimate {
	middle := logOf(e.ratio)
	for i, x := range drawn {
		drawn[i] = math.Exp(middle + farther*(logOf(x)-middle))
	}
	wide := fromResamples(e.ratio, drawn)
	tails := gauge.Tails(freedom)
	outer := func(x float64) float64 { return math.Exp(middle + tails*(logOf(x)-middle)) }
	wide.ci = gauge.Interval{Low: outer(wide.ci.Low), High: outer(wide.ci.High)}
	wide.p = min(1, 2*distuv.StudentsT{Sigma: 1, Nu: max(1, freedom)}.CDF(distuv.UnitNormal.Quantile(wide.p/2)))
	wide.spread *= tails
	return wide
}
