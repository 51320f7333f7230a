package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/slo"
)

// Outcome says whether a run can be believed, and what became of its objectives.
type Outcome struct {
	// Word is VALID, INVALID or INCOMPLETE: the last is a file without an end, of a run that
	// crashed, or that is still going on.
	Word    string
	Reasons []string // why it is not VALID
	// NoneSucceeded says that every request failed. The figures can be believed all the same: they
	// are of failures.
	NoneSucceeded bool
	// Verdicts has one for each objective. One that nobody judged has not held.
	Verdicts []results.Verdict
}

// Judge reads a run's outcome.
func Judge(run *results.Run) Outcome {
	o := Outcome{Word: "VALID", Reasons: run.End.Invalid, NoneSucceeded: operation(run.Total, "").NoneSucceeded()}
	if len(o.Reasons) > 0 {
		o.Word = "INVALID"
	}
	if !run.Whole {
		o.Word = "INCOMPLETE"
		o.Reasons = append([]string{"the file has no end: the run crashed, or is still going on"}, o.Reasons...)
	}
	o.Verdicts = slices.Clone(run.End.Verdicts)
	for _, objective := range run.Header.Objectives {
		judged := func(v results.Verdict) bool { return v.Objective == objective }
		if !slices.ContainsFunc(o.Verdicts, judged) {
			o.Verdicts = append(o.Verdicts, results.Verdict{Objective: objective, Measured: "not judged"})
		}
	}
	return o
}

// Valid says that the figures are what they claim to be.
func (o Outcome) Valid() bool { return o.Word == "VALID" }

// Failed is how many objectives have not held.
func (o Outcome) Failed() int {
	n := 0
	for _, v := range o.Verdicts {
		if !v.Held {
			n++
		}
	}
	return n
}

// counts are of the main part of a run.
type counts struct {
	results.Counts
	over time.Duration // of the schedule
	run  *results.Run
}

func countsOf(run *results.Run) counts {
	c := counts{Counts: run.Counts, over: elapsedOf(run), run: run}
	if over := run.Header.RatesOver(run.End); over > 0 {
		c.over = over
	}
	if run.Header.Length > 0 {
		c.over = min(c.over, run.Header.Length)
		if run.Header.Model == "open" && run.End.Reason == "finished" {
			c.over = run.Header.Length // the last request is due before the end of its schedule
		}
	}
	c.over = max(c.over-run.Header.WarmUp, 0)
	return c
}

// elapsedOf is to the last interval if the end is missing.
func elapsedOf(run *results.Run) time.Duration {
	if run.End.Elapsed > 0 {
		return run.End.Elapsed
	}
	seconds := len(run.Series) * max(run.Step, 1)
	return time.Duration(min(seconds, 1<<33)) * time.Second
}

// sentRate is of what was sent while the schedule went on: what was sent while the run was
// drained is no rate that was held.
func (c counts) sentRate() float64 {
	if share, known := slo.Achieved(c.run); known {
		return share * c.rate(c.Offered)
	}
	return c.rate(c.Sent)
}

// completedRate is likewise of what ended while the schedule went on. A closed run has none:
// its last requests are as much of it as the others.
func (c counts) completedRate() float64 {
	if rate, known := slo.Rate(c.run); known && c.run.Header.Model == "open" {
		return rate
	}
	return c.rate(c.Completed)
}

// rate is a second; zero of no time.
func (c counts) rate(n uint64) float64 {
	if c.over <= 0 {
		return 0
	}
	return float64(n) / c.over.Seconds()
}

// modelOf says what kind of run it was, and what its latency means.
func modelOf(h results.Header) string {
	switch h.Model {
	case "open":
		return "open: requests are due by a schedule, whether or not earlier ones were answered; response counts from the instant due"
	case "closed":
		return fmt.Sprintf("closed: %s callers send when the last answer is in, so what did not arrive during a stall is omitted", thousands(uint64(max(h.Callers, 0))))
	}
	return Printable(h.Model)
}
