package engine_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// panicking is everything that can be a caller's, and panics.
type panicking struct{}

func boom() { panic(*said.Load()) }

// said is what it panics with.
var said atomic.Pointer[any]

func say(what any) { said.Store(&what) }

func init() { say("mine") }

// hollow are errors whose own methods panic.
var hollow = []error{(*net.OpError)(nil), (*engine.StatusError)(nil), fmt.Errorf("mine: %w", (*net.OpError)(nil)), fickle{}}

func (panicking) UnmarshalJSON([]byte) error          { boom(); return nil }
func (panicking) MarshalJSON() ([]byte, error)        { boom(); return nil, nil }
func (panicking) MarshalText() ([]byte, error)        { boom(); return nil, nil }
func (panicking) Read([]byte) (int, error)            { boom(); return 0, nil }
func (panicking) Close() error                        { boom(); return nil }
func (panicking) Cookies(*url.URL) []*http.Cookie     { boom(); return nil }
func (panicking) SetCookies(*url.URL, []*http.Cookie) { boom() }

func (panicking) Authenticate(*messages.Call, auth.Clock) error { boom(); return nil }
func (panicking) Unsign(*messages.Call) (bool, error)           { boom(); return false, nil }

func (panicking) Enabled(context.Context, slog.Level) bool  { boom(); return false }
func (panicking) Handle(context.Context, slog.Record) error { boom(); return nil }
func (p panicking) WithAttrs([]slog.Attr) slog.Handler      { return p }
func (p panicking) WithGroup(string) slog.Handler           { return p }

// textPanics is a text that panics when it is read.
type textPanics struct{}

func (textPanics) String() string { boom(); return "" }

// aPanic is one place where code of the caller's is called.
type aPanic struct {
	name   string
	config func(*engine.Config)
	asked  func(*engine.Request)
	trace  *httptrace.ClientTrace
	call   func(t *testing.T, eng *engine.Engine, ctx context.Context, asked *engine.Request) error // nil is Do
	silent bool                                                                                     // it ends no request: what it says is not needed
}

func fetches[T any](_ *testing.T, eng *engine.Engine, ctx context.Context, asked *engine.Request) error {
	_, err := engine.Fetch[T](ctx, eng, asked)
	return err
}

