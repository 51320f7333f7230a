package clocksim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAWallClockStepLeavesTheMonotonicReadingAlone(t *testing.T) {
	epoch := time.Now()
	for _, by := range []time.Duration{5 * time.Second, -5 * time.Second, -40 * 24 * time.Hour} {
		w := World{WallSteps: []Step{{At: time.Hour, By: by}}}
		before, after := w.Instant(epoch, time.Hour-1), w.Instant(epoch, time.Hour)
		require.InDelta(t, 1, after.Sub(before), 1, "monotonic")
		require.InDelta(t, by, after.Round(0).Sub(before.Round(0)), 2, "wall")
		require.Equal(t, before.Add(by).Location(), after.Location())
	}
	bare := epoch.Round(0)
	require.Equal(t, bare.Add(5*time.Second), stepWall(bare, 5*time.Second), "no monotonic reading")
}

func TestAWallClockStepChangesNothing(t *testing.T) {
	s := Scenario{Network: Jitter, Every: time.Second, Checks: 1000, Seed: 3}
	still := Run(s)
	s.WallSteps = []Step{{At: 100 * time.Second, By: 5 * time.Second}, {At: 200 * time.Second, By: -5 * time.Second}}
	require.Equal(t, still, Run(s))
}

func TestWhenInvertsLocal(t *testing.T) {
	w := World{Drift: -20e-6, Slew: Slew{From: time.Minute, For: time.Hour, Rate: 500e-6}}
	for _, at := range []time.Duration{0, time.Second, 30 * time.Minute, 24 * time.Hour} {
		require.InDelta(t, at, w.When(w.Local(at)), 2)
	}
}

func TestRunsAreJudgedTogether(t *testing.T) {
	s := Scenario{Network: Jitter, Every: time.Second, Checks: 200}
	one := Run(s)
	s.Seed = 1
	both := RunAll(Scenario{Network: Jitter, Every: time.Second, Checks: 200}, s)
	require.Equal(t, 400, both.Checks)
	require.GreaterOrEqual(t, both.MaxError, one.MaxError)
	require.Greater(t, both.Samples, one.Samples)
}

func TestFailuresBeforeAStepCanBeSeenAreCountedApart(t *testing.T) {
	r := Run(Scenario{Network: Symmetric, Every: 10 * time.Second, Checks: 4000, ChecksPerSample: 20,
		Steps: []Step{{At: 15 * time.Minute, By: time.Second}}})
	require.Positive(t, r.Outside)
	require.Equal(t, r.Outside, r.Unseen)
	require.Equal(t, 1, r.Steps)
}
