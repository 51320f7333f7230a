package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Everything that can end or hold up a submitted request at once, on both protocols: each ends
// once and truthfully, and an order reaches the server once at most.
func TestSubmittedRequestsCrossedByEverythingEndOnceAndTruthfully(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for most := 1; most <= 4; most++ {
			t.Run(fmt.Sprintf("h2=%v most=%d", h2, most), func(t *testing.T) { crossed(t, h2, most) })
		}
	}
}

func crossed(t *testing.T, h2 bool, most int) {
	var carriedOut sync.Map
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Id")
		io.Copy(io.Discard, r.Body)
		what := rand.IntN(40)
		if what == 0 { // it is not carried out
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(429)
			return
		}
		n, _ := carriedOut.LoadOrStore(id, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		switch what {
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			time.Sleep(5 * time.Millisecond)
		}
		io.WriteString(w, id)
	}))
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 3}
	server.Config.ErrorLog = discardLog
	server.StartTLS()
	defer server.Close()
	var panics atomic.Bool
	config := engine.Config{
		BaseURL: server.URL, Limits: []throttle.Limit{{ID: "many", Quota: 60, Per: 10 * time.Millisecond, By: throttle.ByAccount}}, DefaultLimitID: "many",
		Throttle:    throttle.Options{LeastPause: time.Millisecond, MaxPause: 5 * time.Millisecond},
		Connections: engine.Connections{Max: 4, MaxTotal: most},
		Admission:   engine.Admission{MaxInFlight: 100, MaxWaiting: 400},
		Accounts:    map[string]auth.Authenticator{"a": noSignature{}, "b": noSignature{}},

		Feedback: func(a feedback.Answer) feedback.Feedback {
			if panics.CompareAndSwap(true, false) {
				panic("feedback")
			}
			return feedback.RetryAfter(a)
		},
	}
	config.Dial.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
	config.Egress = map[string]engine.Egress{"x": {}, "y": {}}
	if h2 {
		config.Connections.HTTP2 = func(string) bool { return true }
	}
	eng, err := engine.New(config)
	require.NoError(t, err)
	defer eng.Close()
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(5000)) * time.Microsecond):
			}
			switch rand.IntN(7) {
			case 0:
				_ = eng.RemoveAccount("a")
			case 1:
				_ = eng.SetAccount("a", noSignature{})
			case 2:
				if h, err := eng.Halt(engine.Filter{PriorityBelow: engine.Normal}); err == nil {
					h.Lift()
				}
			case 3:
				_ = eng.Pause(throttle.Scope{Origin: throttle.AnyOrigin, Name: throttle.WholeOrigin}, time.Millisecond)
			case 4:
				panics.Store(true)
			case 5:
				_ = eng.ReplaceLimits([]throttle.Limit{{ID: "many", Quota: int64(30 + rand.IntN(60)), Per: 10 * time.Millisecond, By: throttle.ByAccount}})
			case 6:
				eng.CloseIdleConnections()
			}
		}
	})
	var serial, told atomic.Int64
	var all sync.WaitGroup
	judge := func(id, method string, response *engine.Response, err error) {
		told.Add(1)
		if (response == nil) == (err == nil) {
			t.Error("neither an answer nor an error, or both")
			return
		}
		var n int64
		if at, ok := carriedOut.Load(id); ok {
			n = at.(*atomic.Int64).Load()
		}
		if method == "POST" && n > 1 {
			t.Errorf("an order was sent %d times: %v", n, err)
		}
		var failure *engine.Error
		switch {
		case err == nil:
			if response.Stream != nil {
				io.Copy(io.Discard, response.Stream)
				response.Stream.Close()
			}
			if response.StatusCode == 200 && n == 0 {
				t.Error("an answer to nothing")
			}
		case !errors.As(err, &failure):
			t.Errorf("%T %v", err, err)
		case engine.OutcomeOf(err) == engine.NotSent && n > 0:
			t.Errorf("said not to be sent, and was: %v", err)
		}
	}
	request := func() (*engine.Request, string) {
		id := fmt.Sprint(serial.Add(1))
		req := &engine.Request{
			Method: []string{"GET", "POST", "PUT"}[rand.IntN(3)], Path: "/", Header: http.Header{"X-Id": {id}},
			Account: []string{"", "a", "b"}[rand.IntN(3)], Egress: []string{"", "x", "y"}[rand.IntN(3)],
			Priority: engine.Priority(rand.IntN(3) - 1), Auth: rand.IntN(2) == 0, Stream: rand.IntN(5) == 0,
		}
		if rand.IntN(4) == 0 {
			req.Timeout = time.Duration(1+rand.IntN(30)) * time.Millisecond
		}
		if req.Account == "" {
			req.Auth = false
		}
		return req, id
	}
	for range 3 {
		all.Go(func() {
			for range 4 {
				ctx, cancel := context.WithCancel(t.Context())
				var mine []*engine.Pending
				var ids []string
				for range 40 {
					req, id := request()
					mine, ids = append(mine, eng.Submit(ctx, req)), append(ids, id)
					if rand.IntN(10) == 0 {
						for range 3 {
							go mine[rand.IntN(len(mine))].Cancel()
						}
					}
				}
				if rand.IntN(2) == 0 {
					cancel()
				}
				var ends sync.WaitGroup // streams hold connections until they are read
				for i, p := range mine {
					ends.Go(func() {
						select {
						case <-p.Done():
							response, err := p.Result()
							judge(ids[i], p.Request().Method, response, err)
						case <-time.After(30 * time.Second):
							t.Errorf("never ended: %+v", eng.Stats())
						}
					})
				}
				ends.Wait()
				cancel()
			}
		})
	}
	all.Go(func() {
		input := func(yield func(*engine.Request) bool) {
			for range 200 {
				if req, _ := request(); !yield(req) {
					return
				}
			}
		}
		for req, result := range eng.Stream(t.Context(), input, engine.FanOut{Window: 50, RetryLater: 2, Each: 200 * time.Millisecond}) {
			judge(req.Header.Get("X-Id"), req.Method, result.Response, result.Err)
		}
	})
	all.Wait()
	close(stop)
	others.Wait()
	require.EqualValues(t, serial.Load(), told.Load())
	require.NoError(t, eng.Resume(throttle.Scope{Origin: throttle.AnyOrigin, Name: throttle.WholeOrigin}))
	require.Eventually(t, func() bool { return heldBy(eng.Stats()) == 0 }, 5*time.Second, 10*time.Millisecond, "%+v", eng.Stats())
	totals := eng.Stats().Totals
	require.Equal(t, totals.Begun, totals.Done+totals.Refused+totals.Rejected+totals.NotSent+totals.Unknown)
	// And again while the engine ends.
	var last []*engine.Pending
	for range 200 {
		req, _ := request()
		last = append(last, eng.Submit(t.Context(), req))
	}
	if most%2 == 0 {
		require.NoError(t, eng.Close())
	} else {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_ = eng.Shutdown(ctx)
		cancel()
		require.NoError(t, eng.Close())
	}
	for _, p := range last {
		select {
		case <-p.Done():
			if response, err := p.Result(); err == nil && response.Stream != nil {
				response.Stream.Close()
			}
		default:
			t.Error("Close has returned before a request has ended")
		}
	}
}
