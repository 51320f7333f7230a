package search

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/slo"
)

// queue is a server whose response grows like that of a queue, and fails beyond an edge.
func queue(edge float64) func(context.Context, float64) (Trial, error) {
	return func(_ context.Context, rate float64) (Trial, error) {
		t := Trial{Outcome: Held, Completed: rate, P50: 300, P99: 1000 / math.Max(0.01, 1-rate/1100), Lag: 50}
		if rate > edge {
			t.Outcome, t.Why = Failed, "p99<5ms: 7ms"
		}
		return t, nil
	}
}

func TestAReportHasBothNumbersAndAllTrials(t *testing.T) {
	var began, ended int
	report, err := Trials{
		Config: Config{From: 100, To: 10_000}, Try: queue(1000),
		Began: func(float64, Phase, int) { began++ }, Ended: func(Trial, int, int) { ended++ },
	}.Run(t.Context())
	require.NoError(t, err)
	report.Objectives = []string{"p99<5ms"}
	require.Equal(t, len(report.Trials), began)
	require.Equal(t, began, ended)
	require.InDelta(t, 990, report.HeldAbove, 10)
	require.InDelta(t, report.HeldAbove/1.02, report.Held, 0.01)
	var text, machine bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	for _, want := range []string{"held 5 of 5 at 9", "a width above\nfirst failed at 1", "p99<5ms: 7ms", "response p99 over the rate, 100/s to 1,600/s", "┤", "doubling", "confirming", "objectives: p99<5ms"} {
		require.Contains(t, text.String(), want)
	}
	require.NoError(t, report.WriteJSON(&machine))
	var read Report
	require.NoError(t, json.Unmarshal(machine.Bytes(), &read))
	require.Equal(t, *report, read)
}

func TestWhatALimitIsIsSaid(t *testing.T) {
	for _, test := range []struct {
		report Report
		want   []string
	}{
		{Report{From: 10, To: 100, Answer: Answer{FirstFailed: 10, Done: true}}, []string{"not even 10/s", "first failed at 10/s"}},
		{Report{From: 10, To: 100, Answer: Answer{Held: 100, Of: 5, Highest: 100, Done: true}}, []string{"held 5 of 5 at 100/s", "nothing failed up to 100/s"}},
		{Report{From: 10, To: 100, Trials: []Trial{{Rate: 50, Outcome: Invalid, Why: "late"}}, Answer: Answer{Held: 40, Of: 5, Highest: 40, FirstInvalid: 50, Done: true}},
			[]string{"held 5 of 5 at 40/s", "the harness is the limit at 50/s: late; the server may hold more"}},
		{Report{From: 10, To: 100, Answer: Answer{Highest: 40, FirstFailed: 10, Done: true}}, []string{"no rate was confirmed", "first failed at 10/s"}},
		{Report{From: 10, To: 100, Interrupted: true, Answer: Answer{Highest: 40}}, []string{"interrupted: a trial held at 40/s"}},
		{Report{From: 10, To: 100, Interrupted: true}, []string{"no trial held yet"}},
	} {
		for _, want := range test.want {
			require.Contains(t, test.report.Conclusion(), want)
		}
	}
}

func TestTheServerIsLeftAloneBetweenTrials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		report, err := Trials{Config: Config{From: 1, To: 2, Confirmations: 1}, Pause: time.Second, Try: queue(1e9)}.Run(t.Context())
		require.NoError(t, err)
		require.Len(t, report.Trials, 3)
		require.Equal(t, 2*time.Second, time.Since(began))
	})
}

func TestAnInterruptedSearchSaysWhatItKnows(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	try := queue(1000)
	report, err := Trials{Config: Config{From: 100, To: 10_000}, Try: func(ctx context.Context, rate float64) (Trial, error) {
		if rate == 400 {
			interrupt()
			return Trial{}, ctx.Err()
		}
		return try(ctx, rate)
	}}.Run(ctx)
	require.NoError(t, err)
	require.True(t, report.Interrupted)
	require.Len(t, report.Trials, 2)
	require.False(t, report.Done)
	require.Contains(t, report.Conclusion(), "held at 200/s, which was not confirmed")
}

func TestATrialThatCannotBeMadeEndsTheSearch(t *testing.T) {
	broken := errors.New("broken")
	_, err := Trials{Config: Config{From: 1, To: 2}, Try: func(context.Context, float64) (Trial, error) { return Trial{}, broken }}.Run(t.Context())
	require.ErrorIs(t, err, broken)
	_, err = Trials{}.Run(t.Context())
	require.ErrorContains(t, err, "lowest rate")
}

// made is a run of ten seconds at 100/s, all in 3 ms.
func made(change func(*results.Run)) *results.Run {
	h := results.NewHistogram()
	h.RecordN(3*time.Millisecond, 1000)
	run := &results.Run{
		Header: results.Header{Model: "open", Length: 10 * time.Second}, Whole: true, Step: 1,
		Total: map[string]*results.Operation{"": {Count: 1000, Response: h, Errors: map[string]uint64{}}},
	}
	for second := range 10 {
		run.Series = append(run.Series, results.Interval{Second: second, Phase: results.Main, Offered: 100, Sent: 100, Completed: 100})
	}
	change(run)
	return run
}

func TestATrialIsJudged(t *testing.T) {
	objectives, err := slo.ParseAll([]string{"p99<5ms", "errors<1%"})
	require.NoError(t, err)
	for _, test := range []struct {
		what   string
		change func(*results.Run)
		want   Outcome
		why    string
	}{
		{"fine", func(*results.Run) {}, Held, ""},
		{"slow", func(r *results.Run) { r.Total[""].Response.RecordN(time.Second, 20) }, Failed, "p99<5ms: 1s"},
		{"errors", func(r *results.Run) { r.Total[""].Errors["status 503"] = 10 }, Failed, "errors<1%: 1%; errors are mostly status 503"},
		{"harness", func(r *results.Run) { r.End.Invalid = []string{"late"}; r.Total[""].Errors["x"] = 999 }, Invalid, "late"},
		{"not sent", func(r *results.Run) { r.Series[9].Sent = 80 }, Failed, "only 98.0 %"},
		{"unfinished", func(r *results.Run) { r.End.Unfinished = 11 }, Failed, "11 of 1000 were unfinished"},
		{"nothing", func(r *results.Run) { r.Total = nil }, Failed, "nothing was measured"},
	} {
		trial := TrialOf(made(test.change), 100, objectives)
		require.Equal(t, test.want, trial.Outcome, test.what)
		require.Contains(t, trial.Why, test.why)
	}
	trial := TrialOf(made(func(*results.Run) {}), 100, objectives)
	require.InDelta(t, 3000, trial.P50, 5)
	require.InDelta(t, 100, trial.Completed, 1e-9)
}
