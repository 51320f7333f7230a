package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// situation is one request, or what is none, and the hooks that are called for it.
type situation struct {
	config engine.Config
	serve  http.HandlerFunc
	before func(t *testing.T, eng *engine.Engine) (after func())
	do     func(t *testing.T, ctx context.Context, eng *engine.Engine) // nil is Do of request
	ask    engine.Request
	want   string // the first letters of the hooks, errors in lower case: BWAE
	stage  engine.Stage
}

func withStatus(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

var onceAMinute = []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Minute}}

// refusingDials fails so many dials.
func refusingDials(n int) func(s *server) engine.Dial {
	return func(s *server) engine.Dial {
		return engine.Dial{Backoff: time.Millisecond, BackoffCap: time.Millisecond, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if n--; n >= 0 {
				return nil, errors.New("nobody is there")
			}
			return s.dial(ctx, network, addr)
		}}
	}
}

func useUpCalls(t *testing.T, eng *engine.Engine) (after func()) {
	require.NoError(t, eng.AdjustLimit("calls", engine.Parts{}, 1))
	return nil
}

// situations are what becomes of requests. A hook that tells of an error is in lower case.
func situations() map[string]situation {
	failsTwice := func(status int) http.HandlerFunc {
		asked := 0
		return func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked <= 2 {
				w.WriteHeader(status)
			}
		}
	}
	return map[string]situation{
		"answered":          {want: "BWAE"},
		"answered with 404": {serve: withStatus(404), want: "BWAE"},
		"refused by a limit of the server's": {
			serve: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3")
				w.WriteHeader(http.StatusTooManyRequests)
			}, config: engine.Config{Limits: onceAMinute, DefaultLimitID: "calls"}, want: "BWAE"},
		"repeated for its status": {serve: failsTwice(503), config: engine.Config{Retry: engine.Retry{Statuses: []int{503}}}, want: "BWAWAWAE"},
		"broken off and repeated": {serve: func() http.HandlerFunc {
			asked := 0
			return func(http.ResponseWriter, *http.Request) {
				if asked++; asked == 1 {
					panic(http.ErrAbortHandler)
				}
			}
		}(), want: "BWaWAE"},
		"broken off, and not to be repeated": {serve: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			ask: engine.Request{Method: http.MethodPost}, want: "BWae", stage: engine.Exchanging},
		"redirected": {serve: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/there", http.StatusFound)
			}
		}, ask: engine.Request{Redirects: 1}, want: "BWAWAE"},
		"streamed":            {ask: engine.Request{Stream: true}, want: "BWAE"},
		"of an invalid body":  {ask: engine.Request{Method: http.MethodPost, Body: make(chan int)}, want: "Be", stage: engine.Preparing},
		"of an unknown limit": {config: engine.Config{Limits: onceAMinute}, ask: engine.Request{LimitID: "other"}, want: "Bwe", stage: engine.Throttled},
		"refused by a pre-processor": {config: engine.Config{PreProcessors: []engine.PreProcessor{
			engine.PreProcessorFunc(func(context.Context, *engine.Request) error { return errors.New("no") }),
		}}, want: "Be", stage: engine.Preparing},
		"refused by a post-processor": {config: engine.Config{PostProcessors: []engine.PostProcessor{
			engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { return errors.New("no") }),
		}}, want: "BWAe", stage: engine.Finishing},
		"whose pre-processor panics": {config: engine.Config{PreProcessors: []engine.PreProcessor{
			engine.PreProcessorFunc(func(context.Context, *engine.Request) error { panic("no") }),
		}}, want: "Be", stage: engine.Preparing},
		"whose authenticator panics": {config: engine.Config{Auth: doingAuth(func() { panic("no") })}, ask: engine.Request{Auth: true}, want: "BWe", stage: engine.Signing},
		"whose post-processor ends its goroutine": {config: engine.Config{PostProcessors: []engine.PostProcessor{
			engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { runtime.Goexit(); return nil }),
		}}, want: "BWAe", stage: engine.Finishing},
		"whose authenticator ends its goroutine": {config: engine.Config{Auth: doingAuth(runtime.Goexit)}, ask: engine.Request{Auth: true}, want: "BWe", stage: engine.Signing},
		"without time for a permit":              {config: engine.Config{Limits: onceAMinute, DefaultLimitID: "calls"}, before: useUpCalls, ask: engine.Request{Timeout: time.Second}, want: "Bwe", stage: engine.Throttled},
		"cancelled while it is queued": {config: engine.Config{Limits: onceAMinute, DefaultLimitID: "calls"}, before: useUpCalls,
			do: func(t *testing.T, ctx context.Context, eng *engine.Engine) {
				ctx, cancel := context.WithTimeoutCause(ctx, time.Hour, nil)
				time.AfterFunc(time.Second, cancel)
				_, err := eng.Do(ctx, &engine.Request{})
				require.ErrorIs(t, err, context.Canceled)
			}, want: "Bwe", stage: engine.Throttled},
		"closed while it is queued": {config: engine.Config{Limits: onceAMinute, DefaultLimitID: "calls"},
			before: func(t *testing.T, eng *engine.Engine) func() {
				useUpCalls(t, eng)
				time.AfterFunc(time.Second, func() { eng.Close() })
				return nil
			}, want: "Bwe", stage: engine.Throttled},
		"halted while it is queued": {config: engine.Config{Limits: onceAMinute, DefaultLimitID: "calls"},
			before: func(t *testing.T, eng *engine.Engine) func() {
				useUpCalls(t, eng)
				time.AfterFunc(time.Second, func() { eng.Halt(engine.Filter{}) })
				return nil
			}, want: "Bwe", stage: engine.Throttled},
		"halted before": {before: func(t *testing.T, eng *engine.Engine) func() {
			_, err := eng.Halt(engine.Filter{})
			require.NoError(t, err)
			return nil
		}, want: "Be", stage: engine.Admitting},
		"after the end": {before: func(t *testing.T, eng *engine.Engine) func() { require.NoError(t, eng.Close()); return nil }, want: "Be", stage: engine.Admitting},
		"under a context that has ended": {do: func(t *testing.T, ctx context.Context, eng *engine.Engine) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			_, err := eng.Do(ctx, &engine.Request{})
			require.ErrorIs(t, err, context.Canceled)
		}, want: "Be", stage: engine.Admitting},
		"without a credit": {config: engine.Config{Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: -1}}, before: occupied, want: "Be", stage: engine.Admitting},
		"waiting for a credit in vain": {config: engine.Config{Admission: engine.Admission{MaxInFlight: 1}}, before: occupied,
			ask: engine.Request{Timeout: time.Second}, want: "Be", stage: engine.Admitting},
		"without a connection": {config: engine.Config{Retry: engine.Retry{Max: -1}, Dial: refusingDials(100)(nil)}, want: "Bwe", stage: engine.Leasing},
		"of a client over RoundTripper": {do: func(t *testing.T, ctx context.Context, eng *engine.Engine) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://server.test/", nil)
			require.NoError(t, err)
			response, err := (&http.Client{Transport: eng.RoundTripper()}).Do(req)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
		}, want: "BWAE"},
		"of Fetch, whose answer cannot be decoded": {do: func(t *testing.T, ctx context.Context, eng *engine.Engine) {
			_, err := engine.Fetch[int](ctx, eng, &engine.Request{})
			require.Error(t, err)
		}, want: "BWAE"},
		"submitted": {do: func(t *testing.T, ctx context.Context, eng *engine.Engine) {
			_, err := eng.Submit(ctx, &engine.Request{}).Result()
			require.NoError(t, err)
		}, want: "BWAE"},
		"rehearsed": {do: func(t *testing.T, ctx context.Context, eng *engine.Engine) {
			_, err := eng.DryRun(ctx, &engine.Request{})
			require.NoError(t, err)
		}, want: ""},
		"a permit, and no request": {config: engine.Config{Limits: onceAMinute, DefaultLimitID: "calls"}, do: func(t *testing.T, ctx context.Context, eng *engine.Engine) {
			permit, err := eng.Acquire(ctx, engine.Charge{})
			require.NoError(t, err)
			permit.Done(engine.Done)
		}, want: ""},
		"without a request": {do: func(t *testing.T, ctx context.Context, eng *engine.Engine) {
			_, err := eng.Do(ctx, nil)
			require.ErrorIs(t, err, engine.ErrInvalidRequest)
		}, want: ""},
	}
}

