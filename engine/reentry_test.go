package engine_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// nosyJar has something done whenever it is asked.
type nosyJar struct {
	http.CookieJar
	do func()
}

func (j nosyJar) Cookies(u *url.URL) []*http.Cookie { j.do(); return j.CookieJar.Cookies(u) }

// askedInside are the things that code of the caller's may ask of its engine.
var askedInside = map[string]func(*engine.Engine){
	"do":       func(e *engine.Engine) { _, _ = e.Do(context.Background(), &engine.Request{Path: "/inner"}) },
	"stats":    func(e *engine.Engine) { e.Stats() },
	"pause":    func(e *engine.Engine) { _, _ = e.Pause(throttle.Scope{}, time.Second), e.Resume(throttle.Scope{}) },
	"replace":  func(e *engine.Engine) { _ = e.ReplaceLimits(plenty) },
	"adjust":   func(e *engine.Engine) { _ = e.AdjustLimit("calls", engine.Parts{}, 1) },
	"warm":     func(e *engine.Engine) { _ = e.Warm(context.Background(), "", 3) },
	"idle":     func(e *engine.Engine) { e.CloseIdleConnections() },
	"close":    func(e *engine.Engine) { _ = e.Close() },
	"shutdown": func(e *engine.Engine) { _ = e.Shutdown(context.Background()) },
}

// placesInside have code called in the place that they are named after.
var placesInside = map[string]func(s *server, do func(), config *engine.Config, asked *engine.Request) *httptrace.ClientTrace{
	"jar": func(_ *server, do func(), config *engine.Config, _ *engine.Request) *httptrace.ClientTrace {
		jar, _ := cookiejar.New(nil)
		config.Cookies = nosyJar{jar, do}
		return nil
	},
	"feedback": func(_ *server, do func(), config *engine.Config, _ *engine.Request) *httptrace.ClientTrace {
		config.Feedback = func(a feedback.Answer) feedback.Feedback { do(); return feedback.RetryAfter(a) }
		return nil
	},
	"upload": func(_ *server, do func(), _ *engine.Config, asked *engine.Request) *httptrace.ClientTrace {
		asked.Body, asked.Upload.Stream = readerFunc(do), true
		return nil
	},
	"log": func(_ *server, do func(), config *engine.Config, _ *engine.Request) *httptrace.ClientTrace {
		config.Logger = slog.New(logFunc(do))
		return nil
	},
	"dial": func(s *server, do func(), config *engine.Config, _ *engine.Request) *httptrace.ClientTrace {
		config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			do()
			return s.dial(ctx, network, addr)
		}
		return nil
	},
	"proxy": func(_ *server, do func(), config *engine.Config, _ *engine.Request) *httptrace.ClientTrace {
		config.Dial.Proxy = func(*http.Request) (*url.URL, error) { do(); return nil, nil }
		return nil
	},
	"decode": func(_ *server, do func(), config *engine.Config, _ *engine.Request) *httptrace.ClientTrace {
		config.Responses.Decode = func(body []byte, into any) error { do(); return json.Unmarshal(body, into) }
		return nil
	},
	"time": func(_ *server, do func(), config *engine.Config, asked *engine.Request) *httptrace.ClientTrace {
		config.Auth, asked.Auth = doingAuth(do), true
		config.Time = engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
			do()
			return engine.TimeReading{Server: time.Now(), Sent: time.Now(), Received: time.Now()}, nil
		})
		return nil
	},
	"hooks": func(_ *server, do func(), _ *engine.Config, _ *engine.Request) *httptrace.ClientTrace {
		return &httptrace.ClientTrace{
			GetConn: func(string) { do() }, GotConn: func(httptrace.GotConnInfo) { do() }, WroteHeaders: do,
			GotFirstResponseByte: do, PutIdleConn: func(error) { do() },
		}
	},
}

