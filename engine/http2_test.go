package engine_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestAnOriginIsSpokenToInHTTP2IfConfiguredSo(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 4}
	server.StartTLS()
	defer server.Close()
	trusting := server.Client().Transport.(*http.Transport).TLSClientConfig
	for want, config := range map[string]engine.Config{
		"HTTP/1.1": {},
		"HTTP/2.0": {Connections: engine.Connections{HTTP2: func(hostPort string) bool { return hostPort == server.Listener.Addr().String() }}},
	} {
		config.BaseURL, config.Dial.TLS, config.Connections.Max = server.URL, trusting, 16
		eng := newEngine(t, config)
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				resp, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
				require.Equal(t, want, resp.Text())
			})
		}
		all.Wait()
		wantNothingHeld(t, eng)
		require.NoError(t, eng.Close())
	}
}
