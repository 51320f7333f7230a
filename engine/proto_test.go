package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestAResponseTellsWhatWasSpoken(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
		server.EnableHTTP2 = http2
		server.StartTLS()
		defer server.Close()
		bare := server.Client()
		eng := newEngine(t, engine.Config{Dial: engine.Dial{TLS: bare.Transport.(*http.Transport).TLSClientConfig}, Connections: engine.Connections{HTTP2: func(string) bool { return true }}})
		want, err := bare.Get(server.URL)
		require.NoError(t, err)
		want.Body.Close()
		got, err := clientOf(eng).Get(server.URL)
		require.NoError(t, err)
		spoken, _ := io.ReadAll(got.Body)
		require.Equal(t, string(spoken), got.Proto)
		require.Equal(t, fmt.Sprint(want.Proto, want.ProtoMajor, want.ProtoMinor), fmt.Sprint(got.Proto, got.ProtoMajor, got.ProtoMinor))
		require.Equal(t, http2, got.TLS.NegotiatedProtocol == "h2")
		require.Equal(t, want.TLS.Version, got.TLS.Version)
		require.Equal(t, want.TLS.PeerCertificates[0].Raw, got.TLS.PeerCertificates[0].Raw)

		resp, err := eng.Do(t.Context(), &engine.Request{URL: server.URL})
		require.NoError(t, err)
		require.Equal(t, string(spoken), resp.Proto())
	}
}

func TestAnOldServersVersionIsTold(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c))
			io.WriteString(c, "HTTP/1.0 200 OK\r\nTrailer: X\r\n\r\nold")
			c.Close()
		}
	}()
	eng := newEngine(t, engine.Config{})
	got, err := clientOf(eng).Get("http://" + listener.Addr().String())
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.0 1 0", fmt.Sprint(got.Proto, " ", got.ProtoMajor, " ", got.ProtoMinor))
	require.Nil(t, got.TLS)
	require.Equal(t, "X", got.Header.Get("Trailer"), "only chunks have trailers")
	require.Nil(t, got.Trailer)
}
