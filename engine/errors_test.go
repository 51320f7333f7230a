package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// failFirst dials the server, but not the first time.
func failFirst(s *server, dials *int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		*dials++
		if *dials == 1 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		return s.dial(ctx, network, addr)
	}
}

// raw answers every connection with the same bytes, and hangs up.
func raw(answer string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			if _, err := http.ReadRequest(bufio.NewReader(theirs)); err == nil {
				io.WriteString(theirs, answer)
			}
		}()
		return ours, nil
	}
}

// A slow server, and the limit that lets one request in an hour through.
func slowly(d time.Duration) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
}

var hourly = throttle.Limit{ID: "hourly", Quota: 1, Per: time.Hour}

func TestEveryWayToEndSaysWhereAndWhetherAnythingWasSent(t *testing.T) {
	boom := errors.New("boom")
	type ending struct {
		name    string
		handler http.HandlerFunc
		config  engine.Config
		before  []*engine.Request // sent, and waited for
		beside  []*engine.Request // sent, and left waiting
		request *engine.Request
		context func(context.Context) (context.Context, context.CancelFunc)

		stage engine.Stage
		sent  engine.Sent
		cause []error
		after time.Duration
		busy  bool // the engine goes on asking for the time
	}
	cancelAfter := func(d time.Duration, cause error) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			timer := time.AfterFunc(d, func() { cancel(cause) })
			return ctx, func() { timer.Stop(); cancel(nil) }
		}
	}
	get := func(limit string) *engine.Request { return &engine.Request{Path: "/", LimitID: limit} }
	within := func(limit string, d time.Duration) *engine.Request {
		return &engine.Request{Path: "/", LimitID: limit, Timeout: d}
	}
	hourlyOnly := engine.Config{Limits: []throttle.Limit{hourly}}

	for _, e := range []ending{
		{
			name: "an unknown limit", config: hourlyOnly, request: get("daily"),
			stage: engine.Throttled, cause: []error{engine.ErrUnknownLimit},
		}, {
			name: "no limit", config: hourlyOnly, request: get(""),
			stage: engine.Preparing, cause: []error{engine.ErrNoLimit},
		}, {
			name: "an impossible weight", config: hourlyOnly,
			request: &engine.Request{Path: "/", LimitID: "hourly", Weight: 2},
			stage:   engine.Throttled, cause: []error{engine.ErrWeight},
		}, {
			name:   "a full queue",
			config: engine.Config{Limits: []throttle.Limit{hourly}, Throttle: throttle.Options{MaxQueued: 1}},
			before: []*engine.Request{get("hourly")}, beside: []*engine.Request{get("hourly")}, request: get("hourly"),
			stage: engine.Throttled, cause: []error{engine.ErrQueueFull},
		}, {
			name: "too few credits", handler: slowly(time.Minute), config: engine.Config{Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: -1}},
			beside: []*engine.Request{get("")}, request: get(""),
			stage: engine.Admitting, cause: []error{engine.ErrOverloaded},
		}, {
			name: "a deadline while admitting", handler: slowly(time.Minute), config: engine.Config{Admission: engine.Admission{MaxInFlight: 1}},
			beside: []*engine.Request{get("")}, request: within("", time.Second),
			stage: engine.Admitting, cause: []error{context.DeadlineExceeded}, after: time.Second,
		}, {
			name: "a context cancelled while admitting", handler: slowly(time.Minute), config: engine.Config{Admission: engine.Admission{MaxInFlight: 1}},
			beside: []*engine.Request{get("")}, request: get(""), context: cancelAfter(time.Second, boom),
			stage: engine.Admitting, cause: []error{context.Canceled, boom}, after: time.Second,
		}, {
			name: "a deadline while preparing", handler: slowly(time.Minute),
			config:  engine.Config{Auth: auth.HMACQuery{Key: "k", Secret: "s"}, Time: engine.TimeFrom("/time", "t")},
			request: &engine.Request{Path: "/", Auth: true, Timeout: time.Second},
			stage:   engine.Preparing, cause: []error{context.DeadlineExceeded}, after: time.Second, busy: true,
		}, {
			name: "a deadline that no permit can meet", config: hourlyOnly,
			before: []*engine.Request{get("hourly")}, request: within("hourly", time.Minute),
			stage: engine.Throttled, cause: []error{context.DeadlineExceeded},
		}, {
			name: "a deadline while throttled", handler: slowly(time.Hour),
			config: engine.Config{Limits: []throttle.Limit{{ID: "one", Quota: 1, Window: throttle.Concurrency}}},
			beside: []*engine.Request{get("one")}, request: within("one", time.Minute),
			stage: engine.Throttled, cause: []error{context.DeadlineExceeded}, after: time.Minute,
		}, {
			name: "a deadline while leasing", handler: slowly(time.Hour), config: engine.Config{Connections: engine.Connections{Max: 1}},
			beside: []*engine.Request{get("")}, request: within("", time.Minute),
			stage: engine.Leasing, cause: []error{context.DeadlineExceeded}, after: time.Minute,
		}, {
			name: "a deadline while signing",
			config: engine.Config{Auth: auth.Func(func(*messages.Call, auth.Clock) error {
				time.Sleep(2 * time.Second)
				return nil
			})},
			request: &engine.Request{Path: "/", Auth: true, Timeout: time.Second},
			stage:   engine.Signing, cause: []error{context.DeadlineExceeded}, after: 2 * time.Second,
		}, {
			name: "a deadline while exchanging", handler: slowly(time.Hour), request: within("", time.Minute),
			stage: engine.Exchanging, sent: engine.SentMaybe, cause: []error{context.DeadlineExceeded}, after: time.Minute,
		}, {
			name: "a deadline while pausing",
			config: engine.Config{
				Retry: engine.Retry{Max: 1000, Base: time.Hour, Cap: time.Hour},
				Dial:  engine.Dial{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, boom }},
			},
			request: get(""), context: cancelAfter(time.Nanosecond, nil),
			stage: engine.Pausing, cause: []error{context.Canceled, boom}, after: time.Nanosecond,
		}, {
			name: "a context cancelled before", request: get(""),
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(ctx)
				cancel(boom)
				return ctx, func() {}
			},
			stage: engine.Admitting, cause: []error{context.Canceled, boom},
		}, {
			name: "a context cancelled in the queue", config: hourlyOnly,
			before: []*engine.Request{get("hourly")}, request: get("hourly"), context: cancelAfter(time.Second, boom),
			stage: engine.Throttled, cause: []error{context.Canceled, boom}, after: time.Second,
		}, {
			name: "a context cancelled on the wire", handler: slowly(time.Hour), request: get(""),
			context: cancelAfter(time.Second, boom),
			stage:   engine.Exchanging, sent: engine.SentMaybe, cause: []error{context.Canceled, boom}, after: time.Second,
		}, {
			name: "too many waiters for a connection", handler: slowly(time.Hour),
			config: engine.Config{Connections: engine.Connections{Max: 1, MaxWaiters: 1}},
			beside: []*engine.Request{get(""), get("")}, request: get(""),
			stage: engine.Leasing, cause: []error{engine.ErrTooManyWaiters},
		}, {
			name: "a refused connection",
			config: engine.Config{
				Retry: engine.Retry{Max: -1},
				Dial: engine.Dial{DialContext: func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}},
			},
			request: get(""), stage: engine.Leasing, cause: []error{syscall.ECONNREFUSED},
		}, {
			name: "an answer that never begins", config: engine.Config{Dial: engine.Dial{DialContext: raw("")}, Retry: engine.Retry{Max: -1}},
			request: get(""), stage: engine.Exchanging, sent: engine.SentMaybe, cause: []error{engine.ErrTruncated},
		}, {
			name: "a truncated answer", config: engine.Config{Dial: engine.Dial{DialContext: raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")}, Retry: engine.Retry{Max: -1}},
			request: get(""), stage: engine.Exchanging, sent: engine.SentYes, cause: []error{engine.ErrTruncated},
		}, {
			name: "a malformed answer", config: engine.Config{Dial: engine.Dial{DialContext: raw("HTTP/9.9 200 OK\r\n\r\n")}, Retry: engine.Retry{Max: -1}},
			request: get(""), stage: engine.Exchanging, sent: engine.SentMaybe, cause: []error{engine.ErrMalformedResponse},
		}, {
			name: "a body over the cap", config: engine.Config{Responses: engine.Responses{MaxBody: 3}, Dial: engine.Dial{DialContext: raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour")}},
			request: get(""), stage: engine.Exchanging, sent: engine.SentYes, cause: []error{engine.ErrBodyTooLarge},
		}, {
			name: "a header over the cap", config: engine.Config{
				Responses: engine.Responses{MaxHeader: 512}, Retry: engine.Retry{Max: -1},
				Dial: engine.Dial{DialContext: raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1000) + "\r\n\r\n")},
			},
			request: get(""), stage: engine.Exchanging, sent: engine.SentMaybe, cause: []error{engine.ErrHeaderTooLarge},
		}, {
			name: "a header line that cannot be sent", request: &engine.Request{Path: "/", Header: http.Header{"A": {"b\r\nC: d"}}},
			stage: engine.Preparing, cause: []error{engine.ErrInvalidRequest},
		}, {
			name: "an error of a pre-processor",
			config: engine.Config{PreProcessors: []engine.PreProcessor{
				engine.PreProcessorFunc(func(context.Context, *engine.Request) error { return boom }),
			}},
			request: get(""), stage: engine.Preparing, cause: []error{boom},
		}, {
			name: "a panic of a pre-processor",
			config: engine.Config{PreProcessors: []engine.PreProcessor{
				engine.PreProcessorFunc(func(context.Context, *engine.Request) error { panic(boom) }),
			}},
			request: get(""), stage: engine.Preparing, cause: []error{boom, errPanic},
		}, {
			name:    "a panic of the authenticator",
			config:  engine.Config{Auth: auth.Func(func(*messages.Call, auth.Clock) error { panic(boom) })},
			request: &engine.Request{Path: "/", Auth: true}, stage: engine.Signing, cause: []error{boom, errPanic},
		}, {
			name: "a panic of a post-processor",
			config: engine.Config{PostProcessors: []engine.PostProcessor{
				engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { panic(boom) }),
			}},
			request: get(""), stage: engine.Finishing, sent: engine.SentYes, cause: []error{boom, errPanic},
		}, {
			name:    "another content type",
			request: &engine.Request{Path: "/", Accept: "text/html"},
			stage:   engine.Finishing, sent: engine.SentYes,
		}, {
			name: "no authenticator", request: &engine.Request{Path: "/", Auth: true},
			stage: engine.Preparing, cause: []error{engine.ErrInvalidRequest},
		},
	} {
		t.Run(e.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, e.handler)
				eng := s.newEngine(t, e.config)
				for _, req := range e.before {
					_, err := eng.Do(t.Context(), req)
					require.NoError(t, err)
				}
				background, leave := context.WithCancel(t.Context())
				gone := make(chan struct{}, len(e.beside))
				for _, req := range e.beside {
					go func() { eng.Do(background, req); gone <- struct{}{} }()
					synctest.Wait()
				}
				ctx := t.Context()
				if e.context != nil {
					var cancel context.CancelFunc
					ctx, cancel = e.context(ctx)
					defer cancel()
				}

				start := time.Now()
				resp, err := eng.Do(ctx, e.request)

				require.Nil(t, resp)
				var failure *engine.Error
				require.ErrorAs(t, err, &failure)
				require.Equal(t, e.stage, failure.Stage, "%v", err)
				require.Equal(t, e.sent, failure.Sent, "%v", err)
				for _, cause := range e.cause {
					wantCause(t, err, cause)
				}
				require.Equal(t, e.after, time.Since(start), "%v", err)
				verdict := engine.Unknown
				if e.sent == engine.SentNo {
					verdict = engine.NotSent
				}
				require.Equal(t, verdict, engine.OutcomeOf(err), "%v", err)
				require.NotContains(t, err.Error(), "\n")
				require.Equal(t, e.request.Path, failure.Path)

				leave()
				for range e.beside {
					<-gone
				}
				synctest.Wait()
				if !e.busy {
					wantNothingHeld(t, eng)
				}
			})
		})
	}
}