// trips sends a request by an http.Client.
func trips(body func() io.ReadCloser, adjust ...func(*http.Request, *engine.Request)) func(*testing.T, *engine.Engine, context.Context, *engine.Request) error {
	return func(t *testing.T, eng *engine.Engine, ctx context.Context, asked *engine.Request) error {
		req, err := http.NewRequestWithContext(ctx, "POST", asked.URL, nil)
		require.NoError(t, err)
		if body != nil {
			req.Body, req.ContentLength = body(), 4
		}
		resp, err := eng.RoundTripper(adjust...).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
}

// panics are all places where the door calls code of the caller's.
func panics() []aPanic {
	dialed := func(c *engine.Config, f func()) {
		c.Dial.TLS = &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { f(); return nil }}
	}
	return []aPanic{
		{name: "UnmarshalJSON in Fetch", call: fetches[panicking]},
		{name: "Responses.Decode", config: func(c *engine.Config) { c.Responses.Decode = func([]byte, any) error { boom(); return nil } }, call: fetches[int]},
		{name: "UnmarshalJSON in Response.JSON", call: func(_ *testing.T, eng *engine.Engine, ctx context.Context, asked *engine.Request) error {
			resp, err := eng.Do(ctx, asked)
			return errors.Join(err, resp.JSON(new(panicking)))
		}},
		{name: "MarshalJSON", asked: func(r *engine.Request) { r.Body = panicking{} }},
		{name: "MarshalText in a query", asked: func(r *engine.Request) { r.Query = engine.Values{"a": textPanics{}} }},
		{name: "a body", asked: func(r *engine.Request) { r.Body = io.Reader(panicking{}) }},
		{name: "a streamed body", asked: func(r *engine.Request) { r.Body, r.Upload.Stream = io.Reader(panicking{}), true }},
		{name: "what opens a body", asked: func(r *engine.Request) {
			r.Body, r.Upload.Stream = func() (io.Reader, error) { boom(); return nil, nil }, true
		}},
		{name: "a file of a form", asked: func(r *engine.Request) {
			r.Body = engine.Multipart{Files: []engine.File{{Field: "f", Content: io.Reader(panicking{})}}}
		}},
		{name: "what opens a file", asked: func(r *engine.Request) {
			r.Body = engine.Multipart{Files: []engine.File{{Field: "f", Content: func() (io.Reader, error) { boom(); return nil, nil }}}}
		}},
		{name: "PreProcessor", config: func(c *engine.Config) {
			c.PreProcessors = []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error { boom(); return nil })}
		}},
		{name: "PostProcessor", config: func(c *engine.Config) {
			c.PostProcessors = []engine.PostProcessor{engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { boom(); return nil })}
		}},
		{name: "a stream that a post-processor wrapped, in Fetch", asked: func(r *engine.Request) { r.Stream = true; r.URL += "/404" }, silent: true, config: wrapsStreams,
			call: func(_ *testing.T, eng *engine.Engine, ctx context.Context, asked *engine.Request) error {
				_, err := engine.Fetch[*engine.Response](ctx, eng, asked)
				if _, refused := errors.AsType[*engine.StatusError](err); refused {
					return nil // which is what there is to say
				}
				return err
			}},
		{name: "a stream that a post-processor wrapped, in SaveTo", asked: func(r *engine.Request) { r.Stream = true }, config: wrapsStreams, call: saves(nil)},
		{name: "SaveTo's progress", call: saves(func(int64, int64) { boom() })},
		{name: "SaveTo's progress of a stream", asked: func(r *engine.Request) { r.Stream = true }, call: saves(func(int64, int64) { boom() })},
		{name: "Auth", config: func(c *engine.Config) { c.Auth = panicking{} }, asked: func(r *engine.Request) { r.Auth = true }},
		{name: "Unsign", config: func(c *engine.Config) { c.Auth = panicking{} }, call: func(t *testing.T, eng *engine.Engine, ctx context.Context, asked *engine.Request) error {
			return trips(nil, engine.Resign(eng))(t, eng, ctx, asked)
		}},
		{name: "Cookies", config: func(c *engine.Config) { c.Cookies = panicking{} }},
		{name: "UpdateCookies", config: func(c *engine.Config) { c.Cookies = panicking{} }, call: func(_ *testing.T, eng *engine.Engine, _ context.Context, asked *engine.Request) error {
			return eng.UpdateCookies(asked.URL, &http.Cookie{Name: "a", Value: "b"})
		}},
		{name: "Feedback", silent: true, config: func(c *engine.Config) {
			c.Feedback = func(feedback.Answer) feedback.Feedback { boom(); return feedback.Feedback{} }
		}},
		{name: "Time", config: func(c *engine.Config) {
			c.Auth = auth.HMACQuery{Key: "k", Secret: "s"}
			c.Time = engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
				boom()
				return engine.TimeReading{}, nil
			})
		}, asked: func(r *engine.Request) { r.Auth, r.Timeout = true, 200*time.Millisecond }, silent: true},
		{name: "Logger", silent: true, config: func(c *engine.Config) { c.Logger = slog.New(panicking{}) }},
		{name: "DialContext", config: func(c *engine.Config) {
			c.Dial.DialContext = func(context.Context, string, string) (net.Conn, error) { boom(); return nil, nil }
		}},
		{name: "Proxy", config: func(c *engine.Config) {
			c.Dial.Proxy = func(*http.Request) (*url.URL, error) { boom(); return nil, nil }
		}},
		{name: "Lenient", config: func(c *engine.Config) { c.Responses.Lenient = func(string) bool { boom(); return false } }},
		{name: "HTTP2", config: func(c *engine.Config) {
			dialed(c, func() {})
			c.Connections.HTTP2 = func(string) bool { boom(); return false }
		}, asked: sealed},
		{name: "TLS", config: func(c *engine.Config) { dialed(c, boom) }, asked: sealed},
		{name: "GotConn", trace: &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { boom() }}},
		{name: "WroteRequest", trace: &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { boom() }}},
		{name: "adjust", call: trips(nil, func(*http.Request, *engine.Request) { boom() })},
		{name: "a round trip's body", call: trips(func() io.ReadCloser { return panicking{} })},
		{name: "a round trip's Close", silent: true, call: trips(func() io.ReadCloser {
			return struct {
				io.Reader
				io.Closer
			}{io.LimitReader(zeros{}, 4), panicking{}}
		})},
		{name: "GetBody", call: func(t *testing.T, eng *engine.Engine, ctx context.Context, asked *engine.Request) error {
			req, err := http.NewRequestWithContext(ctx, "POST", asked.URL, unknown{nil})
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.GetBody = func() (io.ReadCloser, error) { boom(); return nil, nil }
			_, err = eng.RoundTripper(engine.Resign(eng)).RoundTrip(req)
			return err
		}, config: func(c *engine.Config) { c.Auth = auth.Binance("k", "s") }},
		{name: "Warm", config: func(c *engine.Config) {
			c.Dial.DialContext = func(context.Context, string, string) (net.Conn, error) { boom(); return nil, nil }
		}, call: func(_ *testing.T, eng *engine.Engine, ctx context.Context, asked *engine.Request) error {
			return eng.Warm(ctx, asked.URL, 1)
		}},
	}
}

