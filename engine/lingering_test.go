package engine_test

import (
	"context"
	"crypto/tls"
	"fmt"
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

// openNow counts the connections that are open.
type openNow struct {
	open, most atomic.Int64
}

func (n *openNow) of(conn net.Conn) net.Conn {
	open := n.open.Add(1)
	for most := n.most.Load(); open > most && !n.most.CompareAndSwap(most, open); most = n.most.Load() {
	}
	return &openConn{Conn: conn, by: n}
}

type openConn struct {
	net.Conn
	by   *openNow
	once sync.Once
}

func (c *openConn) Close() error {
	c.once.Do(func() { c.by.open.Add(-1) })
	return c.Conn.Close()
}

// What was given up over HTTP/2 keeps its connection a moment longer, which no pool counts any more.
func TestConnectionsThatLingerAreWithinTheirBounds(t *testing.T) {
	for name, of := range map[string]struct {
		bounds engine.Connections
		origin func(i int) string
		every  time.Duration
	}{
		"of all origins":     {engine.Connections{MaxTotal: 2}, func(i int) string { return fmt.Sprintf("https://o%d.test/", i) }, 0},
		"of one that is old": {engine.Connections{Max: 1, MaxAge: time.Second}, func(int) string { return "https://o.test/" }, 950 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			config := engine.Config{Connections: of.bounds, Retry: engine.Retry{Max: -1}}
			s := newHTTP2Server(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, &config)
			config.Dial.TLS = &tls.Config{RootCAs: config.Dial.TLS.RootCAs, ServerName: "example.com"}
			var conns openNow
			config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := s.dial(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return conns.of(conn), nil
			}
			eng, err := engine.New(config)
			require.NoError(t, err)
			defer eng.Close()
			for i := range 30 {
				_, err := eng.Do(t.Context(), &engine.Request{URL: of.origin(i), Timeout: 20*time.Millisecond + of.every})
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			require.LessOrEqual(t, conns.most.Load(), int64(max(of.bounds.Max, of.bounds.MaxTotal)), name)
		})
	}
}
