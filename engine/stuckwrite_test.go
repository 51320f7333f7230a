package engine_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// jammed is a connection whose Write does not return from an instant on, until it is closed.
type jammed struct {
	net.Conn
	jam    atomic.Bool
	closed chan struct{}
}

func (c *jammed) Write(p []byte) (int, error) {
	if c.jam.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *jammed) Close() error {
	if err := c.Conn.Close(); err != nil {
		return err
	}
	close(c.closed)
	return nil
}

func TestNobodyIsPutBehindAWriteInWhichAnotherHasRunOutOfTime(t *testing.T) {
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	api.EnableHTTP2 = true
	api.StartTLS()
	defer api.Close()
	var dials atomic.Int32
	first := &jammed{closed: make(chan struct{})}
	eng, err := engine.New(engine.Config{
		BaseURL:     api.URL,
		Connections: engine.Connections{HTTP2: func(string) bool { return true }},
		Dial: engine.Dial{
			TLS: &tls.Config{RootCAs: api.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				if dials.Add(1) > 1 {
					return conn, err
				}
				first.Conn = conn
				return first, err
			},
		},
	})
	require.NoError(t, err)
	defer eng.Close()
	_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
	require.NoError(t, err)
	first.jam.Store(true)
	_, err = eng.Do(t.Context(), &engine.Request{Method: "PUT", Path: "/", Timeout: 200 * time.Millisecond})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = eng.Do(t.Context(), &engine.Request{Method: "PUT", Path: "/", Timeout: 4 * time.Second})
	require.NoError(t, err, "over another connection")
	require.EqualValues(t, 2, dials.Load())
}
