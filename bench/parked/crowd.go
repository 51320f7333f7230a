package parked

import (
	"context"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
)

// Row is a crowd of requests that share connections to a server in the same process.
type Row struct {
	Name     string  `json:"name"`
	Rate     float64 `json:"rate"`     // requests a second
	CPU      float64 `json:"cpu"`      // microseconds for each, the server's included
	Relative float64 `json:"relative"` // Rate to that of the first row
}

const (
	connections = 64
	fewCallers  = 64
	manyCallers = 10_000
)

// Crowds measures rows of so many requests each: as many callers in Do as connections, many
// more callers, and as many submitted requests without callers.
func Crowds(ctx context.Context, requests int) ([]Row, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &fasthttp.Server{
		Logger:  log.New(io.Discard, "", 0),
		Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(`{"symbol":"BTCUSDT","price":"60000.00"}`) },
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Shutdown()
	eng, err := engine.New(engine.Config{
		BaseURL: "http://" + listener.Addr().String(), Connections: engine.Connections{Max: connections},
	})
	if err != nil {
		return nil, err
	}
	defer eng.Close()
	var rows []Row
	for _, one := range []struct {
		name string
		run  func(n int) error
	}{
		{"64 callers in Do", func(n int) error { return callers(ctx, eng, fewCallers, n) }},
		{"10,000 callers in Do", func(n int) error { return callers(ctx, eng, manyCallers, n) }},
		{"10,000 submitted", func(n int) error { return submitted(ctx, eng, manyCallers, n) }},
		{"64 submitted", func(n int) error { return submitted(ctx, eng, fewCallers, n) }},
	} {
		if err := one.run(min(requests, 20_000)); err != nil { // untimed
			return nil, err
		}
		used, err := gauge.CPUTime()
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := one.run(requests); err != nil {
			return nil, err
		}
		took := time.Since(began)
		now, err := gauge.CPUTime()
		if err != nil {
			return nil, err
		}
		row := Row{Name: one.name, Rate: float64(requests) / took.Seconds(), CPU: float64(now-used) / float64(time.Microsecond) / float64(requests)}
		rows = append(rows, row)
		rows[len(rows)-1].Relative = row.Rate / rows[0].Rate
	}
	return rows, nil
}

var get = &engine.Request{Path: "/"}

// callers has so many of them ask in Do until all requests have been answered.
func callers(ctx context.Context, eng *engine.Engine, n, requests int) error {
	var left atomic.Int64
	left.Store(int64(requests))
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := eng.Do(ctx, get); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// submitted keeps so many on their way until all have been answered: for each that ends,
// in the order in which they were submitted, another one follows.
func submitted(ctx context.Context, eng *engine.Engine, n, requests int) error {
	window := make([]*engine.Pending, min(n, requests))
	for i := range requests + len(window) {
		at := i % len(window)
		if before := window[at]; before != nil {
			if _, err := before.Result(); err != nil {
				return err
			}
			window[at] = nil
		}
		if i < requests {
			window[at] = eng.Submit(ctx, get)
		}
	}
	return nil
}
