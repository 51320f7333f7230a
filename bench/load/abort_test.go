package load

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/slo"
	"github.com/sluice-engine/sluice/bench/targets"
)

// slowAtFirst takes 50 ms for its first requests, and 1 ms for the others.
func slowAtFirst(first int64) ClientFunc {
	var n atomic.Int64
	return func(ctx context.Context, _ *targets.Request, _ *Answer) {
		took := time.Millisecond
		if n.Add(1) <= first {
			took = 50 * time.Millisecond
		}
		pause(ctx, took)
	}
}

func objectives(t *testing.T, texts ...string) []slo.Objective {
	all, err := slo.ParseAll(texts)
	require.NoError(t, err)
	return all
}

func TestARunEndsEarlyOnceNothingCanMendAnObjective(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := simulate(t, Config{
			Schedule: constant(100, 30*time.Second), Plan: planOf("http://h/"), Client: slowAtFirst(math.MaxInt64),
			Objectives: objectives(t, "p99<5ms"), Abort: 2 * time.Second,
		})
		require.Equal(t, "objective failed", run.End.Reason)
		require.GreaterOrEqual(t, run.End.Elapsed, 2*time.Second, "not before it may")
		require.Less(t, run.End.Elapsed, 4*time.Second)
		require.False(t, run.End.Verdicts[0].Held)
		require.Contains(t, run.End.Notes[0], "p99<5ms")
	})
}

// After two seconds 15 of 200 have been slow, which is more than 5 %, and in the end 15 of 400.
func TestARunThatCanStillHoldItsObjectivesGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := simulate(t, Config{
			Schedule: constant(100, 4*time.Second), Plan: planOf("http://h/"), Client: slowAtFirst(15),
			Objectives: objectives(t, "p95<5ms", "achieved>=99%", "rate>99/s", "unfinished<1"), Abort: time.Second,
		})
		require.Equal(t, "finished", run.End.Reason)
		require.EqualValues(t, 400, run.Total[""].Count)
		for _, verdict := range run.End.Verdicts {
			require.True(t, verdict.Held, "%s: %s", verdict.Objective, verdict.Measured)
		}
	})
}

func TestAClosedRunOfAKnownLengthEndsEarlyToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := simulate(t, Config{
			Closed: &Closed{Callers: 2, For: time.Minute}, Plan: planOf("http://h/"), Client: slowAtFirst(math.MaxInt64),
			Objectives: objectives(t, "p50<5ms"), Abort: time.Second,
		})
		require.Equal(t, "objective failed", run.End.Reason)
		require.Less(t, run.End.Elapsed, 50*time.Second)
		require.Equal(t, results.Main, run.Series[0].Phase)
	})
}
