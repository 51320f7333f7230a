package engine_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// told is a reader whose Len says anything.
type told struct {
	io.Reader
	length int
}

// Len is what a reader says of its length.
func (t told) Len() int { return t.length }

// Not a byte more than announced may follow in HTTP/1.1, and a server that has got
// fewer in HTTP/2 may have taken them for all.
func TestAStreamedBodyThatIsNotAsLongAsItSaidFailsInEitherProtocol(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	hello := func() io.Reader { return io.MultiReader(strings.NewReader("hello "), strings.NewReader("world")) }
	for _, http2 := range []bool{false, true} {
		eng, err := engine.New(engine.Config{
			BaseURL:     server.URL,
			Dial:        engine.Dial{TLS: server.Client().Transport.(*http.Transport).TLSClientConfig},
			Connections: engine.Connections{HTTP2: func(string) bool { return http2 }},
		})
		require.NoError(t, err)
		defer eng.Close()
		for name, c := range map[string]struct {
			length int64
			body   io.Reader
			fails  bool
		}{
			"too short":            {length: 50, body: hello(), fails: true},
			"too long":             {length: 5, body: hello(), fails: true},
			"too long by one":      {length: 10, body: hello(), fails: true},
			"as long":              {length: 11, body: hello()},
			"unknown":              {body: hello()},
			"told: too short":      {body: told{hello(), 50}, fails: true},
			"told: too long":       {body: told{hello(), 5}, fails: true},
			"told: nothing yet":    {body: told{hello(), 0}},
			"told: no such length": {body: told{hello(), -5}},
		} {
			asked := time.Now()
			response, err := eng.Do(t.Context(), &engine.Request{
				Method: http.MethodPut, Path: "/", Body: c.body, Upload: engine.Upload{Stream: true, Length: c.length}, Timeout: 30 * time.Second,
			})
			if !c.fails {
				require.NoError(t, err, "%s, HTTP/2 %t", name, http2)
				require.Equal(t, "hello world", response.Text())
				continue
			}
			require.ErrorIs(t, err, engine.ErrInvalidRequest, "%s, HTTP/2 %t", name, http2)
			require.Equal(t, engine.Unknown, engine.OutcomeOf(err), "some of it was sent")
			require.Less(t, time.Since(asked), 20*time.Second, "nothing is waited for")
		}
	}
}
