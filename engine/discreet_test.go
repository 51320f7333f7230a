package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// quoting is what http.Client says of what it could not send, which code of the caller's may
// well return.
var quoting = &url.Error{Op: "Get", URL: "http://me:sesame@h.test/p?key=sesame", Err: errors.New("broken")}

func TestErrorsOfTheCallersCodeAreToldWithoutWhatTheirURLsCarry(t *testing.T) {
	for name, c := range map[string]struct {
		config engine.Config
		ask    engine.Request
		body   func() io.Reader
	}{
		"DialContext": {config: engine.Config{Dial: engine.Dial{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, quoting }}}},
		"Proxy":       {config: engine.Config{Dial: engine.Dial{Proxy: func(*http.Request) (*url.URL, error) { return nil, quoting }}}},
		"a pre-processor": {config: engine.Config{PreProcessors: []engine.PreProcessor{
			engine.PreProcessorFunc(func(context.Context, *engine.Request) error { return quoting })}}},
		"a post-processor": {config: engine.Config{PostProcessors: []engine.PostProcessor{
			engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { return quoting })}}},
		"an authenticator": {config: engine.Config{Auth: auth.Func(func(*messages.Call, auth.Clock) error { return quoting })}, ask: engine.Request{Auth: true}},
		"a body":           {ask: engine.Request{Method: http.MethodPost}, body: quotingBody},
		"a streamed body":  {ask: engine.Request{Method: http.MethodPost, Upload: engine.Upload{Length: 10}}, body: quotingBody},
		"MarshalJSON":      {ask: engine.Request{Method: http.MethodPost, Body: quotingJSON{}}},
	} {
		for how, ask := range waysToBeRefused {
			if how == "Do, shared" {
				continue
			}
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var d diary
					var log lockedBuffer
					config := c.config
					config.Retry, config.Observers = engine.Retry{Max: -1}, []engine.Observer{d.observer("a")}
					config.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
					eng := newServer(t, nil).newEngine(t, config)
					req := c.ask
					if c.body != nil {
						req.Body = c.body()
					}
					err := ask(t.Context(), eng, req)
					require.ErrorIs(t, err, quoting.Err)
					found, is := errors.AsType[*url.Error](err)
					require.True(t, is)
					require.Equal(t, quoting.URL, found.URL)
					synctest.Wait()
					told := fmt.Sprintln(err, d.waits, d.tried, d.ended)
					for _, w := range d.waits {
						told += fmt.Sprintln(w.Err)
					}
					for _, a := range d.tried {
						told += fmt.Sprintln(a.Err)
					}
					require.NoError(t, eng.Close())
					told += log.String()
					require.Contains(t, err.Error(), ": broken", "which is no secret")
					require.NotContains(t, told, "sesame")
				})
			})
		}
	}
}

func quotingBody() io.Reader { return io.MultiReader(&quotingReader{}) }

type quotingReader struct{ read int }

// Read is part of io.Reader: there is a letter first.
func (r *quotingReader) Read(p []byte) (int, error) {
	if r.read++; r.read == 1 {
		return copy(p, "a"), nil
	}
	time.Sleep(time.Millisecond)
	return 0, quoting
}

type quotingJSON struct{}

// MarshalJSON is part of json.Marshaler.
func (quotingJSON) MarshalJSON() ([]byte, error) { return nil, quoting }
