package telemetry_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// server is an HTTP server whose connections are in memory, so that whole journeys run in
// fake time.
type server struct{ conns chan net.Conn }

func newServer(t *testing.T, handler http.HandlerFunc) *server {
	s := &server{conns: make(chan net.Conn)}
	serving := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	listener := &memoryListener{conns: s.conns, closed: make(chan struct{})}
	done := make(chan error)
	go func() { done <- serving.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, serving.Close())
		require.True(t, errors.Is(<-done, http.ErrServerClosed))
	})
	return s
}

// dial is a Dial.DialContext.
func (s *server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case s.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// newEngine makes an engine for the server, which ends with the test.
func (s *server) newEngine(t *testing.T, config engine.Config) *engine.Engine {
	t.Helper()
	if config.BaseURL == "" {
		config.BaseURL = "http://venue.test/api"
	}
	config.Dial.DialContext = s.dial
	eng, err := engine.New(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	return eng
}

type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error   { close(l.closed); return nil }
func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }
