package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/gauge"
)

func TestHolmCorrectsStepByStep(t *testing.T) {
	require.Empty(t, holm(nil))
	require.InDeltaSlice(t, []float64{0.03, 0.06, 0.06, 0.02}, holm([]float64{0.01, 0.04, 0.03, 0.005}), 1e-12)
	require.Equal(t, []float64{1, 1}, holm([]float64{0.9, 0.8}))
}

// What Holm lets through at alpha is what his procedure, step by step, rejects.
func TestHolmIsHisProcedure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := rapid.SliceOfN(rapid.Float64Range(0, 0.2), 1, 8).Draw(t, "ps")
		sorted := slices.Sorted(slices.Values(ps))
		rejected := 0
		for rejected < len(sorted) && sorted[rejected]*float64(len(sorted)-rejected) <= alpha {
			rejected++
		}
		corrected := holm(ps)
		through := 0
		for i, p := range corrected {
			require.GreaterOrEqual(t, p, ps[i])
			if p <= alpha {
				through++
			}
		}
		require.Equal(t, rejected, through)
	})
}

// The counted median is that of the sorted draws.
func TestADrawnMedianIsThatOfWhatWasDrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(rapid.Float64Range(-5, 5), 1, 20).Draw(t, "xs")
		slices.Sort(xs)
		seed := rapid.Uint64().Draw(t, "seed")
		counts := make([]uint16, len(xs))
		got := drawnMedian(xs, counts, rand.New(rand.NewPCG(seed, 1)))
		random := rand.New(rand.NewPCG(seed, 1))
		drawn := make([]float64, len(xs))
		for i := range drawn {
			drawn[i] = xs[random.IntN(len(xs))]
		}
		require.Equal(t, gauge.Median(drawn), got)
		require.Equal(t, make([]uint16, len(xs)), counts)
	})
}

func TestPairsHaveTheirRatioAnIntervalAndAP(t *testing.T) {
	old, new := make([]float64, 40), make([]float64, 40)
	random := rand.New(rand.NewPCG(1, 1))
	for i := range old {
		common := math.Exp(0.3 * random.NormFloat64())
		old[i], new[i] = 100*common, 110*common*math.Exp(0.02*random.NormFloat64())
	}
	e := paired(old, new, 1)
	require.Equal(t, e, paired(old, new, 1), "repeatable")
	require.InDelta(t, 1.1, e.ratio, 0.02)
	require.Less(t, e.ci.Low, 1.1)
	require.Greater(t, e.ci.High, 1.1)
	require.Greater(t, e.ci.Low, 1.05)
	require.Less(t, e.p, 0.001)
	require.False(t, e.weak)
	same := paired(old, old, 1)
	require.Equal(t, estimate{ratio: 1, ci: gauge.Interval{Low: 1, High: 1}, p: 1}, same)
	require.True(t, paired(old[:9], new[:9], 1).weak)
	back := paired(new, old, 1)
	require.InDelta(t, 1/e.ratio, back.ratio, 0.01)
}

// What disturbs a pair may disturb the next as well, and few pairs hide it.
func TestPairsThatAreLikeTheirNeighboursAreSilentAtTheStatedRate(t *testing.T) {
	t.Parallel()
	for _, pairs := range []int{fewest, 15, 40} {
		const experiments = 250
		found := 0
		for seed := range uint64(experiments) {
			random := rand.New(rand.NewPCG(seed, uint64(pairs)))
			old, new, disturbance := make([]float64, pairs), make([]float64, pairs), 0.0
			for i := range old {
				common := math.Exp(commonNoise * random.NormFloat64())
				disturbance = 0.3*disturbance + ownNoise*random.NormFloat64()
				old[i], new[i] = common, common*math.Exp(disturbance+ownNoise*random.NormFloat64())
			}
			if paired(old, new, seed).p <= alpha {
				found++
			}
		}
		t.Logf("%d pairs: %d of %d", pairs, found, experiments)
		require.LessOrEqual(t, float64(found)/experiments, alpha+2.5*math.Sqrt(alpha*(1-alpha)/experiments), "%d pairs", pairs)
	}
}

