package load

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
)

func TestEverySecondOffersWhatTheScheduleSays(t *testing.T) {
	perSecond := func(n uint64) schedule.Rate { return schedule.Rate{Requests: n, Per: time.Second} }
	for name, spec := range map[string]schedule.Spec{
		"a ramp and a plateau": {Stages: []schedule.Stage{{From: perSecond(10), To: perSecond(300), For: 4 * time.Second}, {From: perSecond(300), To: perSecond(300), For: 2500 * time.Millisecond}}},
		"Poisson":              {Stages: []schedule.Stage{{From: perSecond(200), To: perSecond(200), For: 5 * time.Second}}, Poisson: true, Seed: 3},
		"recorded":             {Recorded: []time.Duration{0, 0, time.Second, 2500 * time.Millisecond, 7 * time.Second}, Speed: 2},
		"a warm-up":            {Stages: []schedule.Stage{{From: perSecond(7), To: perSecond(7), For: 5 * time.Second}}, WarmUp: 2300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				truth, err := spec.Schedule()
				require.NoError(t, err)
				want := map[part]uint64{}
				for n := uint64(0); ; n++ {
					due, more := truth.At(n)
					if !more {
						require.Equal(t, spec.Count(), n)
						break
					}
					want[part{secondOf(due), due < spec.WarmUp}]++
				}
				got := map[part]uint64{}
				run := simulate(t, Config{Schedule: &spec, Plan: planOf("http://a/"),
					Client: answersAfter(func(*targets.Request) time.Duration { return 3 * time.Millisecond }),
					Each: func(i results.Interval) {
						if i.Offered > 0 {
							got[part{i.Second, i.Phase == results.WarmUp}] += i.Offered
						}
					}})
				require.Equal(t, want, got)
				require.Equal(t, spec.Count(), run.Total[""].Count+run.Warm[""].Count)
				require.Equal(t, spec.Count(), run.Header.Planned)
				require.LessOrEqual(t, run.Total[""].Lag.Max(), 100*time.Microsecond, "the waker's least sleep")
				require.Empty(t, run.End.Invalid)
			})
		})
	}
}

func TestWhoWatchesSlowlyHoldsUpNothingAndSeesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var watching atomic.Int64
		var last results.Snapshot
		run := simulate(t, Config{
			Schedule: constant(100, 5*time.Second), Plan: planOf("http://a/"), Client: instant(),
			Watch: func(s results.Snapshot) {
				require.EqualValues(t, 1, watching.Add(1), "one call at a time")
				time.Sleep(1700 * time.Millisecond)
				last = s
				watching.Add(-1)
			},
		})
		require.EqualValues(t, 500, run.Total[""].Count)
		require.LessOrEqual(t, run.Total[""].Lag.Max(), 64*time.Nanosecond)
		require.True(t, last.Ended)
		require.EqualValues(t, 500, last.Completed)
		require.Equal(t, run.Header.ID, last.Header.ID)
		require.Equal(t, run.End.Invalid, last.Invalid)
	})
}

func TestARunBeginsAtTheInstantThatItsHeaderSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begins := time.Now().Add(3 * time.Second).Round(0) // as it comes from a file, without a monotonic clock
		var first time.Time
		client := answersAfter(func(*targets.Request) time.Duration {
			if first.IsZero() {
				first = time.Now()
			}
			return 0
		})
		run := simulate(t, Config{Header: results.Header{Started: begins, ID: "mine"}, Schedule: constant(1, 2*time.Second), Plan: planOf("http://a/"), Client: client})
		require.Equal(t, begins, first.Round(0))
		require.Equal(t, begins, run.Header.Started)
		require.Equal(t, "mine", run.Header.ID)
		require.LessOrEqual(t, run.Total[""].Lag.Max(), 64*time.Nanosecond)
	})
}

func TestARunThatIsEndedBeforeItsFirstInstantTookNoTime(t *testing.T) {
	for _, open := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			cfg := Config{Header: results.Header{Started: time.Now().Add(3 * time.Second), ID: "mine"}, Plan: planOf("http://a/"), Client: instant()}
			if open {
				cfg.Schedule = constant(1, 2*time.Second)
			} else {
				cfg.Closed = &Closed{Callers: 1, For: 2 * time.Second}
			}
			run, err := Run(ctx, cfg)
			require.NoError(t, err)
			require.Zero(t, run.Total[""].Count)
			require.Zero(t, run.End.Elapsed)
			require.Zero(t, run.End.Issued)
			require.Equal(t, "interrupted", run.End.Reason)
		})
	}
}

func TestRandomArrivalsOfADayAreNotDrawnBeforeTheRun(t *testing.T) {
	day := schedule.Constant(schedule.Rate{Requests: 20_000, Per: time.Second}, 24*time.Hour)
	cfg := Config{Schedule: &day, Plan: planOf("http://a/"), Client: instant()}
	require.NoError(t, cfg.Prepare(time.Now()))
	require.EqualValues(t, 20_000*24*3600, cfg.Header.Planned)
	day.Poisson = true
	begun := time.Now()
	require.NoError(t, cfg.Prepare(time.Now()))
	require.Zero(t, cfg.Header.Planned)
	require.Less(t, time.Since(begun), 5*time.Second)
}
