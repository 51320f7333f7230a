package engine_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// spellings are those that a map literal may have of a name.
func spellings(name string) []string {
	return []string{name, strings.ToLower(name), strings.ToUpper(name)}
}

func TestALineIsSentOnceHoweverTheCallersHeaderSpellsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got http.Header
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Clone()
			w.Header().Set("Content-Type", "text/event-stream")
		}).newEngine(t, engine.Config{})
		for _, name := range spellings("Content-Type") {
			_, err := engine.Fetch[[]byte](t.Context(), eng, &engine.Request{Method: http.MethodPost, Body: "{}", Header: http.Header{name: {""}}})
			require.NoError(t, err)
			require.Equal(t, []string{"application/json"}, got["Content-Type"], name)
		}
		for _, name := range spellings("Accept") {
			_, err := data(engine.Events(t.Context(), eng, &engine.Request{Header: http.Header{name: {""}}}, engine.Subscription{Once: true}))
			require.NoError(t, err)
			require.Equal(t, []string{"text/event-stream"}, got["Accept"], name)
		}
	})
}

func TestAPreProcessorSeesTheRequestsOwnLineAloneHoweverItIsSpelt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saw, arrived []string
		eng := newServer(t, func(_ http.ResponseWriter, r *http.Request) { arrived = r.Header["X-Key"] }).newEngine(t, engine.Config{
			Header: http.Header{"X-Key": {"engine's"}},
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(_ context.Context, r *engine.Request) error {
				saw = nil
				for name, values := range r.Header {
					if strings.EqualFold(name, "X-Key") {
						saw = append(saw, values...)
					}
				}
				return nil
			})},
		})
		for _, name := range spellings("X-Key") {
			_, err := eng.Do(t.Context(), &engine.Request{Header: http.Header{name: {"own"}}})
			require.NoError(t, err)
			require.Equal(t, []string{"own"}, saw, name)
			require.Equal(t, []string{"own"}, arrived, name)
		}
	})
}

func TestWhatAnSDKSaysInFieldsIsLeftOutOfItsHeaderHoweverItIsSpelt(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := r.Header.Clone()
		seen["Host"] = []string{r.Host}
		_ = json.NewEncoder(w).Encode(seen)
	}))
	t.Cleanup(server.Close)
	rt := newEngine(t, engine.Config{}).RoundTripper()
	for _, spelt := range []func(string) string{http.CanonicalHeaderKey, strings.ToLower, strings.ToUpper} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("body"))
		require.NoError(t, err)
		req.Host = "named.test"
		for name, value := range map[string]string{
			"Host": " other.test ", "Expect": "100-continue", "Upgrade": "foo", "X-Own": " kept ",
		} {
			req.Header[spelt(name)] = []string{value}
		}
		req.Header[spelt("User-Agent")] = []string{" first ", "second"}
		asked := req.Header.Clone()
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		var seen http.Header
		require.NoError(t, json.Unmarshal(text, &seen))
		require.Equal(t, []string{"named.test"}, seen["Host"])
		require.Equal(t, []string{"kept"}, seen["X-Own"])
		require.Equal(t, []string{"first"}, seen["User-Agent"])
		require.Empty(t, seen["Upgrade"])
		require.Equal(t, asked, req.Header, "the request is the caller's")
	}
}
