package clocks

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
)

// LiveConfig describes a live run. The zero value is the published one.
type LiveConfig struct {
	// Requests are signed and sent by Workers at a time; default 100,000 by 256.
	Requests, Workers int
	Seed              uint64
	// Skew is how far the exchange's clock is ahead; default 30 s.
	Skew time.Duration
	// DriftPPM is what it gains on this machine's, in microseconds a second; the
	// sign changes every two seconds. Default 400.
	DriftPPM float64
	// Network is the delay of either way, as exchange.ParseDelay reads it;
	// default "uniform:5ms-50ms".
	Network string
	// Window is the receive window; default 5 s, as the exchange's own. A short
	// one measures the machine too: what it holds up for a second is refused.
	Window time.Duration
	// LocalClock signs by this machine's clock instead of the exchange's, to see
	// what the skew does.
	LocalClock bool
	// Progress is told now and then how many requests are answered. May be nil.
	Progress func(answered, of int)
}

// LiveRow is what a live run showed. Errors and bounds are of the engine's
// clock, compared with the exchange's some hundred times a second, in
// milliseconds.
type LiveRow struct {
	Requests int `json:"requests"`
	Accepted int `json:"accepted"` // answered 200
	Failed   int `json:"failed"`   // no answer
	Ahead    int `json:"refused_ahead"`
	Behind   int `json:"refused_behind"`
	Other    int `json:"other_violations"`
	// FirstRefusal says how far off the first refused timestamp was.
	FirstRefusal string `json:"first_refusal,omitempty"`

	Workers  int     `json:"workers"`
	Skew     float64 `json:"skew_ms"`
	DriftPPM float64 `json:"drift_ppm"`
	Network  string  `json:"network"`
	Window   int64   `json:"receive_window_ms"`
	Seconds  float64 `json:"seconds"`

	Checks        int     `json:"checks"`
	BoundFailures int     `json:"bound_failures"`
	MeanError     float64 `json:"mean_error_ms"`
	MaxError      float64 `json:"max_error_ms"`
	MaxBound      float64 `json:"max_bound_ms"`
}

func (c LiveConfig) withDefaults() LiveConfig {
	if c.Requests == 0 {
		c.Requests = 100_000
	}
	if c.Workers == 0 {
		c.Workers = 256
	}
	if c.Skew == 0 {
		c.Skew = 30 * time.Second
	}
	if c.DriftPPM == 0 {
		c.DriftPPM = 400
	}
	if c.Network == "" {
		c.Network = "uniform:5ms-50ms"
	}
	if c.Window == 0 {
		c.Window = 5 * time.Second
	}
	return c
}

// maxDrift is what the estimator believes at most, less a margin for the
// machine's own crystal.
const maxDrift = 500

func (c LiveConfig) check() (way exchange.Delay, err error) {
	var errs []error
	if c.Requests < 0 || c.Workers < 0 {
		errs = append(errs, fmt.Errorf("requests %d, workers %d: must not be negative", c.Requests, c.Workers))
	}
	if !(math.Abs(c.DriftPPM) <= maxDrift) {
		errs = append(errs, fmt.Errorf("drift of %g ppm: want at most %d either way", c.DriftPPM, maxDrift))
	}
	way, err = exchange.ParseDelay(c.Network)
	return way, errors.Join(append(errs, err)...)
}

// RunLive sends signed requests from an engine to an exchange in this process,
// over loopback, and counts what the exchange's referee says of them.
func RunLive(ctx context.Context, c LiveConfig) (LiveRow, error) {
	c = c.withDefaults()
	way, err := c.check()
	if err != nil {
		return LiveRow{}, err
	}
	ex, err := exchange.New(exchange.Config{Limits: []exchange.Limit{}, Delay: way, ReturnDelay: way, Seed: c.Seed})
	if err != nil {
		return LiveRow{}, err
	}
	ex.SetSkew(c.Skew)
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		return LiveRow{}, err
	}
	defer ex.Close()
	eng, err := engine.New(c.engine(url))
	if err != nil {
		return LiveRow{}, err
	}
	defer eng.Close()
	return c.run(ctx, eng, ex)
}

func (c LiveConfig) engine(url string) engine.Config {
	config := engine.Config{
		BaseURL:     url,
		Auth:        auth.HMACQuery{Key: exchange.DemoKey, Secret: exchange.DemoSecret, Window: c.Window},
		Time:        engine.TimeFrom("/api/v3/time", "serverTime"),
		Connections: engine.Connections{Max: c.Workers + 1}, // one for the time
		Timeout:     time.Minute,
		Retry:       engine.Retry{Max: -1}, // nothing is glossed over
	}
	if c.LocalClock {
		config.Time = nil
	}
	return config
}

// live is a run under way.
type live struct {
	LiveConfig
	engine   *engine.Engine
	exchange *exchange.Exchange
	sent     atomic.Int64
	answered atomic.Int64
	accepted atomic.Int64
	failed   atomic.Int64
}

func (c LiveConfig) run(ctx context.Context, eng *engine.Engine, ex *exchange.Exchange) (LiveRow, error) {
	l := &live{LiveConfig: c, engine: eng, exchange: ex}
	row := LiveRow{
		Requests: c.Requests, Workers: c.Workers, Skew: millis(c.Skew), DriftPPM: c.DriftPPM,
		Network: c.Network, Window: c.Window.Milliseconds(),
	}
	began := time.Now()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var observers, workers sync.WaitGroup
	observers.Go(func() { l.drift(watching) })
	observers.Go(func() { l.watchClock(watching, &row) })
	for range c.Workers {
		workers.Go(func() { l.work(ctx) })
	}
	workers.Wait()
	stop()
	observers.Wait()
	row.Seconds = time.Since(began).Seconds()
	l.count(&row)
	return row, context.Cause(ctx)
}

func (l *live) work(ctx context.Context) {
	request := &engine.Request{Path: "/api/v3/account", Auth: true}
	for ctx.Err() == nil && l.sent.Add(1) <= int64(l.Requests) {
		response, err := l.engine.Do(ctx, request)
		l.answered.Add(1)
		switch {
		case err != nil:
			l.failed.Add(1)
		case response.StatusCode == http.StatusOK:
			l.accepted.Add(1)
		}
	}
}

// drift changes the exchange's rate, there and back, until ctx ends.
func (l *live) drift(ctx context.Context) {
	const turn = 2 * time.Second
	ticker := time.NewTicker(turn)
	defer ticker.Stop()
	for ppm := l.DriftPPM; ; ppm = -ppm {
		l.exchange.SetDrift(ppm)
		if l.Progress != nil {
			l.Progress(int(l.answered.Load()), l.Requests)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// watchClock compares the engine's clock with the exchange's until ctx ends. It
// alone writes the row's figures about the clock.
func (l *live) watchClock(ctx context.Context, row *LiveRow) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	sum := 0.0
	for {
		select {
		case <-ticker.C:
			sum += l.checkClock(row)
			row.MeanError = sum / float64(max(row.Checks, 1))
		case <-ctx.Done():
			return
		}
	}
}

// maxPause is how long reading both clocks may take: a longer pause blurs the
// comparison.
const maxPause = 200 * time.Microsecond

func (l *live) checkClock(row *LiveRow) (off float64) {
	ranger, ok := l.engine.Clock().(auth.Ranger)
	if !ok || ranger.Bound() > time.Hour { // no sample yet
		return 0
	}
	before := time.Now()
	truth := l.exchange.Now()
	after := time.Now()
	estimate, bound := ranger.Now(), ranger.Bound()
	if time.Since(before) > maxPause {
		return 0
	}
	earliest, _ := ranger.Range(before)
	_, latest := ranger.Range(after)
	row.Checks++
	if truth.Before(earliest) || truth.After(latest) {
		row.BoundFailures++
	}
	off = millis(estimate.Sub(truth).Abs())
	row.MaxError, row.MaxBound = max(row.MaxError, off), max(row.MaxBound, millis(bound))
	return off
}

func (l *live) count(row *LiveRow) {
	report := l.exchange.Report()
	row.Accepted, row.Failed = int(l.accepted.Load()), int(l.failed.Load())
	row.Ahead = int(report.Counts[exchange.TimestampAhead])
	row.Behind = int(report.Counts[exchange.TimestampBehind])
	row.Other = int(report.Violations()) - row.Ahead - row.Behind
	for _, e := range report.Events {
		if e.Violation == exchange.TimestampAhead || e.Violation == exchange.TimestampBehind {
			row.FirstRefusal = fmt.Sprintf("after %.3f s: %s", e.At.Seconds(), e.Detail)
			break
		}
	}
}