// errPanic stands for a *PanicError in the table.
var errPanic = errors.New("a panic")

func wantCause(t *testing.T, err, cause error) {
	t.Helper()
	if cause == errPanic {
		var p *engine.PanicError
		require.ErrorAs(t, err, &p)
		require.Contains(t, string(p.Stack), "errors_test.go", "the stack shows the culprit")
		return
	}
	require.ErrorIs(t, err, cause)
}

func TestAnErrorNamesItsRequestOnOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{
			BaseURL: "http://server.test", Retry: engine.Retry{Max: -1},
			Dial: engine.Dial{DialContext: func(_ context.Context, network, _ string) (net.Conn, error) {
				return nil, errors.Join(&net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}, errors.New("no other"))
			}},
			Limits: []throttle.Limit{hourly}, DefaultLimitID: "hourly", Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: -1},
		})
		_, err := eng.Do(t.Context(), &engine.Request{Method: "PUT", Path: "/order?key=sesame"})
		require.Regexp(t, `^sluice: PUT /order: leasing \(try again in \d+ms; sent: no\): dial http://server\.test:80: dial tcp: connection refused; no other$`, err.Error())
		var failure *engine.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, "hourly", failure.Route)

		_, err = eng.Do(t.Context(), &engine.Request{Path: "/order", LimitID: "daily"})
		require.EqualError(t, err, `sluice: GET /order: throttled (route "daily"; sent: no): limit "daily": no such limit: Limits has none of that id (there is "hourly")`)

		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = eng.Do(gone, &engine.Request{Path: "/order", LimitID: "hourly"})
		require.EqualError(t, err, `sluice: GET /order: admitting (sent: no): context canceled`)
	})
}

