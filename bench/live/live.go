// Package live runs the whole engine against the simulated exchange over
// loopback, in real time, with a jittery network between them, and lets the
// exchange judge: how much of the limit was used, and how often it was broken.
package live

import (
	"context"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Scenario is one limit, driven to its end.
type Scenario struct {
	Name   string
	Quota  int64
	Per    time.Duration
	Policy exchange.Policy
	Window throttle.Window
	// Want is the least part of the limit that is to be used.
	Want float64
}

// Scenarios returns the three that are published.
func Scenarios() []Scenario {
	return []Scenario{
		{"10/s sliding", 10, time.Second, exchange.Sliding, throttle.Sliding, 0.94},
		{"100/s sliding", 100, time.Second, exchange.Sliding, throttle.Sliding, 0.96},
		{"1200/min fixed", 1200, time.Minute, exchange.Fixed, throttle.Fixed, 0.99},
	}
}

// Result is what the exchange saw.
type Result struct {
	Scenario    Scenario      `json:"-"`
	Name        string        `json:"scenario"`
	Requests    int64         `json:"requests"`
	Duration    time.Duration `json:"duration_ns"`
	Interrupted bool          `json:"interrupted,omitempty"` // before it had been driven for all its time
	Utilisation float64       `json:"utilisation"`           // accepted over what could have been
	Violations  int64         `json:"violations"`            // 429s, and everything else impolite
	Failures    int64         `json:"failures"`              // requests without an answer of status 200
}

// Good reports whether the limit was respected, and used, for all the time that was asked for.
func (r Result) Good() bool {
	return !r.Interrupted && r.Violations == 0 && r.Failures == 0 && r.Utilisation >= r.Scenario.Want
}

// Config says how the scenarios are run.
type Config struct {
	Duration time.Duration // of each, whole windows; they run side by side
	Jitter   exchange.Delay
	Seed     uint64
}

// Run drives the scenarios side by side: each has an exchange and an engine of
// its own.
func Run(ctx context.Context, scenarios []Scenario, config Config) ([]Result, error) {
	results := make([]Result, len(scenarios))
	errs := make([]error, len(scenarios))
	var all sync.WaitGroup
	for i, s := range scenarios {
		all.Go(func() { results[i], errs[i] = run(ctx, s, config) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

func run(ctx context.Context, s Scenario, config Config) (Result, error) {
	ex, err := exchange.New(exchange.Config{
		Limits: []exchange.Limit{{Kind: exchange.Weight, Quota: s.Quota, Per: s.Per, Policy: s.Policy}},
		Skew:   1500 * time.Millisecond, DriftPPM: 20,
		Delay: config.Jitter, ReturnDelay: config.Jitter, Seed: config.Seed,
	})
	if err != nil {
		return Result{}, err
	}
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		return Result{}, err
	}
	defer ex.Close()
	eng, err := engine.New(engine.Config{
		BaseURL:        url,
		Limits:         []throttle.Limit{{ID: "weight", Window: s.Window, Quota: s.Quota, Per: s.Per}},
		DefaultLimitID: "weight",
		Feedback:       feedback.Join(feedback.RetryAfter, feedback.BodyTime("serverTime")),
		Time:           engine.TimeFrom("/api/v3/time", "serverTime"),
		Connections:    engine.Connections{Max: 256},
	})
	if err != nil {
		return Result{}, err
	}
	defer eng.Close()
	if s.Window == throttle.Fixed {
		if err := awaitClock(ctx, eng); err != nil {
			return Result{}, err
		}
	}
	return drive(ctx, eng, ex, s, config)
}

// awaitClock waits for the first look at the exchange's clock: what is measured
// is the steady state.
func awaitClock(ctx context.Context, eng *engine.Engine) error {
	for eng.Clock().Bound() > time.Second {
		if _, err := eng.Do(ctx, &engine.Request{Path: "/api/v3/time", Timeout: 10 * time.Second}); err != nil {
			return err
		}
	}
	return nil
}

// drive keeps more requests waiting than the limit lets through, from the
// beginning of one window of the exchange to the beginning of a later one.
func drive(ctx context.Context, eng *engine.Engine, ex *exchange.Exchange, s Scenario, config Config) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failures int64
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := ex.Now()
	for range 2*s.Quota + 50 {
		all.Go(func() {
			for ctx.Err() == nil {
				resp, err := eng.Do(ctx, &engine.Request{Path: "/api/v3/time"})
				if err == nil && resp.StatusCode == 200 || ctx.Err() != nil {
					continue
				}
				mu.Lock()
				failures++
				mu.Unlock()
			}
		})
	}
	interrupted := false
	select {
	case <-ctx.Done():
		interrupted = true
	case <-time.After(config.Duration):
	}
	report, elapsed := ex.Report(), ex.Now().Sub(begin)
	cancel()
	all.Wait()
	switch {
	case len(report.Limits) == 0 && interrupted:
		return Result{}, fmt.Errorf("scenario %s: interrupted before a request arrived: %w", s.Name, context.Cause(ctx))
	case len(report.Limits) == 0:
		return Result{}, fmt.Errorf("scenario %s: not one request arrived", s.Name)
	}
	return Result{
		Scenario: s, Name: s.Name, Requests: report.Requests, Duration: elapsed, Interrupted: interrupted,
		Utilisation: report.Limits[0].Utilisation, Violations: report.Violations(), Failures: failures,
	}, nil
}

// WriteTable writes the results as text.
func WriteTable(out io.Writer, results []Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "limit\trequests\ttime\tutilisation\twanted\tviolations\tfailures")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%d\t%s\t%.2f %%\t≥ %g %%\t%d\t%d\n", r.Name, r.Requests,
			r.Duration.Round(time.Second), 100*r.Utilisation, 100*r.Scenario.Want, r.Violations, r.Failures)
	}
	return w.Flush()
}
