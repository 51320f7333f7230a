package doctor

import (
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

// Rate is how many requests a second are dispatched in time.
type Rate struct {
	Highest uint64            `json:"highest"` // 0 if none was
	Lag     results.Quantiles `json:"lag"`     // at the highest
	Failed  uint64            `json:"failed,omitempty"`
	Why     string            `json:"why,omitempty"` // the lowest that failed, and why
}

const (
	lowestRate  = 500
	highestRate = 4_000_000
	narrowings  = 3 // each halves the ratio of what held to what failed, in the log
	tries       = 4 // of a rate: what disturbed one may be over
	inTime      = 25 * time.Millisecond
	// mostAtOnce is beyond what any rate that is held has on its way, and keeps one that is not
	// from taking all memory.
	mostAtOnce = 4096
)

// trial is a short run at one rate; why is empty if it was held.
type trial func(rate uint64) (lag results.Quantiles, why string)

// climb finds the highest rate that holds: it doubles until one fails every time that it is
// tried, and narrows down from there.
//
// Invariant: Highest held, or is 0; Failed failed every time, or is 0 if all held; Highest is
// below Failed, and between them nothing was tried.
func climb(try trial) Rate {
	var r Rate
	attempt := func(rate uint64) bool {
		because := ""
		for range tries {
			lag, why := try(rate)
			if why == "" {
				r.Highest, r.Lag = rate, lag
				return true
			}
			because = why
		}
		r.Failed, r.Why = rate, because
		return false
	}
	rate := uint64(lowestRate)
	for rate <= highestRate && attempt(rate) {
		rate *= 2
	}
	if r.Highest == 0 || r.Failed == 0 {
		return r
	}
	for range narrowings {
		attempt(uint64(math.Round(math.Sqrt(float64(r.Highest) * float64(r.Failed)))))
	}
	return r
}

// dispatch finds out what the harness alone can do.
func (e *examination) dispatch() Finding {
	nothing := load.ClientFunc(func(_ context.Context, _ *targets.Request, a *load.Answer) { a.Status = 200 })
	r := climb(e.trial(nothing, "http://127.0.0.1/"))
	e.report.Dispatch = &r
	return judgeDispatch(&r)
}

// http finds out what is left of it beside a client and a server on this machine.
func (e *examination) http() Finding {
	origin, stop, err := serveNothing()
	if err != nil {
		return Finding{Level: Fail, Found: "no server could be started: " + err.Error()}
	}
	defer stop()
	client, err := load.Open(load.ClientConfig{Connections: 64})
	if err != nil {
		return Finding{Level: Fail, Found: "no client could be opened: " + err.Error()}
	}
	defer client.Close()
	r := climb(e.trial(client, origin))
	e.report.HTTP = &r
	return judgeHTTP(&r)
}

func serveNothing() (origin string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}, Logger: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	return "http://" + listener.Addr().String(), func() { _ = server.Shutdown(); <-served }, nil
}

func (e *examination) trial(client load.Client, url string) trial {
	length := e.lasting(time.Second, 250*time.Millisecond)
	return func(rate uint64) (results.Quantiles, string) {
		if err := e.ctx.Err(); err != nil {
			return results.Quantiles{}, err.Error()
		}
		run, err := load.Run(e.ctx, load.Config{
			Schedule: constantly(rate, length), Client: client, Plan: targets.OneTarget("", url, nil, nil),
			MaxInFlight: mostAtOnce, Drain: 5 * time.Second,
		})
		if err != nil {
			return results.Quantiles{}, err.Error()
		}
		all := run.Total[""]
		return all.Lag.Quantiles(), notHeld(run)
	}
}

// notHeld says why a run did not hold its rate: the harness, the client or the server was too
// slow. Empty means that it did.
func notHeld(run *results.Run) string {
	all := run.Total[""]
	switch {
	case len(run.End.Invalid) > 0:
		return strings.Join(run.End.Invalid, "; ")
	case all.Failed() > 0:
		return fmt.Sprintf("%d requests failed", all.Failed())
	case all.Response.Quantile(0.99) > inTime:
		return fmt.Sprintf("they were answered too late: response p99 %s", brief(all.Response.Quantile(0.99)))
	}
	return ""
}
