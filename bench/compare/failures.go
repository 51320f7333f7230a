package compare

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// Failures have no ratio where there were none, and what is added so that there is one depends
// on how many requests there were: it would call a slower run worse. So their shares are
// compared by their difference, each over all requests of the blocks that were drawn. A block
// is what is drawn as one: a second, a slice, or a run.
//
// What the rest of this package does to logarithms of ratios is then done to the difference
// itself, as that of asRatio.

// failures are what a block adds to a share of errors.
type failures struct{ errors, requests float64 }

// asRatio is a ratio whose logarithm is a difference.
func asRatio(difference float64) float64 { return math.Exp(difference) }

// shareOf is the share of errors of blocks, each taken so many times; NaN without a request.
func shareOf(blocks []failures, weights []float64) float64 {
	var sum failures
	for i, b := range blocks {
		sum.errors += weights[i] * b.errors
		sum.requests += weights[i] * b.requests
	}
	return sum.errors / sum.requests
}

func shareOfAll(blocks []failures) float64 { return shareOf(blocks, ones(len(blocks))) }

func ones(n int) []float64 {
	weights := make([]float64, n)
	floats.AddConst(1, weights)
	return weights
}

// drawAlone fills weights with how often each block is drawn, with replacement.
func drawAlone(weights []float64, random *rand.Rand) {
	clear(weights)
	for range weights {
		weights[random.IntN(len(weights))]++
	}
}

// pairedFailures estimates the difference of blocks made side by side: both of a pair are drawn
// together. It is widened as that of other figures, and is a function of its arguments.
func pairedFailures(old, new []failures, seed uint64) estimate {
	own := make([]float64, len(old))
	for i := range old {
		own[i] = shareOfAll(new[i:i+1]) - shareOfAll(old[i:i+1])
	}
	random := rand.New(rand.NewPCG(seed, uint64(len(old))))
	weights, drawn := ones(len(old)), make([]float64, resamples)
	ratio := asRatio(shareOf(new, weights) - shareOf(old, weights))
	for i := range drawn {
		drawAlone(weights, random)
		drawn[i] = asRatio(shareOf(new, weights) - shareOf(old, weights))
	}
	fewer := gauge.Fewer(gauge.Resemblance(own), len(own))
	return fromResamples(ratio, drawn).stretched(drawn, math.Sqrt(fewer), float64(max(1, len(old)-1))).ofPairs(len(old))
}

// unpairedFailures estimates the difference of two sets, with the U-test's p-value.
func unpairedFailures(old, new []failures, seed uint64) estimate {
	random := rand.New(rand.NewPCG(seed, uint64(len(old))<<32|uint64(len(new))))
	weightsOld, weightsNew, drawn := ones(len(old)), ones(len(new)), make([]float64, resamples)
	ratio := asRatio(shareOf(new, weightsNew) - shareOf(old, weightsOld))
	for i := range drawn {
		drawAlone(weightsOld, random)
		drawAlone(weightsNew, random)
		drawn[i] = asRatio(shareOf(new, weightsNew) - shareOf(old, weightsOld))
	}
	e := fromResamples(ratio, drawn)
	e.p = uTest(sharesOf(old), sharesOf(new))
	return e
}

// compareFailures makes a figure of blocks of failures.
func compareFailures(old, new []failures, seed uint64, compare func(old, new []failures, seed uint64) estimate) measured {
	return measured{figure: Errors, old: shareOfAll(old), new: shareOfAll(new), requests: sumOf(new).requests, estimate: compare(old, new, seed)}
}

func sharesOf(blocks []failures) []float64 {
	shares := make([]float64, len(blocks))
	for i := range blocks {
		shares[i] = shareOfAll(blocks[i : i+1])
	}
	return shares
}

// sumOf makes one block of several.
func sumOf(blocks []failures) (sum failures) {
	for _, b := range blocks {
		sum.errors += b.errors
		sum.requests += b.requests
	}
	return sum
}

// findableDifference is the least difference of shares that would have been found with the
// stated power. Where there were no errors their spread is nought, and that of the ones to be
// found is not: so many of them, one by one, vary by the root of their number.
func findableDifference(spread, threshold, requests float64, gated int) float64 {
	deviations := certainAt(gated) + powerQuantile
	half := deviations * deviations / (2 * max(1, requests))
	return min(1, max(half+math.Hypot(half, deviations*spread), threshold+powerQuantile*spread))
}
