package compare

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/sluice-engine/sluice/bench/child"
	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/results"
)

// order is what a side in a process of its own is told, and product what it answers.
type (
	order struct {
		Requests int `json:"requests"`
	}
	product struct {
		Slice Slice        `json:"slice"`
		Run   *results.Run `json:"run"`
		Error string       `json:"error,omitempty"`
	}
)

// Process is a side in a process of its own, so that its CPU time and its allocations are
// nobody else's. It is for one goroutine.
type Process struct {
	process *child.Process
	// Wrote, if not nil, is given the results of every slice, and when it began.
	Wrote func(began time.Time, run *results.Run) error
}

// StartProcess starts a command line that calls Serve on its standard streams. Stop must be
// called, also after ctx has ended.
func StartProcess(ctx context.Context, argv []string) (*Process, error) {
	process, err := child.Start(ctx, argv)
	if err != nil {
		return nil, err
	}
	return &Process{process: process}, nil
}

// Slice has the process make a slice.
func (p *Process) Slice(ctx context.Context, requests int) (Slice, error) {
	began := time.Now()
	if err := p.process.Send(order{Requests: requests}); err != nil {
		return Slice{}, err
	}
	var made product
	if err := p.process.Receive(ctx, &made); err != nil {
		return Slice{}, err
	}
	if made.Error != "" {
		return Slice{}, errors.New(made.Error)
	}
	if p.Wrote != nil {
		return made.Slice, p.Wrote(began, made.Run)
	}
	return made.Slice, nil
}

// Stop ends the process, and waits for it.
func (p *Process) Stop() error { return p.process.Stop() }

// Serve is a side's process: for each order that it reads it has run make as many requests,
// measures what they cost, and writes it down, until in has ended.
func Serve(ctx context.Context, in io.Reader, out io.Writer, run func(ctx context.Context, requests int) (*results.Run, error)) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(produce(ctx, o, run)); err != nil {
			return err
		}
	}
}

// untimed is how many requests go before those of a slice, for pools that the collection
// before it has emptied.
const untimed = 50

func produce(ctx context.Context, o order, run func(ctx context.Context, requests int) (*results.Run, error)) product {
	var made *results.Run
	cost, err := gauge.Measure(func(n int) (err error) {
		made, err = run(ctx, n)
		return err
	}, min(untimed, o.Requests), o.Requests)
	if err != nil {
		return product{Error: err.Error()}
	}
	slice := Slice{Cost: cost, Invalid: made.End.Invalid}
	if all := made.Total[""]; all != nil {
		slice.Requests, slice.Errors, slice.Mostly = all.Count, all.Failed(), all.Mostly()
		slice.P50, slice.P99 = micros(all.Response, 0.5), micros(all.Response, 0.99)
	}
	return product{Slice: slice, Run: made}
}

func micros(h *results.Histogram, q float64) float64 { return float64(h.Quantile(q)) / 1e3 }