// occupied has another request take the only credit.
func occupied(t *testing.T, eng *engine.Engine) (after func()) {
	response, err := eng.Do(t.Context(), &engine.Request{Stream: true})
	require.NoError(t, err)
	return func() { response.Stream.Close() }
}

func TestEveryHookIsCalledInEverySituation(t *testing.T) {
	for name, s := range situations() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hooks strings.Builder
				var ended engine.Ended
				hook := func(letter string, err error) {
					if err != nil {
						letter = strings.ToLower(letter)
					}
					hooks.WriteString(letter)
				}
				type mark struct{}
				marked := func(ctx context.Context) { require.Equal(t, "mine", ctx.Value(mark{})) }
				config := s.config
				config.Observers = []engine.Observer{{
					Begin: func(ctx context.Context, req *engine.Request) context.Context {
						require.NotNil(t, req)
						hook("B", nil)
						return context.WithValue(ctx, mark{}, "mine")
					},
					Wait:    func(ctx context.Context, w engine.Waited) { marked(ctx); hook("W", w.Err) },
					Attempt: func(ctx context.Context, a engine.Attempted) { marked(ctx); hook("A", a.Err) },
					End: func(ctx context.Context, e engine.Ended) {
						marked(ctx)
						require.NotEqual(t, e.Err == nil, e.Response == nil)
						ended = e
						hook("E", e.Err)
					},
				}}
				eng := newServer(t, s.serve).newEngine(t, config)
				after := func() {}
				if s.before != nil {
					if then := s.before(t, eng); then != nil {
						after = then
					}
					hooks.Reset()
				}
				if s.do == nil {
					s.do = func(t *testing.T, ctx context.Context, eng *engine.Engine) {
						response, err := eng.Do(ctx, &s.ask)
						if err == nil && response.Stream != nil {
							require.NoError(t, response.Stream.Close())
						}
						require.Equal(t, ended.Err, err)
						require.Equal(t, ended.Response, response)
					}
				}
				gone := make(chan struct{})
				go func() { // which the caller's code may end
					defer close(gone)
					s.do(t, t.Context(), eng)
				}()
				<-gone
				require.Equal(t, s.want, hooks.String())
				if ended.Err != nil {
					var failure *engine.Error
					require.ErrorAs(t, ended.Err, &failure)
					require.Equal(t, s.stage, failure.Stage)
					require.Equal(t, failure.Attempts, ended.Attempts)
				}
				after()
				synctest.Wait()
				time.Sleep(2 * time.Second)
				wantNothingHeld(t, eng)
			})
		})
	}
}

