package capacity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// Step is what so many callers got.
type Step struct {
	Point
	P50    float64 `json:"p50_us"` // of the response time
	P99    float64 `json:"p99_us"`
	Mean   float64 `json:"mean_us"`
	Errors float64 `json:"errors"` // as a share
	// Mostly is what most of the errors were; empty if there was none.
	Mostly string `json:"mostly,omitempty"`
}

// Steps measures one number of callers after another.
type Steps struct {
	// Callers are the numbers, each of one or more; see Doubling.
	Callers []int
	// Measure makes a closed run of so many callers. When ctx ends it ends early.
	Measure func(ctx context.Context, callers int) (Step, error)
	// Pause is how long the server is left alone between two steps; 0 means not at all.
	Pause time.Duration
	// Seed makes the intervals repeatable.
	Seed uint64
	// Began and Ended, if not nil, are called before and after every step.
	Began func(callers, number, of int)
	Ended func(Step)
}

// Doubling returns 1, 2, 4 and so on up to most, which is the last in any case.
func Doubling(most int) []int {
	var callers []int
	for n := 1; n < most; n *= 2 {
		callers = append(callers, n)
	}
	return append(callers, most)
}

// Run measures the steps and fits the law. It ends early when ctx does, and the report has the
// steps that were whole by then, and when none of the requests of the first succeeded. A law that
// cannot be fitted is told in the report; the error is that a step could not be measured, or that
// none was.
func (s Steps) Run(ctx context.Context) (*Report, error) {
	report := &Report{}
	for i, callers := range s.Callers {
		if i > 0 {
			wait(ctx, s.Pause)
		}
		if ctx.Err() != nil {
			break
		}
		if s.Began != nil {
			s.Began(callers, i+1, len(s.Callers))
		}
		step, err := s.Measure(ctx, callers)
		if ctx.Err() != nil {
			break // half a step
		}
		if err != nil {
			return nil, fmt.Errorf("%d callers: %w", callers, err)
		}
		step.Callers = callers
		report.Steps = append(report.Steps, step)
		if s.Ended != nil {
			s.Ended(step)
		}
		if report.NothingSucceeded() {
			break // more callers would only fail as well
		}
	}
	report.Interrupted = len(report.Steps) < len(s.Callers) && !report.NothingSucceeded()
	if len(report.Steps) == 0 {
		return nil, errors.New("no step was measured")
	}
	report.fit(s.Seed)
	return report, nil
}

// mostErrors is the share of failed requests beyond which a step is left out of the fit: what
// fails fast is no throughput.
const mostErrors = 0.01

// StepOf makes a step of a closed run: throughput counts what ended without an error.
func StepOf(run *results.Run, callers int) Step {
	s := Step{Point: Point{Callers: callers}}
	all := run.Total[""]
	if all == nil || all.Count == 0 {
		return s
	}
	s.P50, s.P99, s.Mean = micros(all.Response.Quantile(0.5)), micros(all.Response.Quantile(0.99)), micros(all.Response.Mean())
	s.Errors, s.Mostly = float64(all.Failed())/float64(all.Count), all.Mostly()
	took := run.Header.Length
	if took == 0 || run.End.Elapsed < took {
		took = run.End.Elapsed
	}
	if took -= run.Header.WarmUp; took > 0 {
		s.Throughput = float64(all.Count-min(all.Count, all.Failed())) / took.Seconds()
	}
	return s
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
