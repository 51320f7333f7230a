package parked

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// Parking is what it cost to have many requests wait for a limit, and to cancel them.
type Parking struct {
	Requests   int     `json:"requests"`
	PeakBytes  int64   `json:"peak_bytes"`  // of the whole process
	BytesEach  float64 `json:"bytes_each"`  // of heap and stacks, with the Request and the Pending
	Goroutines int     `json:"goroutines"`  // more than before
	SubmitCPU  float64 `json:"submit_cpu"`  // microseconds for each
	TouchCPU   float64 `json:"touch_cpu"`   // microseconds of these that the system takes for so much memory that is used first; zero if that is not measured
	CancelCPU  float64 `json:"cancel_cpu"`  // microseconds for each
	CancelTime float64 `json:"cancel_time"` // seconds, from the end of their context until all have ended
}

// The bars, for a million requests.
const (
	mostPeak   = 1_200_000_000
	leastPeak  = 200_000_000 // what fewer are allowed all the same
	mostCPU    = 4.0
	mostCancel = 3.0
)

// Missed says which bars were missed; nil if none was.
func (p Parking) Missed() (missed []string) {
	share := float64(p.Requests) / 1e6
	if most := max(leastPeak, mostPeak*share); float64(p.PeakBytes) > most {
		missed = append(missed, fmt.Sprintf("resident at the peak: %.2f GB, at most %.2f", float64(p.PeakBytes)/1e9, most/1e9))
	}
	if p.SubmitCPU > mostCPU {
		missed = append(missed, fmt.Sprintf("CPU to submit one: %.2f µs, at most %.0f", p.SubmitCPU, mostCPU))
	}
	if most := max(0.1, mostCancel*share); p.CancelTime > most {
		missed = append(missed, fmt.Sprintf("time to cancel all: %.2f s, at most %.2f", p.CancelTime, most))
	}
	return missed
}

// Park submits so many requests, of which one is exchanged with a server that never answers
// and all others wait for the limit, and cancels them. What the process did before counts in
// its peak.
func Park(ctx context.Context, n int) (Parking, error) {
	eng, err := engine.New(engine.Config{
		BaseURL: "http://deaf.test", DefaultLimitID: "full", Limits: []throttle.Limit{{ID: "full", Quota: 1, Per: 24 * time.Hour}},
		Throttle:  throttle.Options{MaxQueued: 2 * n},
		Admission: engine.Admission{MaxInFlight: 2 * n}, Dial: engine.Dial{DialContext: deaf},
	})
	if err != nil {
		return Parking{}, err
	}
	defer eng.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := eng.Submit(ctx, &engine.Request{Path: "/"})
	all := make([]*engine.Pending, n)
	p := Parking{Requests: n, Goroutines: -runtime.NumGoroutine()}
	before := gauge.MemoryInUse()
	used, err := gauge.CPUTime()
	if err != nil {
		return Parking{}, err
	}
	for i := range all {
		all[i] = eng.Submit(ctx, &engine.Request{Path: "/"})
	}
	now, err := gauge.CPUTime()
	if err != nil {
		return Parking{}, err
	}
	p.SubmitCPU = float64(now-used) / float64(time.Microsecond) / float64(n)
	if p.PeakBytes, err = peakBytes(); err != nil {
		return Parking{}, err
	}
	p.Goroutines += runtime.NumGoroutine()
	p.BytesEach = (gauge.MemoryInUse() - before) / float64(n)
	if queued := eng.Stats().Queued; queued != n {
		return Parking{}, fmt.Errorf("%d requests wait for the limit, want %d", queued, n)
	}
	if used, err = gauge.CPUTime(); err != nil {
		return Parking{}, err
	}
	began := time.Now()
	cancel()
	for _, one := range append(all, first) {
		if _, err := one.Result(); !errors.Is(err, context.Canceled) {
			return Parking{}, fmt.Errorf("a cancelled request ended with %w", err)
		}
	}
	p.CancelTime = time.Since(began).Seconds()
	if now, err = gauge.CPUTime(); err != nil {
		return Parking{}, err
	}
	p.CancelCPU = float64(now-used) / float64(time.Microsecond) / float64(n)
	touch, err := firstTouch() // last: in the peak it is no part of what waits
	p.TouchCPU = touch * p.BytesEach / 1e3
	return p, err
}

// deaf dials a server that never answers.
func deaf(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	return ours, nil
}
