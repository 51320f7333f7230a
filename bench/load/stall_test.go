package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/results"
)

// stalling is a server that answers at once, but for a time in which it answers nothing.
type stalling struct {
	*httptest.Server
	served atomic.Int64
	from   time.Duration // since the first request
	length time.Duration
	first  atomic.Pointer[time.Time]
}

func newStalling(t *testing.T, from, length time.Duration) *stalling {
	s := &stalling{from: from, length: length}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		s.first.CompareAndSwap(nil, &now)
		since := now.Sub(*s.first.Load())
		if over := s.from + s.length; since >= s.from && since < over {
			time.Sleep(over - since)
		}
		s.served.Add(1)
	}))
	t.Cleanup(s.Close)
	return s
}

// truth is the distribution by arithmetic: what is due in the stall waits for its end, and
// the rest for nothing.
func (s *stalling) truth(rate float64, length time.Duration) func(q float64) time.Duration {
	var responses []time.Duration
	for n := range int(rate * length.Seconds()) {
		due := time.Duration(float64(n) / rate * float64(time.Second))
		response := time.Duration(0)
		if due >= s.from && due < s.from+s.length {
			response = s.from + s.length - due
		}
		responses = append(responses, response)
	}
	slices.Sort(responses)
	return func(q float64) time.Duration { return responses[int(q*float64(len(responses)-1))] }
}

// stallFloor is what a request may take beside the stall: this machine has other work.
const stallFloor = 25 * time.Millisecond

// isTrue compares with arithmetic: within 3 % and the floor.
func isTrue(run *results.Run, truth func(float64) time.Duration) error {
	var wrong []error
	for _, q := range []float64{0.5, 0.9, 0.99} {
		want, got := truth(q), run.Total[""].Response.Quantile(q)
		if (got - want).Abs() > want*3/100+stallFloor {
			wrong = append(wrong, fmt.Errorf("p%v: %v, by arithmetic %v", 100*q, got, want))
		}
	}
	return errors.Join(wrong...)
}

// undisturbed makes a run until it is valid and as it must be: on a machine that others keep
// busy the harness is late at times, and says so, rightly; and so is the server, which the
// harness does not know.
func undisturbed(t *testing.T, run func() *results.Run, asItMustBe func(*results.Run) error) {
	t.Helper()
	pressure.Try(t, 6, func() error {
		made := run()
		if len(made.End.Invalid) == 0 {
			return asItMustBe(made)
		}
		invalid := strings.Join(made.End.Invalid, "; ")
		require.Regexp(t, "not woken in time|was late: lag|were handed over in time", invalid, "that is not the machine's fault")
		return errors.New(invalid)
	})
}

func TestAStallIsInThePercentilesAsArithmeticHasIt(t *testing.T) {
	const length, rate, stall = time.Second, 1000, 300 * time.Millisecond
	for _, client := range ClientNames() {
		for name, from := range map[string]time.Duration{"in the middle": 350 * time.Millisecond, "at the end": 700 * time.Millisecond} {
			t.Run(client+" "+name, func(t *testing.T) {
				undisturbed(t, func() *results.Run {
					server := newStalling(t, from, stall)
					run, err := Run(context.Background(), Config{
						Schedule: constant(rate, length), Plan: planOf(server.URL),
						Client: open(t, ClientConfig{Client: client, Connections: 10}),
					})
					require.NoError(t, err)
					require.EqualValues(t, 1000, run.Total[""].Count)
					require.EqualValues(t, 1000, server.served.Load())
					require.Zero(t, run.Total[""].Failed())
					return run
				}, func(run *results.Run) error {
					t.Log(run.Total[""].Response.Quantiles(), run.Total[""].Lag.Quantiles(), run.Total[""].Service.Quantiles())
					// What 10 connections are too few for waits in the client, which is not the harness's fault.
					require.Greater(t, run.Total[""].Wait.Quantile(0.99), stall*3/4)
					return isTrue(run, (&stalling{from: from, length: stall}).truth(rate, length))
				})
			})
		}
	}
}
