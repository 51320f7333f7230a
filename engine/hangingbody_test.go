package engine_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// stalledBody has five bytes, and then nothing until somebody goes on. Its Close waits for its Read, as
// that of the body does which net/http gives to a handler.
type stalledBody struct {
	turn chan struct{}
	goOn chan struct{}
	sent bool
}

func newStalledBody() *stalledBody {
	return &stalledBody{turn: make(chan struct{}, 1), goOn: make(chan struct{})}
}

func (b *stalledBody) Read(p []byte) (int, error) {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	if !b.sent {
		b.sent = true
		return copy(p, "hello"), nil
	}
	<-b.goOn
	return 0, io.EOF
}

func (b *stalledBody) Close() error {
	b.turn <- struct{}{}
	<-b.turn
	return nil
}

// closingBody is whole at once; its Close does what it is told to.
type closingBody struct {
	io.Reader
	close func()
}

func (b closingBody) Close() error { b.close(); return nil }

// theWays to hand a body over that is streamed. Each returns the answer's status.
var theWays = map[string]func(ctx context.Context, eng *engine.Engine, base string, body io.ReadCloser) (int, error){
	"a reader": func(ctx context.Context, eng *engine.Engine, _ string, body io.ReadCloser) (int, error) {
		return statusOf(eng.Do(ctx, postStreamed(body)))
	},
	"a function": func(ctx context.Context, eng *engine.Engine, _ string, body io.ReadCloser) (int, error) {
		return statusOf(eng.Do(ctx, postStreamed(func() (io.Reader, error) { return body, nil })))
	},
	"Submit": func(ctx context.Context, eng *engine.Engine, _ string, body io.ReadCloser) (int, error) {
		return statusOf(eng.Submit(ctx, postStreamed(body)).Result())
	},
	"RoundTripper": func(ctx context.Context, eng *engine.Engine, base string, body io.ReadCloser) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base, body)
		if err != nil {
			return 0, err
		}
		resp, err := eng.RoundTripper().RoundTrip(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	},
}

func postStreamed(body any) *engine.Request {
	return &engine.Request{Method: http.MethodPost, Path: "/", Body: body, Upload: engine.Upload{Stream: true}}
}

func statusOf(resp *engine.Response, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

// withBothProtocols runs a test by HTTP/1.1 and by HTTP/2, on one connection.
func withBothProtocols(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, eng *engine.Engine, base string)) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := engine.Config{
					BaseURL: "http://example.com", Connections: engine.Connections{Max: 1}, Retry: engine.Retry{Max: -1},
				}
				s := newServer(t, handler)
				if protocol == "HTTP/2" {
					s = newHTTP2Server(t, handler, &config)
				}
				config.Dial.DialContext = s.dial
				eng, err := engine.New(config)
				require.NoError(t, err)
				defer eng.Close()
				test(t, eng, config.BaseURL)
				time.Sleep(time.Second) // net/http's server lingers where it has not read all
			})
		})
	}
}

func swallow(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// refuse answers before it has read the body, of which net/http reads the rest otherwise.
func refuse(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.WriteHeader(http.StatusRequestEntityTooLarge)
}

// aMoment is how long the Close of a body is waited for.
const aMoment = 100 * time.Millisecond

func TestABodyWhoseCloseWaitsKeepsNobodyBeyondTheTimeout(t *testing.T) {
	const timeout = 500 * time.Millisecond
	for name, do := range theWays {
		t.Run(name, func(t *testing.T) {
			withBothProtocols(t, swallow, func(t *testing.T, eng *engine.Engine, base string) {
				body := newStalledBody()
				defer close(body.goOn)
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				begun := time.Now()
				_, err := do(ctx, eng, base, body)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.LessOrEqual(t, time.Since(begun), timeout+aMoment)

				_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Second})
				require.NoError(t, err, "the connection is there again")
			})
		})
	}
}

func TestAnEarlyAnswerDoesNotWaitForTheCloseOfTheBody(t *testing.T) {
	for name, do := range theWays {
		t.Run(name, func(t *testing.T) {
			withBothProtocols(t, refuse, func(t *testing.T, eng *engine.Engine, base string) {
				body := newStalledBody()
				defer close(body.goOn)
				begun := time.Now()
				status, err := do(t.Context(), eng, base, body)
				require.NoError(t, err)
				require.Equal(t, http.StatusRequestEntityTooLarge, status)
				require.LessOrEqual(t, time.Since(begun), 2*aMoment)
			})
		})
	}
}

func TestTheCloseOfABodyThatDoesNotReturnOrPanicsCostsNoAnswer(t *testing.T) {
	for what, closes := range map[string]func(goOn chan struct{}){
		"it waits":              func(goOn chan struct{}) { <-goOn },
		"it panics":             func(chan struct{}) { panic(errors.New("the caller's Close")) },
		"it ends its goroutine": func(chan struct{}) { runtime.Goexit() },
	} {
		for name, do := range theWays {
			for answer, handler := range map[string]http.HandlerFunc{"read whole": swallow, "answered early": refuse} {
				t.Run(what+", "+name+", "+answer, func(t *testing.T) {
					withBothProtocols(t, handler, func(t *testing.T, eng *engine.Engine, base string) {
						goOn := make(chan struct{})
						defer close(goOn)
						begun := time.Now()
						status, err := do(t.Context(), eng, base, closingBody{io.LimitReader(zeros{}, 1<<20), func() { closes(goOn) }})
						require.NoError(t, err)
						require.NotZero(t, status)
						require.LessOrEqual(t, time.Since(begun), 2*aMoment)
					})
				})
			}
		}
	}
}
