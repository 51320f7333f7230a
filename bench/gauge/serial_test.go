package gauge

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValuesThatResembleTheirNeighboursAreWorthFewer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, alike := range []float64{0, 0.5, 0.8} {
		xs, last := make([]float64, 20_000), 0.0
		for i := range xs {
			last = alike*last + random.NormFloat64()
			xs[i] = last
		}
		require.InDelta(t, alike, Resemblance(xs), 0.03)
		require.InEpsilon(t, (1+alike)/(1-alike), Fewer(Resemblance(xs), len(xs)), 0.1)
	}
	require.Zero(t, Resemblance([]float64{3, 3, 3}))
	require.Equal(t, 1.0, Fewer(-0.9, 30), "never more")
	require.Greater(t, Fewer(0.3, 10), Fewer(0.3, 1000), "few values hide some of it")
	require.LessOrEqual(t, Fewer(1, 10), 40.0)
}

func TestASerialIntervalHoldsThatOfValuesInNoOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	ratios := make([]float64, 30)
	for i := range ratios {
		ratios[i] = math.Exp(0.1 * random.NormFloat64())
	}
	plain, serial := MedianInterval(ratios, 1), SerialMedianInterval(ratios, 1)
	require.Less(t, serial.Low, plain.Low)
	require.Greater(t, serial.High, plain.High)
	require.Less(t, serial.High/serial.Low, math.Pow(plain.High/plain.Low, 2), "and not by much")
	same := []float64{2, 2, 2, 2, 2, 2, 2, 2}
	require.Equal(t, Interval{Low: 2, High: 2}, SerialMedianInterval(same, 1))
	require.InDelta(t, 2.228/1.96, Tails(10), 0.001)
}