// harming is an observer one of whose hooks does harm.
func harming(kind string, harm func()) engine.Observer {
	does := func(which string) {
		if which == kind {
			harm()
		}
	}
	return engine.Observer{
		Begin:   func(context.Context, *engine.Request) context.Context { does("Begin"); return nil },
		Wait:    func(context.Context, engine.Waited) { does("Wait") },
		Attempt: func(context.Context, engine.Attempted) { does("Attempt") },
		End:     func(context.Context, engine.Ended) { does("End") },
	}
}

func TestAPanicInAHookIsContainedAndToldOnce(t *testing.T) {
	for _, kind := range []string{"Begin", "Wait", "Attempt", "End"} {
		synctest.Test(t, func(t *testing.T) {
			var log lockedBuffer
			var d diary
			eng := newServer(t, nil).newEngine(t, engine.Config{
				Observers: []engine.Observer{harming(kind, func() { panic("sesame") }), d.observer("b")},
				Logger:    slog.New(slog.NewTextHandler(&log, nil)),
			})
			for range 3 {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
			}
			_, err := eng.Do(t.Context(), &engine.Request{Path: "http://whole/url"})
			require.ErrorIs(t, err, engine.ErrInvalidRequest)
			require.Len(t, d.take(), 3*4+2, "the other observer misses nothing")
			wantNothingHeld(t, eng)
			require.NoError(t, eng.Close())
			require.Equal(t, 1, strings.Count(log.String(), "an observer's hook panicked"))
			require.Contains(t, log.String(), "hook="+kind)
			require.NotContains(t, log.String(), "sesame")
		})
	}
}

