package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// readerFunc is a reader that says nothing, and then ends.
type readerFunc func()

func (f readerFunc) Read(p []byte) (int, error) { f(); return copy(p, "x"), io.EOF }

// logFunc is a log handler that writes nothing.
type logFunc func()

func (logFunc) Enabled(context.Context, slog.Level) bool    { return true }
func (f logFunc) Handle(context.Context, slog.Record) error { f(); return nil }
func (f logFunc) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f logFunc) WithGroup(string) slog.Handler             { return f }

// jarFunc is a jar without cookies.
type jarFunc func()

func (f jarFunc) SetCookies(*url.URL, []*http.Cookie) {}
func (f jarFunc) Cookies(*url.URL) []*http.Cookie     { f(); return nil }

func TestClosingFromInsideARequestIsRefusedAtOnce(t *testing.T) {
	type inside struct {
		name  string
		place func(*engine.Config, *engine.Request, *server, func())
		ctx   func(context.Context, func()) context.Context
	}
	for _, c := range []inside{
		{name: "a pre-processor", place: func(c *engine.Config, _ *engine.Request, _ *server, end func()) {
			c.PreProcessors = []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error { end(); return nil })}
		}},
		{name: "a post-processor", place: func(c *engine.Config, _ *engine.Request, _ *server, end func()) {
			c.PostProcessors = []engine.PostProcessor{engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { end(); return nil })}
		}},
		{name: "an authenticator", place: func(c *engine.Config, r *engine.Request, _ *server, end func()) {
			r.Auth, c.Auth = true, auth.Func(func(*messages.Call, auth.Clock) error { end(); return nil })
		}},
		{name: "a reader of feedback", place: func(c *engine.Config, _ *engine.Request, _ *server, end func()) {
			c.Feedback = func(feedback.Answer) feedback.Feedback { end(); return feedback.Feedback{} }
		}},
		{name: "a cookie jar", place: func(c *engine.Config, _ *engine.Request, _ *server, end func()) { c.Cookies = jarFunc(end) }},
		{name: "a body's reader", place: func(_ *engine.Config, r *engine.Request, _ *server, end func()) { r.Body = readerFunc(end) }},
		{name: "the reader of a streamed body", place: func(_ *engine.Config, r *engine.Request, _ *server, end func()) {
			r.Body, r.Upload.Stream = readerFunc(end), true
		}},
		{name: "a hook of the exchange", ctx: func(ctx context.Context, end func()) context.Context {
			return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: end})
		}},
		{name: "a hook of the pool", ctx: func(ctx context.Context, end func()) context.Context {
			return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { end() }})
		}},
		{name: "a dialer", place: func(c *engine.Config, _ *engine.Request, s *server, end func()) {
			c.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				end()
				return s.dial(ctx, network, addr)
			}
		}},
		{name: "the choice of a proxy", place: func(c *engine.Config, _ *engine.Request, _ *server, end func()) {
			c.Dial.Proxy = func(*http.Request) (*url.URL, error) { end(); return nil, nil }
		}},
		{name: "a source of time", place: func(c *engine.Config, r *engine.Request, _ *server, end func()) {
			r.Auth, c.Auth = true, auth.Func(func(*messages.Call, auth.Clock) error { return nil })
			c.Time = engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
				end()
				return engine.TimeReading{Server: time.Now(), Sent: time.Now(), Received: time.Now()}, nil
			})
		}},
		{name: "a request of a source of time", place: func(c *engine.Config, r *engine.Request, _ *server, end func()) {
			r.Auth, c.Auth = true, auth.Func(func(*messages.Call, auth.Clock) error { return nil })
			c.Time = engine.TimeEndpoint{Path: "/"}
			c.PostProcessors = []engine.PostProcessor{engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, resp *engine.Response) error {
				resp.Header = messages.NewHeader("Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n")
				end()
				return nil
			})}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				request := &engine.Request{Method: "PUT", Path: "/"}
				var eng *engine.Engine
				var calls atomic.Int64
				end := func() {
					calls.Add(1)
					start := time.Now()
					for range 2 {
						wantInside(t, eng.Close())
						wantInside(t, eng.Shutdown(t.Context()))
					}
					if time.Since(start) != 0 {
						t.Error("it waited")
					}
				}
				config := engine.Config{}
				ctx := t.Context()
				if c.place != nil {
					c.place(&config, request, s, end)
				}
				if c.ctx != nil {
					ctx = c.ctx(ctx, end)
				}
				eng = s.newEngine(t, config)
				for range 2 { // it goes on as if nothing had been asked
					_, err := eng.Do(ctx, request)
					require.NoError(t, err)
				}
				require.NotZero(t, calls.Load())
				require.NoError(t, eng.Close())
			})
		})
	}
}

