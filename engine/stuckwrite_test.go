package engine_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// jammed is a connection whose Write does not return from an instant on, until it is closed.
type jammed struct {
	net.Conn
	jam    atomic.Bool
	once   sync.Once
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
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func TestNobodyIsPutBehindAWriteInWhichAnotherHasRunOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dialled []*jammed
		config := engine.Config{Retry: engine.Retry{Max: -1}}
		s := newHTTP2Server(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, &config)
		config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := s.dial(ctx, network, addr)
			dialled = append(dialled, &jammed{Conn: conn, closed: make(chan struct{})})
			return dialled[len(dialled)-1], err
		}
		eng := s.newEngine(t, config)
		defer eng.Close()
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		dialled[0].jam.Store(true)
		_, err = eng.Do(t.Context(), &engine.Request{Method: "PUT", Path: "/", Timeout: 200 * time.Millisecond})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		begun := time.Now()
		_, err = eng.Do(t.Context(), &engine.Request{Method: "PUT", Path: "/", Timeout: 4 * time.Second})
		require.NoError(t, err, "over another connection")
		require.Less(t, time.Since(begun), time.Second)
		require.Len(t, dialled, 2)
	})
}
