package doctor

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
)

// Stall is a run against a server that answers at once, but nothing for a time.
type Stall struct {
	Rate      uint64         `json:"rate"` // requests a second
	Length    time.Duration  `json:"length_ns"`
	From      time.Duration  `json:"from_ns"`
	For       time.Duration  `json:"for_ns"`
	Quantiles []StalledShare `json:"quantiles"`
	Invalid   []string       `json:"invalid,omitempty"` // why the run is none
}

// StalledShare is a quantile as it was measured and as it has to be.
type StalledShare struct {
	Share    float64       `json:"share"`
	Measured time.Duration `json:"measured_ns"`
	Truth    time.Duration `json:"truth_ns"`
}

func (q StalledShare) off() bool {
	return (q.Measured - q.Truth).Abs() > time.Duration(stallTolerance*float64(q.Truth))+stallFloor
}

// truth is the response time that a share of all requests has at most: the n-th is due at
// n/Rate; within the stall it waits for its end, outside of it for nothing.
func (s *Stall) truth(share float64) time.Duration {
	var responses []time.Duration
	for n := uint64(0); ; n++ {
		due := time.Duration(n) * time.Second / time.Duration(s.Rate)
		if due >= s.Length {
			break
		}
		response := time.Duration(0)
		if due >= s.From && due < s.From+s.For {
			response = s.From + s.For - due
		}
		responses = append(responses, response)
	}
	if len(responses) == 0 {
		return 0
	}
	slices.Sort(responses)
	return responses[int(share*float64(len(responses)-1))]
}

// stallTries: a starved run is made again, since what starves it may be over.
const stallTries = 3

func (e *examination) stall() Finding {
	for range stallTries {
		s := &Stall{Rate: 200, Length: 10 * time.Second, From: 4 * time.Second, For: 2 * time.Second}
		if e.Quick {
			s.Length, s.From, s.For = 2*time.Second, 800*time.Millisecond, 400*time.Millisecond
		}
		s.measure(e.ctx)
		e.report.Stall = s
		if len(s.Invalid) == 0 || e.ctx.Err() != nil {
			break
		}
	}
	return judgeStall(e.report.Stall)
}

// measure makes the run with few connections: a harness that waited for one before it looked at
// the clock would leave the stall out.
func (s *Stall) measure(ctx context.Context) {
	origin, stop, err := s.serve()
	if err != nil {
		s.Invalid = []string{err.Error()}
		return
	}
	defer stop()
	client, err := load.Open(load.ClientConfig{Client: load.NetHTTP, Connections: 10})
	if err != nil {
		s.Invalid = []string{err.Error()}
		return
	}
	defer client.Close()
	run, err := load.Run(ctx, load.Config{
		Schedule: constantly(s.Rate, s.Length), Client: client, Plan: targets.OneTarget("", origin, nil, nil),
	})
	if err != nil {
		s.Invalid = []string{err.Error()}
		return
	}
	s.take(run)
}

func (s *Stall) take(run *results.Run) {
	s.Invalid = run.End.Invalid
	all := run.Total[""]
	for _, share := range []float64{0.5, 0.9, 0.99} {
		s.Quantiles = append(s.Quantiles, StalledShare{share, all.Response.Quantile(share), s.truth(share)})
	}
	if n := all.Failed(); n > 0 {
		s.Invalid = append(s.Invalid, "not all requests were answered")
	}
}

// serve starts the server. Its time begins with its first request.
func (s *Stall) serve() (origin string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var first sync.Once
	var began time.Time
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		now := time.Now()
		first.Do(func() { began = now })
		if since := now.Sub(began); since >= s.From && since < s.From+s.For {
			time.Sleep(s.From + s.For - since)
		}
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	return "http://" + listener.Addr().String(), func() { _ = server.Close(); <-served }, nil
}

func constantly(rate uint64, length time.Duration) *schedule.Spec {
	spec := schedule.Constant(schedule.Rate{Requests: rate, Per: time.Second}, length)
	return &spec
}
