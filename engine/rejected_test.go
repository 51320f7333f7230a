package engine_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
)

// TestARevokedTokenIsReplacedAndTheRequestRepeatedOnce has the rule; here are its
// ways and its ends.
func TestARevokedTokenIsReplacedInBothProtocolsAndForWhateverCanBeRepeated(t *testing.T) {
	once := func() io.Reader { return io.MultiReader(strings.NewReader("order")) }
	for name, c := range map[string]struct {
		body     func() any
		stream   bool // the body is sent as it is read
		status   int
		attempts int
	}{
		"a body in memory":             {func() any { return "order" }, false, 200, 2},
		"a reader read into memory":    {func() any { return once() }, false, 200, 2},
		"a body that is opened anew":   {func() any { return func() (io.Reader, error) { return once(), nil } }, true, 200, 2},
		"a body that can be read once": {func() any { return once() }, true, 401, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
				_, eng := open(func(w http.ResponseWriter, r *http.Request) {
					read, _ := io.ReadAll(r.Body)
					if r.Header.Get("Authorization") != "Bearer old+" {
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					w.Write(read)
				}, engine.Config{Auth: auth.WithoutBody{Authenticator: &renewing{"old"}}, Retry: engine.Retry{Statuses: []int{401}}})
				response, err := eng.Do(t.Context(), &engine.Request{
					Method: "POST", Path: "/", Auth: true, Body: c.body(), Upload: engine.Upload{Stream: c.stream},
				})
				require.NoError(t, err)
				require.Equal(t, c.status, response.StatusCode)
				require.Equal(t, c.attempts, response.Attempts)
				if c.status == 200 {
					require.Equal(t, "order", response.Text())
				}
				require.Equal(t, engine.SentYes, response.Sent, "what is refused so was not carried out")
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestARevokedTokenIsReplacedForAClientOverTheRoundTripper(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		s, eng := open(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer old+" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}, engine.Config{Auth: &renewing{"old"}})
		client := &http.Client{Transport: eng.RoundTripper(func(r *http.Request, asked *engine.Request) {
			asked.URL, asked.Path, asked.Auth, asked.Stream = "", r.URL.Path, true, r.URL.Path == "/stream"
		})}
		for _, path := range []string{"/memory", "/stream"} {
			response, err := client.Post("http://server.test"+path, "text/plain", strings.NewReader("order"))
			require.NoError(t, err)
			require.Equal(t, 200, response.StatusCode)
			require.NoError(t, response.Body.Close())
		}
		require.Len(t, s.seen(), 3, "one of them was refused, and repeated")
	})
}
