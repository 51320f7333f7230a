package gauge

import (
	"math/rand/v2"
	"slices"
)

// Interval is a confidence interval.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Median returns the middle value, or the mean of the two in the middle. xs must
// not be empty; it is left as it is.
func Median(xs []float64) float64 { return medianOfSorted(slices.Sorted(slices.Values(xs))) }

func medianOfSorted(xs []float64) float64 {
	middle := len(xs) / 2
	if len(xs)%2 == 1 {
		return xs[middle]
	}
	return (xs[middle-1] + xs[middle]) / 2
}

// Ratios returns a[i] ÷ b[i]. What stands at the same index was measured side by
// side, so that what disturbed both cancels.
func Ratios(a, b []float64) []float64 {
	pairs := make([]float64, len(a))
	for i := range a {
		pairs[i] = a[i] / b[i]
	}
	return pairs
}

const resamples = 2000

// MedianInterval returns the 95 % confidence interval of the median of xs by the
// percentile bootstrap (Efron 1979): the span that holds the median of 95 of 100
// samples drawn from xs with replacement. It is a function of xs and seed.
func MedianInterval(xs []float64, seed uint64) Interval {
	random := rand.New(rand.NewPCG(seed, uint64(len(xs))))
	medians, sample := make([]float64, resamples), make([]float64, len(xs))
	for i := range medians {
		for j := range sample {
			sample[j] = xs[random.IntN(len(xs))]
		}
		slices.Sort(sample)
		medians[i] = medianOfSorted(sample)
	}
	slices.Sort(medians)
	tail := resamples / 40 // 2.5 % on either side
	return Interval{Low: medians[tail], High: medians[resamples-1-tail]}
}