func TestCodeOfTheCallersMayAskItsEngineAnythingFromAnywhere(t *testing.T) {
	for place, put := range placesInside {
		for action, ask := range askedInside {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); io.WriteString(w, "{}") })
				var eng *engine.Engine
				ready, asking := make(chan struct{}), atomic.Bool{}
				do := func() {
					<-ready
					if asking.CompareAndSwap(false, true) { // not again, by what it asks for
						defer asking.Store(false)
						ask(eng)
					}
				}
				config := engine.Config{Limits: plenty, DefaultLimitID: "calls", Connections: engine.Connections{Max: 3}}
				asked := &engine.Request{Method: http.MethodPost, Path: "/", Timeout: 20 * time.Second}
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{})
				if trace := put(s, do, &config, asked); trace != nil {
					ctx = httptrace.WithClientTrace(t.Context(), trace)
				}
				eng = s.newEngine(t, config)
				close(ready)
				began := time.Now()
				_, err := engine.Fetch[any](ctx, eng, asked)
				require.Less(t, time.Since(began), 5*time.Second, "%s in %s", action, place)
				if ends := action == "close" || action == "shutdown"; !ends || place != "decode" && place != "log" { // nothing waits for those
					require.NoError(t, err, "%s in %s", action, place)
				}
				synctest.Wait()
				wantNothingHeld(t, eng)
			})
		}
	}
}

// disturb does something at random to an engine, again and again.
func disturb(eng *engine.Engine, stop <-chan struct{}) {
	tables := [][]throttle.Limit{
		plenty, nil,
		{{ID: "calls", Quota: 100, Per: 10 * time.Millisecond}, {ID: "open", Quota: 3, Window: throttle.Concurrency, Linked: []throttle.Link{{ID: "calls"}}}},
		{{ID: "calls", Quota: 200, Per: 20 * time.Millisecond, Window: throttle.FixedFromFirst, Scope: "s"}, {ID: "open", Quota: 50, Per: 10 * time.Millisecond, Window: throttle.Leaky}},
	}
	names, origins := []string{"", "s", throttle.WholeOrigin}, []string{"", throttle.AnyOrigin}
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		scope := throttle.Scope{Origin: origins[rand.IntN(2)], Name: names[rand.IntN(3)]}
		switch rand.IntN(6) {
		case 0:
			_ = eng.ReplaceLimits(tables[rand.IntN(len(tables))])
		case 1:
			_ = eng.AdjustLimit("calls", engine.Parts{}, rand.Int64N(20))
		case 2:
			_ = eng.Pause(scope, 3*time.Millisecond) // of a scope that there may not be
		case 3:
			_ = eng.Resume(scope)
		case 4:
			eng.CloseIdleConnections()
		case 5:
			eng.Stats()
		}
	}
}

func TestNothingIsLostWhenEverythingChangesAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch rand.IntN(30) {
		case 0:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			http.Redirect(w, r, "/x", http.StatusSeeOther)
		}
		io.WriteString(w, "{}")
	}))
	server.Config.ErrorLog = discardLog
	defer server.Close()
	eng := newEngine(t, engine.Config{
		BaseURL: server.URL, Limits: plenty, Connections: engine.Connections{Max: 4},
		Throttle: throttle.Options{LeastPause: time.Millisecond, MaxPause: 5 * time.Millisecond},
	})
	stop := make(chan struct{})
	var callers, others sync.WaitGroup
	for range 3 {
		others.Go(func() { disturb(eng, stop) })
	}
	limits, methods := []string{"calls", "open", engine.Unlimited, ""}, []string{http.MethodGet, http.MethodPost}
	for range 16 {
		callers.Go(func() {
			for range 60 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(4000))*time.Microsecond)
				response, err := eng.Do(ctx, &engine.Request{
					Method: methods[rand.IntN(2)], Path: "/", LimitID: limits[rand.IntN(4)], Redirects: rand.IntN(2),
					Stream: rand.IntN(4) == 0, Priority: engine.Priority(rand.IntN(3)),
				})
				if (err == nil) != (response != nil) {
					t.Error("neither an answer nor an error, or both")
				}
				cancel()
			}
		})
	}
	callers.Wait()
	close(stop)
	others.Wait()
	require.NoError(t, eng.Resume(throttle.Scope{Origin: throttle.AnyOrigin, Name: throttle.WholeOrigin}))
	require.Eventually(t, func() bool { return heldBy(eng.Stats()) == 0 }, 5*time.Second, 10*time.Millisecond)
}

// heldBy counts what is in use, and who waits.
func heldBy(s engine.Stats) int {
	n := s.InFlight + s.Queued + s.Waiting
	for _, p := range s.Pools {
		n += p.Leased + p.Waiting
	}
	for _, scope := range s.Limits.Scopes {
		n += scope.InFlight
	}
	return n
}