func TestAHookThatEndsItsGoroutineEndsItsRequestAndLosesNothing(t *testing.T) {
	for _, kind := range []string{"Begin", "Wait", "Attempt", "End"} {
		for _, ask := range []engine.Request{{Path: "/"}, {Path: "/", Stream: true}, {Path: "http://whole/url"}, {Path: "/", LimitID: "none"}} {
			synctest.Test(t, func(t *testing.T) {
				var before, behind diary
				harm := runtime.Goexit
				eng := newServer(t, nil).newEngine(t, engine.Config{
					Observers:   []engine.Observer{before.observer("a"), harming(kind, func() { harm() }), behind.observer("c")},
					Connections: engine.Connections{Max: 1}, Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: -1},
					Limits: []throttle.Limit{{ID: "one", Window: throttle.Concurrency, Quota: 1}}, DefaultLimitID: "one",
				})
				var gone sync.WaitGroup
				survived := false
				gone.Go(func() {
					response, err := eng.Do(t.Context(), &ask)
					survived = true
					if err == nil && response.Stream != nil {
						response.Stream.Close()
					}
				})
				gone.Wait()
				name := fmt.Sprint(kind, ask.Stream, ask.Path, ask.LimitID)
				told := func(d *diary) (begun, ended int) {
					for _, line := range d.take() {
						begun += strings.Count(line, " begin ")
						ended += strings.Count(line, " end ")
					}
					return begun, ended
				}
				begun, ended := told(&before)
				require.Equal(t, 1, begun, name)
				require.Equal(t, 1, ended, name)
				begun, ended = told(&behind)
				require.Equal(t, begun, ended, name)
				require.Equal(t, kind != "Begin", begun == 1, name)
				if !survived && kind != "End" {
					var panicked *engine.PanicError
					require.ErrorAs(t, before.ended[0].Err, &panicked, name)
				}
				synctest.Wait()
				time.Sleep(2 * time.Second)
				wantNothingHeld(t, eng)
				harm = func() {}
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Second})
				require.NoError(t, err, "%s: the permit, the connection or the credit is lost", name)
			})
		}
	}
}

func TestWhatBeginReturnsTakesThePlaceOfTheCallersContext(t *testing.T) {
	type mark struct{}
	met := map[string]any{}
	meet := func(where string, ctx context.Context) { met[where] = ctx.Value(mark{}) }
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{
			Observers: []engine.Observer{{
				Begin: func(ctx context.Context, _ *engine.Request) context.Context {
					ctx = context.WithValue(ctx, mark{}, "mine")
					return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
						WroteRequest: func(httptrace.WroteRequestInfo) { met["trace"] = "mine" },
						GotConn:      func(httptrace.GotConnInfo) { met["connection"] = "mine" },
					})
				},
				Wait:    func(ctx context.Context, _ engine.Waited) { meet("Wait", ctx) },
				Attempt: func(ctx context.Context, _ engine.Attempted) { meet("Attempt", ctx) },
				End:     func(ctx context.Context, _ engine.Ended) { meet("End", ctx) },
			}, {
				Begin: func(context.Context, *engine.Request) context.Context { return (*silent)(nil) },
			}, {
				Begin: func(context.Context, *engine.Request) context.Context { return nil },
			}},
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(ctx context.Context, _ *engine.Request) error {
				meet("pre-processor", ctx)
				return nil
			})},
			PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(ctx context.Context, _ *engine.Request, _ *engine.Response) error {
				meet("post-processor", ctx)
				return nil
			})},
			Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				meet("dial", ctx)
				return s.dial(ctx, network, addr)
			}},
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
	})
	for _, where := range []string{"trace", "connection", "Wait", "Attempt", "End", "pre-processor", "post-processor", "dial"} {
		require.Equal(t, "mine", met[where], where)
	}
}

// silent is a context that a nil pointer of is none.
type silent struct{ context.Context }

