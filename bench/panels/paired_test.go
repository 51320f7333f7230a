package panels

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// noisy are blocks whose values spread by some percent about one, after a drift that both runs
// of a pair have.
func noisy(random *rand.Rand, blocks int, level, noise float64) numbers {
	ys := make(numbers, blocks)
	for i := range ys {
		ys[i] = level * (1 + float64(i)/float64(blocks)) * math.Exp(noise*random.NormFloat64())
	}
	return ys
}

func TestAPlantedDifferenceIsFoundAndNoDifferenceIsNot(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const trials = 200
	wrong, found, covered := 0, 0, 0
	for range trials {
		base := noisy(random, mostBlocks, 5, 0.08)
		same, ok := differ(base, noisy(random, mostBlocks, 5, 0.08))
		require.True(t, ok)
		if same.clear() {
			wrong++
		}
		slower, ok := differ(base, noisy(random, mostBlocks, 5*1.07, 0.08))
		require.True(t, ok)
		if slower.clear() && slower.Ratio > 1 {
			found++
		}
		if slower.Interval.Low <= 1.07 && slower.Interval.High >= 1.07 {
			covered++
		}
	}
	t.Logf("of %d: %d wrong, %d found, %d intervals have the truth", trials, wrong, found, covered)
	require.LessOrEqual(t, wrong, trials/10)
	require.GreaterOrEqual(t, found, trials*9/10)
	require.GreaterOrEqual(t, covered, trials*9/10)
}

// What disturbs a block disturbs the next, and that alone must not look like a difference.
func TestBlocksThatAreLikeTheirNeighboursAreNoDifference(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, blocks := range []int{leastBlocks, 20, mostBlocks} {
		for _, alike := range []float64{0, 0.5, 0.8} {
			const trials = 400
			series := func() numbers {
				ys, disturbance := make(numbers, blocks), 0.05*random.NormFloat64()/math.Sqrt(1-alike*alike)
				for i := range ys {
					disturbance = alike*disturbance + 0.05*random.NormFloat64()
					ys[i] = 5 * math.Exp(disturbance)
				}
				return ys
			}
			wrong := 0
			for range trials {
				if d, _ := differ(series(), series()); d.clear() {
					wrong++
				}
			}
			t.Logf("%d blocks, alike by %.1f: %.1f %%", blocks, alike, 100*float64(wrong)/trials)
			most := 0.1
			if blocks == leastBlocks {
				most = 0.15 // of eight that are so much alike nobody can tell that they are
			}
			require.LessOrEqual(t, float64(wrong)/trials, most, "%d blocks, alike by %.1f", blocks, alike)
		}
	}
}

func TestRunsAreComparedInTheSecondsTheyShareWithoutWarmUpAndDrain(t *testing.T) {
	m := usual()
	m.warm, m.stall, m.rate, m.knee = 13, 0, steady(400), 0
	base, run := m.run(), m.run()
	for i := range base.Series { // in the warm-up and while it drains one is a hundred times slower
		in := &run.Series[i]
		if in.Phase == results.WarmUp {
			slow(in, 100)
		} else {
			slow(in, 2)
		}
	}
	drained := results.Interval{Second: 120, Phase: results.Main, Completed: 1, Operations: base.Series[0].Operations}
	base.Series, run.Series = append(base.Series, drained), append(run.Series, drained)
	c := compare(base, run)
	require.Empty(t, c.refusal)
	require.Equal(t, 2.0, c.length)
	for _, d := range c.differences {
		if d.Unit == "ms" && d.Name != "CPU a request" {
			require.Equal(t, 53, d.Blocks, d.Name) // 14 to 119: second 13 shares its block with warm-up
			require.InDelta(t, 2, d.Ratio, 0.01, d.Name)
			require.True(t, d.clear(), d.Name)
		} else {
			require.Equal(t, 1.0, d.Ratio, d.Name)
			require.False(t, d.clear(), d.Name)
		}
	}
	require.Len(t, c.differences, 7)
	require.Equal(t, c, compare(base, run), "the resamples are the same each time")
}

