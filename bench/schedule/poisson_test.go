package schedule

import (
	"math"
	"math/big"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The gaps of a constant rate are exponential: the greatest distance of their distribution
// from the true one is that of Kolmogorov and Smirnov, above 1.95/sqrt(n) once in a thousand
// seeds, and the seed is fixed.
func TestPoissonGapsAreExponential(t *testing.T) {
	const n = 200_000
	schedule := mustSchedule(t, Spec{Stages: Constant(perSecond(1000), 0).Stages, Poisson: true, Seed: 1})
	gaps := make([]float64, n)
	var before time.Duration
	for i := range gaps {
		at, ok := schedule.At(uint64(i))
		require.True(t, ok)
		gaps[i], before = (at-before).Seconds()*1000, at
	}
	sort.Float64s(gaps)
	furthest := 0.0
	for i, gap := range gaps {
		furthest = max(furthest, math.Abs(1-math.Exp(-gap)-(float64(i)+0.5)/n))
	}
	require.Less(t, furthest, 1.95/math.Sqrt(n))
}

func TestPoissonArrivalsFollowTheStages(t *testing.T) {
	spec := Spec{Stages: []Stage{
		{perSecond(0), perSecond(1000), 100 * time.Second},
		{perSecond(0), perSecond(0), 50 * time.Second},
		{perSecond(400), perSecond(400), 100 * time.Second},
		{perSecond(1000), perSecond(0), 100 * time.Second},
	}, Poisson: true}
	for seed := range uint64(3) {
		spec.Seed = seed
		counts := make([]float64, 35) // in tens of seconds
		for _, at := range instants(t, spec) {
			counts[at/(10*time.Second)]++
		}
		for i, count := range counts {
			from, to := big.NewRat(int64(i)*1e10, 1), big.NewRat(int64(i+1)*1e10, 1)
			mean, _ := new(big.Rat).Sub(massAt(spec.Stages, to), massAt(spec.Stages, from)).Float64()
			require.LessOrEqual(t, math.Abs(count-mean), 5*math.Sqrt(mean), "seed %d, %d s", seed, i*10)
		}
	}
}

// The sums are as good after ten million as those of a number with 300 bits.
func TestPoissonSumsDoNotDrift(t *testing.T) {
	const n = 2_000_000
	schedule := mustSchedule(t, Spec{Stages: Constant(perSecond(1_000_000), 0).Stages, Poisson: true, Seed: 5})
	random := rand.New(rand.NewPCG(5, 0x736c75696365))
	sum := new(big.Float).SetPrec(300)
	for range n {
		sum.Add(sum, big.NewFloat(random.ExpFloat64()))
	}
	at, ok := schedule.At(n - 1)
	require.True(t, ok)
	exact, _ := sum.Mul(sum, big.NewFloat(1000)).Float64()
	require.InDelta(t, exact, float64(at), 1.001)
}

func TestAnotherSeedIsAnotherSchedule(t *testing.T) {
	spec := Constant(perSecond(100), 10*time.Second)
	spec.Poisson = true
	first := instants(t, spec)
	require.Equal(t, first, instants(t, spec))
	spec.Seed = 1
	require.NotEqual(t, first, instants(t, spec))
}
