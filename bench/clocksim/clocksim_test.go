package clocksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/internal/clock"
)

const ms = time.Millisecond

// The figures promised at a sample a second and a resolution of 1 ms, once the
// rate is known. With the first five minutes included, the 99th percentile of an
// hour and a half lies up to 1 ms higher.
func TestTheEstimateIsAsCloseAsPromised(t *testing.T) {
	for _, c := range []struct {
		network Network
		p99     time.Duration
		width   time.Duration // mean half-width; 0 is not promised
	}{
		{Symmetric, 500 * time.Microsecond, 5*ms + 2500*time.Microsecond},
		{Asymmetric, 5200 * time.Microsecond, 7500*time.Microsecond + 2500*time.Microsecond},
		{Jitter, 2 * ms, 0},
		{HeavyTail, 1100 * time.Microsecond, 0},
	} {
		t.Run(c.network.Name, func(t *testing.T) {
			for seed := range uint64(3) {
				r := Run(Scenario{Network: c.network, Every: time.Second, Checks: 6000, Warmup: 5 * time.Minute, Seed: seed})
				require.Zero(t, r.Outside, r)
				require.Zero(t, r.Steps, r)
				require.LessOrEqual(t, r.P99Error, c.p99, r)
				if c.width > 0 {
					require.LessOrEqual(t, r.MeanHalfWidth, c.width, r)
				}
			}
		})
	}
}

func TestTheBoundHoldsWhileTheLocalClockIsSlewed(t *testing.T) {
	for _, network := range Networks {
		for _, rate := range []float64{500e-6, -500e-6} {
			r := Run(Scenario{Network: network, Every: time.Second, Checks: 2000, Drift: 20e-6,
				Slew: Slew{From: 10 * time.Minute, For: 400 * time.Second, Rate: rate}})
			require.Zero(t, r.Outside, r)
		}
	}
}

func TestADateHeaderAloneGivesTenMillisecondsAfterEightRequests(t *testing.T) {
	for seed := range uint64(200) {
		got := Burst(Scenario{Network: Constant(5*ms, 5*ms), Resolution: time.Second, Processing: 1, Seed: seed}, 8)
		require.LessOrEqual(t, got, 10*ms, seed)
	}
}

func TestTheBoundIsNeverWrongInAnyWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Run(Scenario{
			Network:    rapid.SampledFrom(append(Networks, Constant(ms, 30*ms))).Draw(t, "network"),
			Resolution: rapid.SampledFrom([]time.Duration{1, ms, time.Second}).Draw(t, "resolution"),
			Every:      rapid.SampledFrom([]time.Duration{0, 100 * ms, time.Second, 30 * time.Second}).Draw(t, "every"),
			Drift:      rapid.Float64Range(-90e-6, 90e-6).Draw(t, "drift"),
			Slew: Slew{
				From: time.Duration(rapid.IntRange(0, 600).Draw(t, "from")) * time.Second,
				For:  time.Duration(rapid.IntRange(0, 600).Draw(t, "for")) * time.Second,
				Rate: rapid.Float64Range(-500e-6, 500e-6).Draw(t, "slew"),
			},
			Checks: 500,
			Seed:   rapid.Uint64().Draw(t, "seed"),
		})
		require.Zero(t, r.Outside, r)
	})
}

// A judge that cannot condemn proves nothing: a clock that drifts faster than
// believed must be caught.
func TestTheJudgeCatchesABoundThatIsTooTight(t *testing.T) {
	r := Run(Scenario{Network: Symmetric, Every: 30 * time.Second, Drift: 900e-6, Checks: 2000,
		Config: clock.Config{MaxRate: 50e-6}})
	require.Positive(t, r.Outside)
}

func TestAStepIsNoticedByTheNextSample(t *testing.T) {
	for _, by := range []time.Duration{50 * ms, -50 * ms, 500 * ms, -3 * time.Second} {
		r := Run(Scenario{Network: Symmetric, Every: time.Second, Checks: 2000, Steps: []Step{{At: 15 * time.Minute, By: by}}})
		require.Equal(t, 1, r.Steps, by)
		require.LessOrEqual(t, r.Outside, 2, "only between the step and the sample that shows it")
	}
}

func TestServersThatDisagreeAreCoveredOnceSeen(t *testing.T) {
	for _, spread := range []time.Duration{5 * ms, 20 * ms} {
		for _, network := range []Network{Symmetric, Asymmetric} {
			r := Run(Scenario{Network: network, Every: time.Second, Spread: spread, Checks: 2000, Warmup: 2 * time.Minute})
			require.LessOrEqual(t, r.Outside, 8, r)
			r = Run(Scenario{Network: network, Every: time.Second, Spread: spread, Checks: 2000, Config: clock.Config{Spread: spread}})
			require.Zero(t, r.Outside, r)
		}
	}
}

func TestARunIsDeterminedByItsSeed(t *testing.T) {
	s := Scenario{Network: HeavyTail, Every: time.Second, Checks: 500, Seed: 7}
	require.Equal(t, Run(s), Run(s))
}

// One iteration is one check; a million of them are the promise.
func BenchmarkCheck(b *testing.B) {
	s := Scenario{Network: Jitter, Every: time.Second, Checks: b.N, ChecksPerSample: 4}
	if r := Run(s); r.Outside > 0 {
		b.Fatal(r)
	}
}

func TestALastingSlewCostsTheEstimateOnlyItsBeginning(t *testing.T) {
	for _, rate := range []float64{500e-6, -500e-6} {
		r := Run(Scenario{Network: Symmetric, Every: time.Second, Checks: 10_000, Warmup: 20 * time.Minute,
			Slew: Slew{From: 10 * time.Minute, For: 24 * time.Hour, Rate: rate}})
		require.LessOrEqual(t, r.P99Error, ms, r)
	}
}
