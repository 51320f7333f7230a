package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// slowSource is a net.Error of a body's own.
type slowSource struct{ timeout bool }

func (slowSource) Error() string   { return "source is slow" }
func (s slowSource) Timeout() bool { return s.timeout }
func (slowSource) Temporary() bool { return true }

// signed has a request signed, for which its body is read before.
func signed(_ *http.Request, asked *engine.Request) { asked.Auth = true }

// What a url.Error's Timeout says is what clients decide by.
func TestABodyThatTimesOutIsATimeoutAsInNetHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	server.Config.ErrorLog = discardLog
	t.Cleanup(server.Close)
	custom := auth.Func(func(*messages.Call, auth.Clock) error { return nil })
	eng := newEngine(t, engine.Config{Retry: engine.Retry{Max: -1}, Auth: custom, Origins: []string{server.URL}})
	for cause, timeout := range map[error]bool{
		slowSource{true}:  true,
		slowSource{false}: false,
		&net.OpError{Op: "read", Err: slowSource{true}}:  true,
		context.DeadlineExceeded:                         true,
		errors.New("read error"):                         false,
		&os.PathError{Op: "read", Err: slowSource{true}}: true,
	} {
		for name, rt := range map[string]http.RoundTripper{"net/http": &http.Transport{DisableKeepAlives: true}, "in time": eng.RoundTripper(), "streamed": eng.RoundTripper(streamed), "signed": eng.RoundTripper(signed)} {
			for _, length := range []int64{-1, 10} {
				req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(cause)))
				require.NoError(t, err)
				req.ContentLength = length
				_, err = (&http.Client{Transport: rt}).Do(req)
				var failed *url.Error
				require.ErrorAs(t, err, &failed)
				require.Equal(t, timeout, failed.Timeout(), "%s: %T, %d", name, cause, length)
				require.ErrorIs(t, err, cause)
				if of := net.Error(nil); errors.As(err, &of) {
					require.Equal(t, timeout, of.Timeout())
				}
			}
		}
	}
}
