package gauge

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// mostAlike bounds how much a value is believed to resemble the one before: of values that are
// all but the same nothing can be said anyway.
const mostAlike = 0.95

// Resemblance is the correlation of neighbours among xs, which are in the order in which they
// were measured; 0 if they are all the same. Of few values it is too small in the mean;
// Fewer knows of that.
func Resemblance(xs []float64) float64 {
	mean := 0.0
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	square, neighbours := 0.0, 0.0
	for i, x := range xs {
		square += (x - mean) * (x - mean)
		if i > 0 {
			neighbours += (x - mean) * (xs[i-1] - mean)
		}
	}
	if square == 0 {
		return 0
	}
	return neighbours / square
}

// Fewer is how many times fewer so many values are worth whose neighbours were seen to
// resemble one another, at least 1. What few values hide of it is added (Kendall 1954).
func Fewer(resemblance float64, values int) float64 {
	n := float64(max(values, 5))
	alike := min(max(0, (resemblance+1/n)/(1-4/n)), mostAlike)
	return (1 + alike) / (1 - alike)
}

// Tails is how much farther out the 95 % of Student's distribution reach than those of the
// normal one.
func Tails(freedom float64) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: max(1, freedom)}.Quantile(0.975) / distuv.UnitNormal.Quantile(0.975)
}

// SerialMedianInterval is MedianInterval of ratios, all above zero, in the order in which they
// were measured: it is widened for each being like the one before, and for there being few.
func SerialMedianInterval(ratios []float64, seed uint64) Interval {
	logs := make([]float64, len(ratios))
	for i, x := range ratios {
		logs[i] = math.Log(x)
	}
	fewer := Fewer(Resemblance(logs), len(ratios))
	farther := math.Sqrt(fewer) * Tails(float64(len(ratios))/fewer-1)
	middle, plain := Median(ratios), MedianInterval(ratios, seed)
	return Interval{Low: middle * math.Pow(plain.Low/middle, farther), High: middle * math.Pow(plain.High/middle, farther)}
}
