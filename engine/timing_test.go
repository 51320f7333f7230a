package engine_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// afterAWhile answers after a while, with a body that comes later still.
func afterAWhile(head, body time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(head)
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		time.Sleep(body)
		io.WriteString(w, "{}")
	}
}

// wantTiming asserts that the stages are these, and that they and the rest add up to how
// long the caller has waited.
func wantTiming(t *testing.T, want, got engine.Timing, since time.Time, rest time.Duration) {
	t.Helper()
	want.Total = time.Since(since)
	require.Equal(t, want, got)
	require.Equal(t, rest, got.Rest())
	require.Equal(t, got.Total, got.Admitted+got.Queued+got.Leased+got.Signed+got.FirstByte+got.Body+got.Paused+rest)
}

func TestTheStagesOfARequestAddUpToHowLongItsCallerHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/order" {
				time.Sleep(time.Second)
				return
			}
			if asked++; asked == 1 {
				time.Sleep(2 * time.Second)
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			afterAWhile(5*time.Second, 6*time.Second)(w, r)
		})
		var ended engine.Ended
		eng := s.newEngine(t, engine.Config{
			Origins:   []string{"http://orders.test"},
			Admission: engine.Admission{MaxInFlight: 1},
			Limits:    []throttle.Limit{{ID: "one", Window: throttle.Concurrency, Quota: 1}},
			Auth:      doingAuth(func() { time.Sleep(4 * time.Second) }),
			Retry:     engine.Retry{Statuses: []int{500}, Base: time.Millisecond},
			Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if asked == 0 && addr == "orders.test:80" {
					time.Sleep(9 * time.Second)
				}
				return s.dial(ctx, network, addr)
			}, Timeout: time.Minute},
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(ctx context.Context, r *engine.Request) error {
				time.Sleep(30 * time.Millisecond)
				return nil
			})},
			PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(ctx context.Context, _ *engine.Request, r *engine.Response) error {
				if r.URL == "http://orders.test/order" {
					require.Equal(t, 6*time.Second, r.Timing.Body, "what is known by then, it has")
				}
				time.Sleep(12 * time.Millisecond)
				return nil
			})},
			Observers: []engine.Observer{{End: func(_ context.Context, e engine.Ended) { ended = e }}},
		})
		held, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "one"})
		require.NoError(t, err)
		time.AfterFunc(4*time.Second+100*time.Millisecond, func() { held.Done(engine.Done) })
		go eng.Do(t.Context(), &engine.Request{Path: "/credit", LimitID: engine.Unlimited}) // has the credit for 1.042 s
		synctest.Wait()

		began := time.Now()
		response, err := eng.Do(t.Context(), &engine.Request{URL: "http://orders.test/order", LimitID: "one", Auth: true})
		require.NoError(t, err)
		wantTiming(t, engine.Timing{
			Admitted: 1042 * time.Millisecond, Queued: 4100*time.Millisecond - 1072*time.Millisecond, Leased: 9 * time.Second,
			Signed: 8 * time.Second, FirstByte: 7 * time.Second, Body: 6 * time.Second, Paused: 7 * time.Second,
		}, response.Timing, began, 42*time.Millisecond)
		require.Equal(t, 2, response.Attempts)
		require.Equal(t, response.Timing, ended.Timing)
	})
}

func TestARequestThatNobodyWaitsForIsTimedByItsExchangeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, afterAWhile(3*time.Second, 2*time.Second)).newEngine(t, engine.Config{})
		for _, req := range []*engine.Request{{Path: "/"}, {Path: "/", Timeout: time.Minute}} {
			began := time.Now()
			response, err := eng.Do(t.Context(), req)
			require.NoError(t, err)
			wantTiming(t, engine.Timing{FirstByte: 3 * time.Second, Body: 2 * time.Second}, response.Timing, began, 0)
		}
	})
}

func TestAStreamedAnswerIsTimedToItsHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, afterAWhile(3*time.Second, 2*time.Second)).newEngine(t, engine.Config{})
		began := time.Now()
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Stream: true})
		require.NoError(t, err)
		wantTiming(t, engine.Timing{FirstByte: 3 * time.Second}, response.Timing, began, 0)
		time.Sleep(time.Second)
		_, err = io.ReadAll(response.Stream)
		require.NoError(t, err)
		require.NoError(t, response.Stream.Close())
		require.Equal(t, 3*time.Second, response.Timing.Total)
	})
}

func TestARedirectIsTimedWithWhereItLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			if r.URL.Path == "/old" {
				http.Redirect(w, r, "/new", http.StatusFound)
				return
			}
			afterAWhile(time.Second, time.Second)(w, r)
		}).newEngine(t, engine.Config{})
		began := time.Now()
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/old", Redirects: 1})
		require.NoError(t, err)
		wantTiming(t, engine.Timing{FirstByte: 3 * time.Second, Body: time.Second}, response.Timing, began, 0)
	})
}

func TestAnAttemptWithoutAnAnswerIsTimedToItsFailure(t *testing.T) {
	for name, observers := range map[string][]engine.Observer{"observed": {{}}, "by nobody": nil} {
		for _, signs := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if asked++; asked == 1 {
						time.Sleep(5 * time.Second)
						panic(http.ErrAbortHandler)
					}
					if asked == 2 { // breaks off in its body
						w.Header().Set("Content-Length", "10")
						w.WriteHeader(http.StatusOK)
						w.(http.Flusher).Flush()
						time.Sleep(2 * time.Second)
						panic(http.ErrAbortHandler)
					}
					time.Sleep(time.Second)
				}).newEngine(t, engine.Config{
					Observers: observers, Auth: doingAuth(func() { time.Sleep(time.Minute) }), Retry: engine.Retry{Base: time.Second, Cap: time.Second},
				})
				began := time.Now()
				response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: signs})
				require.NoError(t, err, name)
				require.Equal(t, 3, response.Attempts)
				want := engine.Timing{FirstByte: 6 * time.Second, Body: 2 * time.Second, Paused: response.Timing.Paused}
				if signs {
					want.Signed = 3 * time.Minute
				}
				require.LessOrEqual(t, want.Paused, 2*time.Second) // the pauses are drawn
				wantTiming(t, want, response.Timing, began, 0)
			})
		}
	}
}

// rejecting is signed by a token, and has another once that is refused.
type rejecting struct{ token *string }

func (r rejecting) Authenticate(call *messages.Call, _ auth.Clock) error {
	call.SetHeader("Authorization", "Bearer "+*r.token)
	return nil
}

func (r rejecting) Rejected(_ *messages.Call, answer *messages.Response) bool {
	if answer.StatusCode != http.StatusUnauthorized {
		return false
	}
	time.Sleep(2 * time.Second)
	*r.token = "new"
	return true
}

func TestRenewedCredentialsAreTimedAsTwoAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := "old"
		var tried []engine.Attempted
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			if r.Header.Get("Authorization") != "Bearer new" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}).newEngine(t, engine.Config{
			Auth:      rejecting{&token},
			Observers: []engine.Observer{{Attempt: func(_ context.Context, a engine.Attempted) { tried = append(tried, a) }}},
		})
		began := time.Now()
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
		require.NoError(t, err)
		wantTiming(t, engine.Timing{FirstByte: 2 * time.Second}, response.Timing, began, 2*time.Second)
		require.Len(t, tried, 2)
		require.True(t, tried[0].Again)
		require.Equal(t, http.StatusUnauthorized, tried[0].StatusCode)
		require.False(t, tried[1].Again)
		require.True(t, tried[1].Reused)
	})
}

func TestALookAtTheClockIsTimedWhereItIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := refusedTimestamps()
		config := signedConfig()
		config.Connections.Max = 2
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			answer(w, r)
		}).newEngine(t, config)
		began := time.Now()
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true, Method: http.MethodPost})
		require.NoError(t, err)
		require.Equal(t, 2, response.Attempts)
		wantTiming(t, engine.Timing{Signed: time.Second, FirstByte: 2 * time.Second, Paused: response.Timing.Paused}, response.Timing, began, 0)
		require.Positive(t, response.Timing.Paused)
	})
}

// A permit that waits for its connection is given to others meanwhile, and acquired anew.
func TestAWaitIsToldApartByWhatWasWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []engine.Waited
		s := newServer(t, afterAWhile(time.Second, 0))
		dialled := 0
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "rate", Quota: 1, Per: 10 * time.Second}}, DefaultLimitID: "rate",
			Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dialled++; dialled == 1 {
					return nil, errors.New("nobody is there yet")
				}
				time.Sleep(3 * time.Second)
				return s.dial(ctx, network, addr)
			}, Backoff: time.Second, BackoffCap: time.Second},
			Retry:     engine.Retry{Base: time.Second, Cap: 2 * time.Second},
			Observers: []engine.Observer{{Wait: func(_ context.Context, w engine.Waited) { waits = append(waits, w) }}},
		})
		began := time.Now()
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		timing := response.Timing
		wantTiming(t, engine.Timing{Queued: timing.Queued, Leased: timing.Leased, FirstByte: time.Second, Paused: timing.Paused}, timing, began, 0)
		require.GreaterOrEqual(t, timing.Leased, 3*time.Second)
		require.Len(t, waits, 2)
		require.ErrorContains(t, waits[0].Err, "nobody is there yet")
		require.NoError(t, waits[1].Err)
		require.Equal(t, timing.Queued, waits[0].Queued+waits[1].Queued)
		require.Equal(t, timing.Leased, waits[0].Leased+waits[1].Leased)

		began = time.Now()
		response, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Positive(t, response.Timing.Queued)
		wantTiming(t, engine.Timing{Queued: response.Timing.Queued, FirstByte: time.Second}, response.Timing, began, 0)

		stopping, stop := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, stop)
		_, err = eng.Do(stopping, &engine.Request{Path: "/"})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 2*time.Second, waits[3].Queued)
		require.ErrorIs(t, waits[3].Err, context.Canceled)
	})
}

func TestHTTP2IsTimedAsHTTP1Is(t *testing.T) {
	lender := httptest.NewUnstartedServer(nil) // of a certificate, and of who trusts it
	lender.StartTLS()
	certificates, trusting := lender.TLS.Certificates, lender.Client().Transport.(*http.Transport).TLSClientConfig
	lender.Close()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan net.Conn)
		serving := &http.Server{
			ErrorLog: discardLog, Handler: afterAWhile(3*time.Second, 2*time.Second),
			TLSConfig: &tls.Config{Certificates: certificates, NextProtos: []string{"h2"}},
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = serving.ServeTLS(&pipeListener{conns: conns, closed: make(chan struct{})}, "", "")
		}()
		s := &server{conns: conns}
		eng, err := engine.New(engine.Config{
			BaseURL: "https://example.com", Dial: engine.Dial{DialContext: s.dial, TLS: trusting},
			Connections: engine.Connections{HTTP2: func(string) bool { return true }},
		})
		require.NoError(t, err)
		began := time.Now()
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Equal(t, "HTTP/2.0", response.Proto())
		wantTiming(t, engine.Timing{FirstByte: 3 * time.Second, Body: 2 * time.Second}, response.Timing, began, 0)
		began = time.Now()
		response, err = eng.Do(t.Context(), &engine.Request{Path: "/", Stream: true})
		require.NoError(t, err)
		wantTiming(t, engine.Timing{FirstByte: 3 * time.Second}, response.Timing, began, 0)
		require.NoError(t, response.Stream.Close())
		time.Sleep(2 * time.Second) // the handler goes on
		require.NoError(t, eng.Close())
		require.NoError(t, serving.Close())
		<-done
	})
}
