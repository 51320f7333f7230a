package engine_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// A proxy passes on what was announced before the body, and the rest behind it.
func TestTrailersAreThereWhenTheBodyHasEndedThoughItIsInMemory(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Announced")
		if r.URL.Path != "/empty" {
			io.WriteString(w, "body")
		}
		w.Header().Set("Announced", "1")
		w.Header().Set(http.TrailerPrefix+"Unannounced", "2")
	}))
	t.Cleanup(server.Close)
	all := http.Header{"Announced": {"1"}, "Unannounced": {"2"}}
	for name, rt := range map[string]http.RoundTripper{
		"net/http": server.Client().Transport,
		"the same": newEngine(t, engine.Config{}).RoundTripper(),
		"streamed": newEngine(t, engine.Config{}).RoundTripper(streamed),
	} {
		for how, read := range map[string]func(io.Reader) error{
			"read":    func(r io.Reader) error { _, err := io.ReadAll(r); return err },
			"written": func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
		} {
			resp, err := (&http.Client{Transport: rt}).Get(server.URL)
			require.NoError(t, err)
			require.Equal(t, http.Header{"Announced": nil}, resp.Trailer, "%s, %s", name, how)
			require.NoError(t, read(resp.Body))
			require.Equal(t, all, resp.Trailer, "%s, %s", name, how)
			require.NoError(t, resp.Body.Close())
		}
		resp, err := (&http.Client{Transport: rt}).Get(server.URL + "/empty")
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, all, resp.Trailer, name)
		require.NoError(t, resp.Body.Close())
	}
}
