package compare

import (
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/perf/benchmath"

	"github.com/sluice-engine/sluice/bench/gauge"
)

const (
	resamples = 10_000
	// alpha is the share of comparisons of equal things in which a gate may find something.
	alpha = 0.05
	// power is how often a difference has to be found for the report to say that it would
	// have been; powerQuantile is the normal distribution's at it.
	power         = 0.9
	powerQuantile = 1.2816
	// fewest is how many pairs, or seconds, an interval is worth anything of: the percentile
	// bootstrap of fewer is too narrow.
	fewest = 10
)

// estimate is a ratio of new to old, and what is known of it.
type estimate struct {
	ratio  float64
	ci     gauge.Interval // 95 %
	p      float64        // of chance alone
	spread float64        // standard deviation of the ratio's logarithm
	weak   bool           // there is too little for p and ci to be relied on
}

// fromResamples makes an estimate of a ratio and those of resamples, which it sorts. The ratio
// is never outside its interval, whatever was drawn.
func fromResamples(ratio float64, drawn []float64) estimate {
	slices.Sort(drawn)
	n := len(drawn)
	low, high := drawn[n/40], drawn[n-1-n/40]
	atMost, _ := slices.BinarySearch(drawn, math.Nextafter(1, 2)) // how many are at most 1
	below, _ := slices.BinarySearch(drawn, 1.0)
	tail := float64(min(atMost, n-below)+1) / float64(n+1)
	return estimate{
		ratio:  ratio,
		ci:     gauge.Interval{Low: min(low, ratio), High: max(high, ratio)},
		p:      min(1, 2*tail),
		spread: (logOf(high) - logOf(low)) / (2 * 1.96),
	}
}

// logOf is the logarithm, and a finite one of what has none: figures may be zero.
func logOf(ratio float64) float64 { return math.Log(min(max(ratio, 1e-9), 1e9)) }

// paired estimates new ÷ old from what was measured side by side: the median of the pairs'
// ratios, with the percentile bootstrap, widened by how much pairs are like the ones before
// them and for their being few. It is a function of its arguments.
func paired(old, new []float64, seed uint64) estimate {
	ratios, logs := make([]float64, len(old)), make([]float64, len(old))
	for i := range old {
		ratios[i] = quotient(new[i], old[i])
		logs[i] = logOf(ratios[i])
	}
	slices.Sort(ratios)
	if ratios[0] == ratios[len(ratios)-1] { // every draw is the same
		return fromResamples(ratios[0], slices.Repeat(ratios[:1], resamples)).ofPairs(len(ratios))
	}
	random := rand.New(rand.NewPCG(seed, uint64(len(ratios))))
	drawn := make([]float64, resamples)
	counts := make([]uint16, len(ratios))
	for i := range drawn {
		drawn[i] = drawnMedian(ratios, counts, random)
	}
	fewer := gauge.Fewer(gauge.Resemblance(logs), len(logs))
	return fromResamples(gauge.Median(ratios), drawn).stretched(drawn, math.Sqrt(fewer), float64(len(logs)-1)).ofPairs(len(ratios))
}

func (e estimate) ofPairs(n int) estimate {
	e.weak = n < fewest
	return e
}

// drawnMedian draws as many as there are with replacement, and returns their median. Sorted
// values need only be counted; counts are zero before and after.
func drawnMedian(sorted []float64, counts []uint16, random *rand.Rand) float64 {
	n := len(sorted)
	for range n {
		counts[random.IntN(n)]++
	}
	lower, upper := (n-1)/2, n/2 // ranks of the two in the middle, or twice the one
	seen, at := 0, 0
	for ; seen+int(counts[at]) <= lower; at++ {
		seen += int(counts[at])
	}
	median := sorted[at]
	if lower != upper {
		for ; seen+int(counts[at]) <= upper; at++ {
			seen += int(counts[at])
		}
		median = (median + sorted[at]) / 2
	}
	clear(counts)
	return median
}

// unpaired estimates new ÷ old of two sets that are no pairs: the ratio of the medians with a
// bootstrap interval, and the U-test's p-value.
func unpaired(old, new []float64, seed uint64) estimate {
	random := rand.New(rand.NewPCG(seed, uint64(len(old))<<32|uint64(len(new))))
	drawn := make([]float64, resamples)
	sortedOld, sortedNew := slices.Sorted(slices.Values(old)), slices.Sorted(slices.Values(new))
	counts := make([]uint16, max(len(old), len(new)))
	for i := range drawn {
		drawn[i] = quotient(drawnMedian(sortedNew, counts[:len(new)], random), drawnMedian(sortedOld, counts[:len(old)], random))
	}
	e := fromResamples(quotient(gauge.Median(new), gauge.Median(old)), drawn)
	e.p = uTest(old, new)
	return e
}

// uTest is the p-value of Mann and Whitney's test; 1 where it has none.
func uTest(old, new []float64) float64 {
	thresholds := benchmath.DefaultThresholds
	test := benchmath.AssumeNothing.Compare(benchmath.NewSample(slices.Clone(old), &thresholds), benchmath.NewSample(slices.Clone(new), &thresholds))
	if math.IsNaN(test.P) {
		return 1
	}
	return test.P
}

// leastP is the least p-value that the U-test can have of two sets without ties: all of one
// below all of the other, of so many ways to deal them out.
func leastP(old, new int) float64 {
	ways := 1.0
	for i := 1; i <= new; i++ {
		ways *= float64(old+i) / float64(i)
	}
	return min(1, 2/ways)
}

// quotient is new ÷ old; nothing by nothing is 1.
func quotient(new, old float64) float64 {
	if new == old {
		return 1
	}
	return new / old
}

// holm corrects p-values for there being several of them (Holm 1979): of those that are at
// most alpha afterwards, the chance that any is one of mere chance is at most alpha.
func holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case ps[i] < ps[j]:
			return -1
		case ps[i] > ps[j]:
			return 1
		}
		return i - j
	})
	corrected, most := make([]float64, len(ps)), 0.0
	for rank, i := range order {
		most = max(most, min(1, ps[i]*float64(len(ps)-rank)))
		corrected[i] = most
	}
	return corrected
}

// findable is the least difference, as a share, that would have been found with the stated
// power: the estimate must pass both the threshold and the first of Holm's steps.
func findable(spread, threshold float64, gated int) float64 {
	return math.Expm1(max(certainAt(gated)*spread, math.Log1p(threshold)) + powerQuantile*spread)
}

// certainAt is how many standard deviations pass the first of Holm's steps.
func certainAt(gated int) float64 { return math.Sqrt2 * math.Erfinv(1-alpha/float64(max(1, gated))) }