func TestNothingByNothingIsNoDifference(t *testing.T) {
	zero := make([]float64, 12)
	require.Equal(t, 1.0, paired(zero, zero, 1).ratio)
	some := slices.Repeat([]float64{3}, 12)
	grown := paired(zero, some, 1)
	require.True(t, math.IsInf(grown.ratio, 1))
	require.Less(t, grown.p, 0.01)
	effects := judge([]measured{{figure: CPU, new: 3, estimate: grown}}, []Figure{CPU}, 0.05)
	require.True(t, effects[0].Regression)
	require.Equal(t, math.MaxFloat64, effects[0].Ratio, "a number that JSON can hold")
}

func TestSetsAreComparedByTheUTest(t *testing.T) {
	old := []float64{10, 10.1, 10.2, 10.3, 10.4, 10.5}
	new := []float64{12, 12.1, 12.2, 12.3, 12.4, 12.5}
	e := unpaired(old, new, 1)
	require.InDelta(t, 12.25/10.25, e.ratio, 1e-9)
	require.InDelta(t, leastP(6, 6), e.p, 1e-9, "all below all")
	require.Greater(t, e.ci.Low, 1.0)
	mixed := unpaired([]float64{1, 3, 5, 7, 9, 11}, []float64{2, 4, 6, 8, 10, 12}, 1)
	require.Greater(t, mixed.p, 0.5)
	require.InDelta(t, 2.0/70, leastP(4, 4), 1e-9)
	require.Equal(t, 1.0, leastP(1, 1))
}

// What a report says would have been found is found as often as it says.
func TestWhatIsSaidToBeFindableIsFound(t *testing.T) {
	const spread, threshold, gated = 0.02, 0.05, 3
	least := findable(spread, threshold, gated)
	require.Greater(t, least, threshold)
	random := rand.New(rand.NewPCG(5, 6))
	found, tries := 0, 20_000
	z := 2.3940 // of the first of three steps
	for range tries {
		observed := math.Log1p(least) + spread*random.NormFloat64()
		if observed > z*spread && observed > math.Log1p(threshold) {
			found++
		}
	}
	require.InDelta(t, power, float64(found)/float64(tries), 0.01)
	require.InDelta(t, threshold, findable(0, threshold, 1), 1e-9, "what does not vary is found as soon as it matters")
}

func TestARegressionMustBeCertainAndLargeEnoughAndGated(t *testing.T) {
	certain := gauge.Interval{Low: 1.06, High: 1.1}
	for _, test := range []struct {
		what string
		m    measured
		gate []Figure
		want bool
	}{
		{"certain and large", measured{figure: CPU, estimate: estimate{ratio: 1.08, ci: certain, p: 0.001}}, []Figure{CPU}, true},
		{"not gated", measured{figure: CPU, estimate: estimate{ratio: 1.08, ci: certain, p: 0.001}}, []Figure{Rate}, false},
		{"too small", measured{figure: CPU, estimate: estimate{ratio: 1.04, ci: gauge.Interval{Low: 1.03, High: 1.05}, p: 0.001}}, []Figure{CPU}, false},
		{"perhaps chance", measured{figure: CPU, estimate: estimate{ratio: 1.08, ci: gauge.Interval{Low: 0.99, High: 1.2}, p: 0.04}}, []Figure{CPU}, false},
		{"chance after Holm", measured{figure: CPU, estimate: estimate{ratio: 1.08, ci: certain, p: 0.06}}, []Figure{CPU}, false},
		{"too little data", measured{figure: CPU, estimate: estimate{ratio: 1.08, ci: certain, p: 0.001, weak: true}}, []Figure{CPU}, false},
		{"better", measured{figure: CPU, estimate: estimate{ratio: 0.9, ci: gauge.Interval{Low: 0.8, High: 0.95}, p: 0.001}}, []Figure{CPU}, false},
		{"a lower rate is worse", measured{figure: Rate, estimate: estimate{ratio: 0.9, ci: gauge.Interval{Low: 0.8, High: 0.95}, p: 0.001}}, []Figure{Rate}, true},
		{"a higher rate is better", measured{figure: Rate, estimate: estimate{ratio: 1.08, ci: certain, p: 0.001}}, []Figure{Rate}, false},
		{"allocations are gated hard", measured{figure: Allocs, estimate: estimate{ratio: 1.02, ci: gauge.Interval{Low: 1.01, High: 1.03}, p: 0.001}}, []Figure{Allocs}, true},
	} {
		effects := judge([]measured{test.m}, test.gate, 0.05)
		require.Equal(t, test.want, effects[0].Regression, test.what)
	}
}