// slow makes every request of an interval so many times slower.
func slow(in *results.Interval, times time.Duration) {
	for name, o := range in.Operations {
		slower := *o
		slower.Response, slower.Service = results.NewHistogram(), results.NewHistogram()
		for q := 0.005; q < 1; q += 0.01 {
			slower.Response.Record(o.Response.Quantile(q) * times)
			slower.Service.Record(o.Service.Quantile(q) * times)
		}
		in.Operations[name] = &slower
	}
}

func TestRunsOfDifferentStepsAreComparedInBlocksOfBoth(t *testing.T) {
	m := usual()
	m.warm, m.stall, m.rate, m.knee = 0, 0, steady(400), 0
	fine, coarse := m, m
	fine.step, coarse.step = 2, 3
	c := compare(fine.run(), coarse.run())
	require.Empty(t, c.refusal)
	require.Equal(t, 6.0, c.length)
	for _, d := range c.differences {
		require.Equal(t, 20, d.Blocks, d.Name)
	}
}

func TestUnlikeRunsAreNotCompared(t *testing.T) {
	base := usual()
	base.stall = 0
	closed, other, short := base, base, base
	closed.closed, other.rate, short.seconds = true, steady(5), 14
	for want, pair := range map[string][2]*results.Run{
		"one is open and the other closed": {base.run(), closed.run()},
		"their schedules differ":           {base.run(), other.run()},
		"they have fewer than 8 blocks":    {short.run(), short.run()},
		"they replay different recordings": {recorded(5), recorded(6)},
		"their callers differ":             {closed.run(), callers(closed.run(), 8)},
	} {
		c := compare(pair[0], pair[1])
		require.Contains(t, c.refusal, want)
		require.Contains(t, c.says("A", "B"), "no difference is given: "+want)
	}
	apart := base.run()
	apart.Header.Environment.Go, apart.Header.Environment.Host = "go1.27", "elsewhere"
	require.Contains(t, compare(base.run(), apart).says("A", "B"), "What else differs between them: machine and Go.")
	seeded := base.run()
	seeded.Header.Schedule.Seed = 99
	require.Empty(t, compare(base.run(), seeded).refusal, "another seed is another draw of the same schedule")
}

func recorded(n uint64) *results.Run {
	return &results.Run{Header: results.Header{Model: "open", Planned: n, Schedule: schedule.Spec{}}, Step: 1}
}

func callers(run *results.Run, n int) *results.Run {
	run.Header.Callers = n
	return run
}

func TestTheForestIsAsWideAsItsIntervalsAndNamesRoundRatios(t *testing.T) {
	f := &forest{}
	f.add("B", difference{Name: "p50", Ratio: 1.5, Interval: interval(1.4, 1.6)})
	f.add("B", difference{Name: "p99", Ratio: 0.99, Interval: interval(0.9, 1.1)})
	f.scale()
	for _, r := range f.Rows {
		require.LessOrEqual(t, forestLeft, r.Low)
		require.LessOrEqual(t, r.Low, r.At)
		require.LessOrEqual(t, r.At, r.High)
		require.LessOrEqual(t, r.High, forestRight)
	}
	require.Equal(t, "clear", f.Rows[0].Tone)
	require.Empty(t, f.Rows[1].Tone)
	require.Greater(t, f.Rows[0].Low, f.One)
	require.Equal(t, "1 ×", f.Ticks[0].Text)
	require.GreaterOrEqual(t, len(f.Ticks), 3)
	empty := &forest{}
	empty.scale()
	require.Empty(t, empty.Rows)
}

func interval(low, high float64) gauge.Interval { return gauge.Interval{Low: low, High: high} }

func TestADifferenceOfRunsThatAreNotValidSaysSo(t *testing.T) {
	m := usual()
	m.stall = 0
	invalid, crashed := m.run(), m.run()
	invalid.End.Invalid, crashed.Whole = []string{"lag"}, false
	require.Contains(t, compare(m.run(), invalid).says("A", "B"), "The second run is not valid, so this may be a difference of the harness.")
	require.Contains(t, compare(crashed, m.run()).says("A", "B"), "The first run is not valid")
	require.Contains(t, compare(crashed, invalid).says("A", "B"), "Neither run is valid")
	require.NotContains(t, compare(m.run(), m.run()).says("A", "B"), "valid")
}
