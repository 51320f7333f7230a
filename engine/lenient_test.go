package engine_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// repeating answers every request with text, and counts its connections.
func repeating(t *testing.T, text string) (addr string, conns *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	conns = new(atomic.Int32)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					io.WriteString(c, text)
				}
			}()
		}
	}()
	return listener.Addr().String(), conns
}

func TestAnOriginThatFramesLooselyIsReadIfItIsNamed(t *testing.T) {
	loose, looseConns := repeating(t, "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\nX: a\n b\n\nok")
	proper, properConns := repeating(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	lenient := func(hostPort string) bool { return hostPort == loose || hostPort == proper }
	for _, config := range []engine.Config{{}, {Responses: engine.Responses{Lenient: func(string) bool { return false }}}} {
		eng := newEngine(t, config)
		_, err := eng.Do(t.Context(), &engine.Request{URL: "http://" + loose})
		require.ErrorIs(t, err, engine.ErrMalformedResponse)
	}
	looseConns.Store(0)
	eng := newEngine(t, engine.Config{Responses: engine.Responses{Lenient: lenient}})
	for range 3 {
		resp, err := eng.Do(t.Context(), &engine.Request{URL: "http://" + loose})
		require.NoError(t, err)
		require.Equal(t, "ok", resp.Text())
		require.Equal(t, "a b", resp.Header.Get("X"))
		_, err = eng.Do(t.Context(), &engine.Request{URL: "http://" + proper})
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, looseConns.Load(), "each is closed behind its answer")
	require.EqualValues(t, 1, properConns.Load())
}
