package capacity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
)

// lawful is a server that obeys a law, with 2 % of noise.
func lawful(law Law) func(context.Context, int) (Step, error) {
	random := rand.New(rand.NewPCG(1, 2))
	return func(_ context.Context, callers int) (Step, error) {
		x := law.At(float64(callers)) * math.Exp(0.02*random.NormFloat64())
		return Step{Point: Point{Throughput: x}, P50: 1e6 * float64(callers) / x, P99: 2e6 * float64(callers) / x}, nil
	}
}

func TestStepsDoubleUpToTheMost(t *testing.T) {
	require.Equal(t, []int{1}, Doubling(1))
	require.Equal(t, []int{1, 2, 4, 8}, Doubling(8))
	require.Equal(t, []int{1, 2, 4, 8, 10}, Doubling(10))
}

func TestAReportHasTheLawAndItsPeak(t *testing.T) {
	law := Law{Lambda: 1000, Sigma: 0.02, Kappa: 0.0005}
	report, err := Steps{Callers: Doubling(256), Measure: lawful(law)}.Run(t.Context())
	require.NoError(t, err)
	require.InEpsilon(t, law.Peak(), report.Peak.Callers, 0.2)
	require.InEpsilon(t, law.At(law.Peak()), report.Peak.Throughput, 0.1)
	require.Contains(t, []int{32, 64}, report.Best().Callers)
	report.Predict(512)
	report.Predict(513)
	var text, machine bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	for _, want := range []string{"512 callers: ", "/s by the law", "513 callers: no prediction: 513 callers are more than twice the 256", "closed model", "callers  throughput", "measured: ", "law: λ ", "peak: ", "N* = ", "throughput over callers, 1 to 256, logarithmic: ─ measured, · law", "┤"} {
		require.Contains(t, text.String(), want)
	}
	require.NotContains(t, text.String(), "\x1b", "no colours in what may be a file")
	require.NotContains(t, text.String(), "fits badly")
	require.NoError(t, report.WriteJSON(&machine))
	var read Report
	require.NoError(t, json.Unmarshal(machine.Bytes(), &read))
	require.Equal(t, report.Steps, read.Steps)
	require.Equal(t, report.Peak, read.Peak)
	require.Equal(t, report.Fit.SigmaCI, read.Fit.SigmaCI)
}

func TestAPeakFarBeyondIsNotPredicted(t *testing.T) {
	report, err := Steps{Callers: Doubling(32), Measure: lawful(Law{Lambda: 1000, Sigma: 0.01})}.Run(t.Context())
	require.NoError(t, err)
	require.Nil(t, report.Peak)
	var text bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	require.Contains(t, text.String(), "none is predicted: ")
	require.Contains(t, text.String(), "measure with more")
}

func TestALawThatFitsBadlyIsSaidToDoSo(t *testing.T) {
	report, err := Steps{Callers: Doubling(64), Measure: func(_ context.Context, n int) (Step, error) {
		return Step{Point: Point{Throughput: []float64{100, 1000}[n%3/2]}}, nil
	}}.Run(t.Context())
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	require.Contains(t, text.String(), "the law fits badly")
}

func TestStepsThatFailedAreLeftOutOfTheFit(t *testing.T) {
	fine := lawful(Law{Lambda: 1000, Sigma: 0.02, Kappa: 0.0005})
	report, err := Steps{Callers: Doubling(128), Measure: func(ctx context.Context, n int) (Step, error) {
		s, err := fine(ctx, n)
		switch n {
		case 64:
			s.Errors, s.Throughput = 0.5, 1e6
		case 128:
			s.Throughput = 0
		}
		return s, err
	}}.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 32, report.Fit.Measured)
	require.Contains(t, report.Notes[0], "64 callers: 50.0 % of the requests failed")
	require.Contains(t, report.Notes[1], "128 callers: nothing was answered")
}

func TestAnInterruptionLeavesTheWholeSteps(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	fine := lawful(Law{Lambda: 1000, Sigma: 0.02})
	report, err := Steps{Callers: Doubling(64), Measure: func(ctx context.Context, n int) (Step, error) {
		if n == 8 {
			interrupt()
		}
		return fine(ctx, n)
	}}.Run(ctx)
	require.NoError(t, err)
	require.Len(t, report.Steps, 3)
	require.True(t, report.Interrupted)
	require.Contains(t, report.NoFit, "too few")
	report.Predict(2)
	require.Equal(t, report.NoFit, report.Predictions[0].Refused)
	var text bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	require.Contains(t, text.String(), "no law was fitted: 3 steps are too few")
	_, err = Steps{Callers: Doubling(64), Measure: fine}.Run(ctx)
	require.Error(t, err)
	broken := errors.New("broken")
	_, err = Steps{Callers: Doubling(64), Measure: func(context.Context, int) (Step, error) { return Step{}, broken }}.Run(t.Context())
	require.ErrorIs(t, err, broken)
}

func TestTheServerIsLeftAloneBetweenSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := Steps{Callers: Doubling(4), Pause: time.Second, Measure: lawful(Law{Lambda: 1})}.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(began))
	})
}

func TestThroughputIsOfWhatSucceededAfterTheWarmUp(t *testing.T) {
	h := results.NewHistogram()
	h.RecordN(3*time.Millisecond, 1000)
	run := &results.Run{
		Header: results.Header{Model: "closed", Length: 12 * time.Second, WarmUp: 2 * time.Second}, Whole: true,
		Total: map[string]*results.Operation{"": {Count: 1000, Response: h, Errors: map[string]uint64{"timeout": 100}}},
		End:   results.End{Elapsed: 13 * time.Second},
	}
	s := StepOf(run, 7)
	require.Equal(t, 7, s.Callers)
	require.InDelta(t, 90, s.Throughput, 1e-9)
	require.InDelta(t, 0.1, s.Errors, 1e-9)
	require.InDelta(t, 3000, s.P99, 5)
	run.End.Elapsed = 7 * time.Second
	require.InDelta(t, 180, StepOf(run, 7).Throughput, 1e-9, "it ended early")
	require.Zero(t, StepOf(&results.Run{}, 1).Throughput)
}

func TestADeadServerEndsTheStepsAndSaysWhy(t *testing.T) {
	steps := 0
	report, err := Steps{Callers: Doubling(64), Measure: func(context.Context, int) (Step, error) {
		steps++
		return Step{Errors: 1, Mostly: "refused: connection refused"}, nil
	}}.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, steps)
	require.True(t, report.NothingSucceeded())
	require.False(t, report.Interrupted)
	require.Contains(t, report.Notes[0], "1 callers: 100.0 % of the requests failed, so the step is left out of the fit; mostly refused: connection refused")
	require.False(t, (&Report{}).NothingSucceeded(), "of nothing")
}