// wantInside may be called on any goroutine.
func wantInside(t *testing.T, err error) {
	if !errors.Is(err, engine.ErrInsideRequest) || !strings.Contains(err.Error(), "called from inside a request") {
		t.Errorf("want ErrInsideRequest, have %v", err)
	}
}

func TestTheJarIsAskedOnceForARequestWhateverItsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, dials := 0, 0
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{
			Cookies: jarFunc(func() { asked++ }), Dial: engine.Dial{DialContext: failFirst(s, &dials)},
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.Equal(t, 2, dials)
		require.Equal(t, 1, asked)
	})
}

func TestALogHandlerMayAskAnythingOfItsEngineButToEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var eng *engine.Engine
		asked := make(chan engine.Stats, 1)
		eng = newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}).newEngine(t, engine.Config{
			Limits: []throttle.Limit{hourly}, DefaultLimitID: "hourly",
			Logger: slog.New(logFunc(func() {
				wantInside(t, eng.Close())
				asked <- eng.Stats()
			})),
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		<-asked
	})
}

func TestALoggerThatPanicsBlocksOrEndsItsGoroutineHurtsNobody(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"panics": func() { panic("boom") }, "ends": runtime.Goexit, "blocks": func() { time.Sleep(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(http.StatusTooManyRequests)
				}).newEngine(t, engine.Config{
					Limits: []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}}, DefaultLimitID: "calls",
					Logger: slog.New(logFunc(misbehave)),
				})
				start := time.Now()
				for range 3 {
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
					require.NoError(t, err)
				}
				require.Less(t, time.Since(start), 10*time.Second)
				start = time.Now()
				require.NoError(t, eng.Close())
				require.LessOrEqual(t, time.Since(start), time.Second)
				time.Sleep(2 * time.Hour) // the one that blocks wakes up, and finds nothing to do
			})
		})
	}
}

func TestCloseHasTheLogWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }).
			newEngine(t, engine.Config{
				Limits: []throttle.Limit{hourly}, DefaultLimitID: "hourly",
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.NoError(t, eng.Close())
		require.Contains(t, log.String(), "refused, pausing")
	})
}

func TestAnotherIdleEngineMayBeClosedFromInsideARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		other := s.newEngine(t, engine.Config{})
		_, err := other.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		eng := s.newEngine(t, engine.Config{PreProcessors: []engine.PreProcessor{
			engine.PreProcessorFunc(func(context.Context, *engine.Request) error { return other.Close() }),
		}})
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		_, err = other.Do(t.Context(), &engine.Request{Path: "/"})
		require.ErrorIs(t, err, engine.ErrClosed)
	})
}

// What a stack cannot tell, a bound does.
func TestCloseWaitsForOtherPeoplesCodeNoLongerThanHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var eng *engine.Engine
		s := newServer(t, nil)
		eng, err := engine.New(engine.Config{
			BaseURL: "http://server.test", Dial: engine.Dial{DialContext: s.dial},
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error {
				closed := make(chan error)
				go func() { closed <- eng.Close() }() // a goroutine of the processor's own
				return <-closed
			})},
		})
		require.NoError(t, err)
		start := time.Now()
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.ErrorIs(t, err, engine.ErrStillRunning)
		require.Equal(t, 30*time.Second, time.Since(start))
		require.NoError(t, eng.Close(), "it has ended by itself")
	})
}

func TestAnEngineIsClosedBehindATestThatEndsInsideARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng, err := engine.New(engine.Config{
			BaseURL: "http://server.test", Dial: engine.Dial{DialContext: s.dial},
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error {
				runtime.Goexit() // as t.FailNow does
				return nil
			})},
		})
		require.NoError(t, err)
		closed := make(chan error, 1)
		go func() {
			defer func() { closed <- eng.Close() }()
			_, _ = eng.Do(context.Background(), &engine.Request{Path: "/"})
		}()
		require.NoError(t, <-closed)
	})
}