func TestAClosedEngineRefuses(t *testing.T) {
	eng, err := engine.New(engine.Config{})
	require.NoError(t, err)
	require.NoError(t, eng.Close())
	require.NoError(t, eng.Close(), "again")

	_, err = eng.Do(t.Context(), &engine.Request{URL: "http://server.test"})
	require.ErrorIs(t, err, engine.ErrClosed)
	var failure *engine.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, engine.Admitting, failure.Stage)
	require.ErrorIs(t, eng.ReplaceLimits(nil), engine.ErrClosed)
	require.Zero(t, eng.Stats().InFlight)
}

func TestAConfigurationWithMistakesListsThemAll(t *testing.T) {
	_, err := engine.New(engine.Config{
		BaseURL:        "ftp://server.test",
		Connections:    engine.Connections{Max: -1},
		Timeout:        -time.Second,
		DefaultLimitID: "missing",
		PreProcessors:  []engine.PreProcessor{nil},
		Auth:           auth.HMACQuery{},
		Limits: []throttle.Limit{
			{ID: "a", Quota: 0, Per: time.Second},
			{ID: "b", Quota: 1, Per: time.Second, Linked: []throttle.Link{{ID: "c"}}},
		},
	})
	for _, part := range []string{"ftp", "Connections.Max", "Timeout", "missing", "PreProcessors[0]", "Auth", `"a"`, `"c"`} {
		require.ErrorContains(t, err, part)
	}
}

func TestErrorsCarryNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const key, password = "the-key-itself", "the-secret-itself"
		for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Token: " + key + "\r\n\r\n", "garbage " + key} {
			eng := newEngine(t, engine.Config{
				BaseURL: "http://server.test", Dial: engine.Dial{DialContext: raw(answer)},
				Auth: auth.HMACQuery{Key: key, Secret: password},
			})
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Query: engine.Values{"token": key}, Auth: true})
			require.Error(t, err)
			require.NotContains(t, err.Error(), key)
			require.NotContains(t, err.Error(), password)
		}
	})
}

func TestLogsCarryNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const key = "the-key-itself"
		var log lockedBuffer
		captureDefaultLog(t, &log) // the actor library logs there unless it is kept silent
		eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}).newEngine(t, engine.Config{
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Auth:   auth.APIKey{Header: "X-Key", Key: key},
			Limits: []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}}, DefaultLimitID: "calls",
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(_ context.Context, req *engine.Request) error {
				if strings.HasSuffix(req.URL, "/panic") {
					panic("with " + key + " in hand")
				}
				return nil
			})},
		})
		for _, path := range []string{"/panic", "/refused"} {
			_, err := engine.Fetch[string](t.Context(), eng, &engine.Request{
				Method: "POST", Path: path, Auth: true, Body: key,
				Query: engine.Values{"token": key}, Header: http.Header{"X-Token": {key}},
			})
			require.Error(t, err)
		}
		time.Sleep(2 * time.Second) // for whatever is logged late
		require.Contains(t, log.String(), "pausing")
		require.Contains(t, log.String(), "stage=preparing")
		require.NotContains(t, log.String(), key)
	})
}

// captureDefaultLog has the default logger, and package log, write to w during a test.
func captureDefaultLog(t *testing.T, w io.Writer) {
	before, flags, output := slog.Default(), stdlog.Flags(), stdlog.Writer()
	slog.SetDefault(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() {
		slog.SetDefault(before)
		stdlog.SetOutput(output) // which the first SetDefault turned over to slog
		stdlog.SetFlags(flags)
	})
}

// lockedBuffer may be logged to from anywhere.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// The answer stands in the error, if the look at the server's clock that would cure it comes to nothing.
func TestARefusedTimestampThatIsNotCuredNamesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := false
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path != "/time":
				refused = true
				w.WriteHeader(400)
				io.WriteString(w, `{"code":-1021}`)
			case refused:
				<-r.Context().Done()
			default:
				fmt.Fprintf(w, `{"t":%d}`, time.Now().UnixMilli())
			}
		})
		eng := s.newEngine(t, engine.Config{Auth: auth.Binance("key", "secret"), Time: engine.TimeFrom("/time", "t")})
		time.AfterFunc(time.Second, func() { eng.Close() })
		_, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/order", Auth: true})
		require.ErrorIs(t, err, engine.ErrClosed)
		var answer *engine.StatusError
		require.ErrorAs(t, err, &answer)
		require.Equal(t, http.MethodPost, answer.Method)
		require.Contains(t, answer.URL, "/order")
		require.Equal(t, 1, answer.Attempts)
	})
}