// What a hook returns has values, and no end: neither does it end the request, nor does
// it keep the caller's from ending it.
func TestARequestEndsWithItsCallersContextWhateverBeginReturns(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	for name, other := range map[string]context.Context{"no context of the caller's": context.Background(), "one that has ended": ended} {
		for _, stream := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/hangs" {
						if stream {
							w.(http.Flusher).Flush()
						}
						<-r.Context().Done()
					}
				}).newEngine(t, engine.Config{
					Observers: []engine.Observer{{Begin: func(context.Context, *engine.Request) context.Context { return other }}},
					Limits:    []throttle.Limit{{ID: "full", Quota: 1, Per: time.Hour}},
				})
				require.NoError(t, eng.AdjustLimit("full", engine.Parts{}, 1))
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: engine.Unlimited})
				require.NoError(t, err, name)
				for _, ask := range []engine.Request{{Path: "/hangs", LimitID: engine.Unlimited, Stream: stream}, {Path: "/", LimitID: "full"}} {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(time.Second, cancel)
					began := time.Now()
					response, err := eng.Do(ctx, &ask)
					if err == nil {
						_, err = io.ReadAll(response.Stream)
					}
					require.ErrorIs(t, err, context.Canceled, name)
					require.Equal(t, time.Second, time.Since(began))
				}
			})
		}
	}
}

func TestTheEnginesOwnErrandsAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		note := func(ctx context.Context, hook, path string) {
			if engine.Errand(ctx) {
				hook = "errand's " + hook
			}
			told = append(told, hook+" "+path)
		}
		config := signedConfig()
		config.Observers = []engine.Observer{{
			Begin:   func(ctx context.Context, r *engine.Request) context.Context { note(ctx, "begin", r.Path); return ctx },
			Attempt: func(ctx context.Context, a engine.Attempted) { note(ctx, "attempt", a.Request.Path) },
			End:     func(ctx context.Context, e engine.Ended) { note(ctx, "end", e.Request.Path) },
		}}
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"serverTime":%d}`, time.Now().UnixMilli())
		}).newEngine(t, config)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true})
		require.NoError(t, err)
		require.Equal(t, []string{
			"begin /order", "errand's begin /time", "errand's attempt /time", "errand's end /time", "attempt /order", "end /order",
		}, told)
	})
}

func TestObserversAreToldOfWhatAnAttemptWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		answer := http.StatusOK
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(answer)
		}).newEngine(t, engine.Config{Observers: []engine.Observer{d.observer("a")}})
		req := &engine.Request{Path: "/secret?key=sesame"}
		for _, status := range []int{200, 200, 429} {
			answer = status
			_, err := eng.Do(t.Context(), req)
			require.NoError(t, err)
		}
		require.Len(t, d.tried, 3)
		require.False(t, d.tried[0].Reused)
		require.True(t, d.tried[1].Reused)
		refused := d.tried[2]
		require.True(t, refused.Refused)
		require.Equal(t, 30*time.Second, refused.Paused)
		require.Equal(t, time.Second, time.Since(refused.SentAt))
		require.Equal(t, time.Second, refused.Took)
		require.Same(t, req, refused.Request)
		require.Equal(t, "http://server.test:80", refused.Origin.String())
		require.Equal(t, engine.Refused, d.ended[2].Outcome())
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "attempt", refused, "end", d.ended[2], "wait", d.waits[2])
		fmt.Fprintf(&log, "%v %+v %s", refused, d.ended, d.waits)
		require.NotContains(t, log.String(), "sesame")
		require.Contains(t, log.String(), "/secret")
	})
}

// Hooks that allocate nothing cost no allocation either.
func TestAnObservedGetAllocatesOnce(t *testing.T) {
	type counts struct{ begun, waits, tried, ended int }
	var c counts
	eng, err := engine.New(engine.Config{BaseURL: steadyServer(t, smallAnswer), Limits: tapeLimits, Observers: []engine.Observer{{
		Begin:   func(ctx context.Context, _ *engine.Request) context.Context { c.begun++; return ctx },
		Wait:    func(context.Context, engine.Waited) { c.waits++ },
		Attempt: func(context.Context, engine.Attempted) { c.tried++ },
		End:     func(context.Context, engine.Ended) { c.ended++ },
	}, {}}})
	require.NoError(t, err)
	defer eng.Close()
	req := &engine.Request{Path: "/price", LimitID: "route"}
	allocations := testing.AllocsPerRun(500, func() {
		if _, err := eng.Do(context.Background(), req); err != nil {
			t.Error(err)
		}
	})
	require.LessOrEqual(t, allocations, 1.0)
	require.Equal(t, counts{501, 501, 501, 501}, c)
}
