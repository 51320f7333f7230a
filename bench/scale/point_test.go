package scale

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/gauge"
)

func sample(cpu float64) Sample {
	return Sample{Cost: gauge.Cost{CPU: cpu, Wall: 2 * cpu, Allocs: 3, Bytes: 400}}
}

func column2(cpus ...float64) (all []Sample) {
	for _, cpu := range cpus {
		all = append(all, sample(cpu))
	}
	return all
}

// A machine that is twice as slow from one half to the next: the quotient of
// neighbours is the same all the same.
func TestARatioIsThatOfNeighboursInTime(t *testing.T) {
	c := &Curve{}
	p := c.point(100, samples{column2(11, 22, 44), column2(10, 20, 40)}, 1)
	require.Equal(t, 3, p.Pairs)
	require.InDelta(t, 1.1, p.Ratio, 1e-9)
	require.InDelta(t, 1.1, p.RatioCI.Low, 1e-9)
	require.InDelta(t, 1.1, p.RatioCI.High, 1e-9)
	require.InDelta(t, 2, p.More, 1e-9)
	require.Equal(t, 22.0, p.Cost)
	require.Equal(t, 20.0, p.BaseCost)
	require.InDelta(t, 1/1.1, p.Throughput, 1e-9)
	require.Zero(t, p.Growth)
}

func TestBesideAPeerTheRatioIsThatOfTheGrowths(t *testing.T) {
	c := &Curve{peer: true}
	p := c.point(1024, samples{column2(15, 30), column2(10, 20), column2(12, 12), column2(10, 10)}, 1)
	require.InDelta(t, 1.5, p.Growth, 1e-9)
	require.InDelta(t, 1.2, p.PeerGrowth, 1e-9)
	require.InDelta(t, 1.25, p.Ratio, 1e-9)
}

func TestACurveOfMemoryComparesBytes(t *testing.T) {
	c := &Curve{memory: true}
	p := c.point(10, samples{{{Cost: gauge.Cost{Bytes: 600}}}, {{Cost: gauge.Cost{Bytes: 300}}}}, 1)
	require.Equal(t, 600.0, p.Cost)
	require.Equal(t, 2.0, p.Ratio)
}

func TestSlicesWithoutANeighbourAreLeftOut(t *testing.T) {
	c := &Curve{}
	p := c.point(10, samples{column2(2, 2, 1000), column2(1, 1)}, 1)
	require.Equal(t, 2, p.Pairs)
	require.Equal(t, 2.0, p.Ratio)
	require.Zero(t, c.point(10, samples{column2(1), nil}, 1).Pairs)
}

// Whatever disturbs both of a half alike is not in the ratio, and the interval holds
// the median.
func TestWhatDisturbsAWholeHalfCancels(t *testing.T) {
	c := &Curve{}
	rapid.Check(t, func(t *rapid.T) {
		growth := rapid.Float64Range(0.2, 50).Draw(t, "growth")
		speeds := rapid.SliceOfN(rapid.Float64Range(0.1, 10), 1, 30).Draw(t, "speeds")
		var mine, base []Sample
		for _, speed := range speeds {
			mine, base = append(mine, sample(10*growth*speed)), append(base, sample(10*speed))
		}
		p := c.point(1, samples{mine, base}, rapid.Uint64().Draw(t, "seed"))
		require.InEpsilon(t, growth, p.Ratio, 1e-9)
		require.InEpsilon(t, growth, p.RatioCI.Low, 1e-9)
		require.InEpsilon(t, growth, p.RatioCI.High, 1e-9)
	})
}

func TestABarSaysByHowMuchItWasMissed(t *testing.T) {
	c := &Curve{Bars: []Bar{
		{X: 10, Of: Ratio, Most: 1.05},
		{X: 10, Of: Throughput, Least: 0.88},
		{X: 10, Of: More, Most: 2},
		{X: 10, Of: Rate, Least: 0.99},
		{X: 10, Of: PerByte, Most: 1.1},
		{X: 20, Of: Ratio, Most: 0.5},
	}}
	p := &Point{X: 10, Pairs: 4, Ratio: 1.26, Throughput: 0.44, More: -1, Rate: 1.01, Bytes: 11}
	verdicts := c.judge(p)
	require.Len(t, verdicts, 5, "the bar of another point is none of this one")
	var outcomes []string
	for _, v := range verdicts {
		outcomes = append(outcomes, c.bound(v.Bar)+": "+v.outcome())
	}
	require.Equal(t, []string{
		"≤ 1.05 ×: missed by 20 %", "≥ 0.88 × throughput: missed by 50 %", "≤ 2 µs more: met",
		"≥ 99 % of the rate: met", "≤ 1.10 B a byte: met",
	}, outcomes)
}

func TestABarIsMetAtItsVeryValueAndMissedJustBeyond(t *testing.T) {
	c := &Curve{Bars: []Bar{{X: 1, Of: Ratio, Most: 1.05}, {X: 2, Of: Throughput, Least: 0.88}}}
	require.Equal(t, "met", c.judge(&Point{X: 1, Pairs: 1, Ratio: 1.05})[0].outcome())
	require.Equal(t, "missed by less than 0.1 %", c.judge(&Point{X: 1, Pairs: 1, Ratio: math.Nextafter(1.05, 2)})[0].outcome())
	require.Equal(t, "met", c.judge(&Point{X: 2, Pairs: 1, Throughput: 0.88})[0].outcome())
	require.Equal(t, "missed by 1.14 %", c.judge(&Point{X: 2, Pairs: 1, Throughput: 0.87})[0].outcome())
}

func TestTheBaseOfAllPointsHasTheSlicesOfAll(t *testing.T) {
	c := &Curve{Base: 10}
	p := c.basePoint(column2(1, 5, 3))
	require.True(t, p.Base)
	require.Equal(t, 3, p.Pairs)
	require.Equal(t, 3.0, p.Cost)
	require.Zero(t, c.basePoint(nil).Pairs)
}

func TestFewPairsHaveNoInterval(t *testing.T) {
	c := &Curve{Bars: []Bar{{X: 1, Of: Ratio, Most: 1}}}
	for n, want := range map[int]string{1: "2 (of 1)", 3: "2 (of 3)", 4: "2 [2, 2]"} {
		mine, base := make([]Sample, n), make([]Sample, n)
		for i := range n {
			mine[i], base[i] = sample(20), sample(10)
		}
		p := c.point(1, samples{mine, base}, 1)
		require.Equal(t, want, p.ratioText())
		require.Equal(t, n <= fewPairs, c.judge(&p)[0].CI == gauge.Interval{})
	}
}
