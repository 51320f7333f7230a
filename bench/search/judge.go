package search

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/slo"
)

// Trial is what became of one rate.
type Trial struct {
	Rate    float64 `json:"rate"` // asked for, in requests a second
	Phase   Phase   `json:"phase"`
	Outcome Outcome `json:"outcome"`
	// Why says what failed, or why the harness was the limit.
	Why string `json:"why,omitempty"`
	// Completed is how many ended a second. P50 and P99 are of the response time, in
	// microseconds, Lag of the harness's own at p99.
	Completed float64 `json:"completed"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	Lag       float64 `json:"lag_p99_us"`
}

const (
	leastAchieved  = 0.99 // of the rate, for a trial to hold
	mostUnfinished = 0.01 // of the requests that were due, likewise
)

// Judge says what a run of a rate became. A run in which the harness could not hold the rate
// counts for nothing. One that held it holds if every objective does, 99 % of what was due was
// sent before the end, and 99 % ended before the drain did.
func Judge(run *results.Run, objectives []slo.Objective) (Outcome, string) {
	if len(run.End.Invalid) > 0 {
		return Invalid, strings.Join(run.End.Invalid, "; ")
	}
	var failed []string
	verdicts, _ := slo.JudgeAll(objectives, run)
	for _, v := range verdicts {
		if !v.Held {
			failed = append(failed, fmt.Sprintf("%s: %s", v.Objective, v.Measured))
		}
	}
	all := run.Total[""]
	if all != nil && len(failed) > 0 && all.Failed() > 0 {
		failed = append(failed, "errors are mostly "+all.Mostly())
	}
	if all == nil || all.Count == 0 {
		return Failed, "nothing was measured"
	}
	if len(failed) == 0 { // otherwise it may have been ended early for that
		if achieved, known := slo.Achieved(run); known && achieved < leastAchieved {
			failed = append(failed, fmt.Sprintf("only %.1f %% of what was due was sent in time", 100*achieved))
		}
		if float64(run.End.Unfinished) > mostUnfinished*float64(all.Count) {
			failed = append(failed, fmt.Sprintf("%d of %d were unfinished at the end", run.End.Unfinished, all.Count))
		}
	}
	if len(failed) > 0 {
		return Failed, strings.Join(failed, "; ")
	}
	return Held, ""
}

// TrialOf makes a trial of a run.
func TrialOf(run *results.Run, rate float64, objectives []slo.Objective) Trial {
	t := Trial{Rate: rate}
	t.Outcome, t.Why = Judge(run, objectives)
	t.Completed, _ = slo.Rate(run)
	if all := run.Total[""]; all != nil {
		t.P50, t.P99, t.Lag = micros(all.Response, 0.5), micros(all.Response, 0.99), micros(all.Lag, 0.99)
	}
	return t
}

func micros(h *results.Histogram, q float64) float64 {
	return float64(h.Quantile(q)) / float64(time.Microsecond)
}
