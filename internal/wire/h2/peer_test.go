package h2

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is taken from wiretest, under the names it has here.
var (
	never                            = wiretest.Never
	get, post                        = wiretest.Get, wiretest.Post
	decoding, streaming              = wiretest.Decoding, wiretest.Streaming
	uploading, awaitsLeave, trailing = wiretest.Uploading, wiretest.AwaitsLeave, wiretest.Trailing
	mirrorH2                         = wiretest.MirrorH2
)

// openTo opens sockets to addr, as wire/dial does.
func openTo(addr string, config *tls.Config) Open {
	config = config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	return func(ctx context.Context, _ func()) (*wire.Socket, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return sealed(ctx, c, config)
	}
}

func sealed(ctx context.Context, c net.Conn, config *tls.Config) (*wire.Socket, error) {
	s := wire.NewSocket(c)
	s.Seal(tls.Client(s, config), config)
	if err := s.Sealed().HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// listenH2 also returns the connections to the server.
func listenH2(t *testing.T, streams int, handler http.HandlerFunc) (*httptest.Server, *Conns, *atomic.Int32) {
	server, config, o, accepted := wiretest.ListenH2(t, streams, handler)
	return server, NewConns(o.Addr, wire.Limits{}, openTo(o.Addr, config)), accepted
}

func dial(t *testing.T, conns *Conns) protocol.Connection {
	t.Helper()
	c, err := conns.Dial(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}
