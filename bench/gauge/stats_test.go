package gauge

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMedianIsTheMiddleOrTheMeanOfTheTwoInTheMiddle(t *testing.T) {
	for _, test := range []struct {
		xs   []float64
		want float64
	}{
		{[]float64{7}, 7},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 100}, 3.5},
	} {
		require.Equal(t, test.want, Median(test.xs), "%v", test.xs)
	}
}

func TestMedianLeavesItsArgumentAsItIs(t *testing.T) {
	xs := []float64{3, 1, 2}
	Median(xs)
	require.Equal(t, []float64{3, 1, 2}, xs)
}

// As many values lie below a median as above it.
func TestMedianSplitsAnySampleInHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 50).Draw(t, "xs")
		m := Median(xs)
		below, above := 0, 0
		for _, x := range xs {
			if x < m {
				below++
			}
			if x > m {
				above++
			}
		}
		require.LessOrEqual(t, below, len(xs)/2)
		require.LessOrEqual(t, above, len(xs)/2)
	})
}

func TestAnIntervalIsRepeatableAndHoldsTheMedian(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		xs := rapid.SliceOfN(rapid.Float64Range(0.1, 10), 1, 30).Draw(t, "xs")
		seed := rapid.Uint64().Draw(t, "seed")
		ci := MedianInterval(xs, seed)
		require.Equal(t, ci, MedianInterval(slices.Clone(xs), seed))
		require.LessOrEqual(t, ci.Low, Median(xs))
		require.GreaterOrEqual(t, ci.High, Median(xs))
		require.GreaterOrEqual(t, ci.Low, slices.Min(xs))
		require.LessOrEqual(t, ci.High, slices.Max(xs))
	})
}

func TestAnIntervalOfEqualValuesIsAPoint(t *testing.T) {
	require.Equal(t, Interval{2, 2}, MedianInterval([]float64{2, 2, 2, 2}, 1))
}

// The promise of a 95 % interval, on samples whose true median is known. In
// 100 experiments 95 are expected, give or take 2.2.
func TestIntervalsHoldTheTrueMedianAboutNineteenTimesInTwenty(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	held := 0
	for seed := range uint64(100) {
		xs := make([]float64, 30)
		for i := range xs {
			xs[i] = math.Exp(0.2 * random.NormFloat64()) // true median 1
		}
		if ci := MedianInterval(xs, seed); ci.Low <= 1 && 1 <= ci.High {
			held++
		}
	}
	require.GreaterOrEqual(t, held, 88)
	require.LessOrEqual(t, held, 99)
}

// A machine that grows three times slower during the run, with one slice in ten
// disturbed: the quotient of neighbours finds the true 0.8 all the same.
func TestPairsSeeThroughADriftingMachine(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const rounds = 40
	took := make([][]float64, 3)
	truth := []float64{8, 20, 10}
	slice := 0
	for round := range rounds {
		for _, client := range Mirrored(round, 3) {
			slowness := 1 + 2*float64(slice)/(6*rounds)
			if random.IntN(10) == 0 {
				slowness *= 2
			}
			took[client] = append(took[client], truth[client]*slowness*(1+0.1*random.NormFloat64()))
			slice++
		}
	}
	pairs := Ratios(took[0], took[2])
	ci := MedianInterval(pairs, 1)
	require.InDelta(t, 0.8, Median(pairs), 0.05)
	require.Less(t, ci.Low, 0.8)
	require.Greater(t, ci.High, 0.8)
	require.Less(t, ci.High, 1.0, "the difference is found to be one")
}
