package h2

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
)

func answerH2(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"price":"1.0"}`)
}

// What an exchange allocates is what is above what net/http and its server do, which
// BenchmarkClientConn says.
func BenchmarkExchange(b *testing.B) {
	_, config, o, _ := wiretest.ListenH2(b, 100, answerH2)
	conns := NewConns(o.Addr, wire.Limits{}, openTo(o.Addr, config))
	c, err := conns.Dial(b.Context())
	require.NoError(b, err)
	defer c.Close()
	call := get("/")
	call.Fields = []messages.Field{{Name: "Accept-Encoding", Value: "gzip"}, {Name: "User-Agent", Value: "sluice"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Exchange(call, never); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClientConn(b *testing.B) {
	server, config, _, _ := wiretest.ListenH2(b, 100, answerH2)
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true}
	defer transport.CloseIdleConnections()
	conn, err := transport.NewClientConn(b.Context(), "https", server.Listener.Addr().String())
	require.NoError(b, err)
	defer conn.Close()
	b.ReportAllocs()
	for b.Loop() {
		req, _ := http.NewRequestWithContext(b.Context(), "GET", server.URL+"/", nil)
		req.Header.Set("Accept-Encoding", "gzip")
		req.Header.Set("User-Agent", "sluice")
		resp, err := conn.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