func sealed(r *engine.Request) { r.URL = "https" + r.URL[len("http"):] }

func wrapsStreams(c *engine.Config) {
	c.PostProcessors = []engine.PostProcessor{engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, resp *engine.Response) error {
		resp.Stream = struct {
			io.Reader
			io.Closer
		}{panicking{}, resp.Stream}
		return nil
	})}
}

func saves(progress func(int64, int64)) func(*testing.T, *engine.Engine, context.Context, *engine.Request) error {
	return func(t *testing.T, eng *engine.Engine, ctx context.Context, asked *engine.Request) error {
		resp, err := eng.Do(ctx, asked)
		require.NoError(t, err)
		folder := t.TempDir()
		err = resp.SaveTo(filepath.Join(folder, "out"), progress)
		left, _ := os.ReadDir(folder)
		require.Empty(t, left, "a panic leaves no file")
		return err
	}
}

func TestAPanicInCodeOfTheCallersEndsOneRequest(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/404" {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Write([]byte("{}"))
	})
	plain, other := httptest.NewServer(answer), httptest.NewTLSServer(answer)
	defer plain.Close()
	defer other.Close()
	defer say("mine")
	for _, what := range append([]any{"mine"}, hollow[0], hollow[1], hollow[2], hollow[3]) {
		say(what)
		for _, c := range panics() {
			t.Run(fmt.Sprintf("%s, %T", c.name, what), func(t *testing.T) { oneAfterThePanic(t, c, what, plain.URL, other.URL) })
		}
	}
}

// oneAfterThePanic has a place of the caller's code panic, twice, and looks what becomes of the
// request and of the engine.
func oneAfterThePanic(t *testing.T, c aPanic, what any, plain, other string) {
	config := engine.Config{Retry: engine.Retry{Max: -1}}
	if c.config != nil {
		c.config(&config)
	}
	eng, err := engine.New(config)
	require.NoError(t, err)
	defer eng.Close()
	asked := &engine.Request{Method: "POST", URL: plain, Timeout: 5 * time.Second}
	if c.asked != nil {
		if c.asked(asked); asked.URL[:5] == "https" {
			asked.URL = other
		}
	}
	ctx := t.Context()
	if c.trace != nil {
		ctx = httptrace.WithClientTrace(ctx, c.trace)
	}
	for range 2 { // the second is as the first
		if c.call != nil {
			err = c.call(t, eng, ctx, asked)
		} else {
			_, err = eng.Do(ctx, asked)
		}
		panicked, ok := errors.AsType[*engine.PanicError](err)
		switch {
		case !c.silent:
			require.True(t, ok, "%v", err)
			require.Equal(t, what, panicked.Value)
			require.NotContains(t, err.Error(), "mine", "it may be anything that the code had in hand")
		case c.name != "Time" && c.name != "Feedback":
			require.NoError(t, err)
		}
	}
	wantNothingHeld(t, eng)
}

func TestAnErrorThatIsANilPointerSaysNothing(t *testing.T) {
	for _, err := range []error{(*engine.Error)(nil), (*engine.StatusError)(nil), (*engine.DecodeError)(nil), (*engine.ContentTypeError)(nil), (*engine.PanicError)(nil)} {
		require.Equal(t, engine.Unknown, engine.OutcomeOf(err), "%T", err)
		began := time.Now()
		require.Equal(t, err, engine.Wait(t.Context(), err), "%T", err)
		require.Less(t, time.Since(began), 50*time.Millisecond)
	}
}

func TestABodyIsClosedBehindAPanicOfAnAdjustFunction(t *testing.T) {
	eng := newEngine(t, engine.Config{})
	body := &noting{}
	req, err := http.NewRequest("POST", "http://server.test/", body)
	require.NoError(t, err)
	_, err = eng.RoundTripper(func(*http.Request, *engine.Request) { boom() }).RoundTrip(req)
	require.ErrorAs(t, err, new(*engine.PanicError))
	require.True(t, body.closed)

	exited, body := make(chan struct{}), &noting{}
	req.Body = body
	go func() {
		defer close(exited)
		_, _ = eng.RoundTripper(func(*http.Request, *engine.Request) { runtime.Goexit() }).RoundTrip(req)
	}()
	<-exited
	require.True(t, body.closed, "behind a runtime.Goexit as well")
}

func TestANilAdjustFunctionIsAnErrorOfEachRequest(t *testing.T) {
	eng := newEngine(t, engine.Config{})
	_, err := (&http.Client{Transport: eng.RoundTripper(nil)}).Get("http://server.test/")
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	require.ErrorContains(t, err, "adjust function 1")
}

type noting struct {
	panicking
	closed bool
}

func (c *noting) Close() error { c.closed = true; return nil }

var _ json.Unmarshaler = panicking{}
