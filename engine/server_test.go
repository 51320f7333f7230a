package engine_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discardLog = log.New(io.Discard, "", 0)

// server is an HTTP server in memory, so that a whole journey runs in fake
// time. It notes when each request arrived.
type server struct {
	http  *http.Server
	conns chan net.Conn
	start time.Time

	serving sync.WaitGroup // handlers

	mu       sync.Mutex
	ended    bool // guarded by mu: no handler begins any more
	arrivals []time.Duration
	paths    []string
}

// newServer serves handler, or answers everything with {} if there is none.
func newServer(t *testing.T, handler http.HandlerFunc) *server {
	s := &server{conns: make(chan net.Conn), start: time.Now()}
	s.http = &http.Server{
		ErrorLog: discardLog,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !s.enter() {
				return
			}
			defer s.serving.Done()
			s.note(r.URL.Path)
			if handler == nil {
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, "{}")
				return
			}
			handler(w, r)
		}),
	}
	listener := &pipeListener{conns: s.conns, closed: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.http.Serve(listener)
	}()
	t.Cleanup(func() {
		s.http.Close()
		<-done
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		s.serving.Wait()
	})
	return s
}

// enter counts a handler; false means that nobody waits for it any more.
func (s *server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.serving.Add(1)
	}
	return !s.ended
}

func (s *server) note(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals = append(s.arrivals, time.Since(s.start))
	s.paths = append(s.paths, path)
}

func (s *server) seen() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Duration(nil), s.arrivals...)
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

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// newEngine makes an engine that talks to the server, and closes it with the
// test.
func (s *server) newEngine(t *testing.T, config engine.Config) *engine.Engine {
	if config.BaseURL == "" {
		config.BaseURL = "http://server.test"
	}
	if config.Dial.DialContext == nil {
		config.Dial.DialContext = s.dial
	}
	return newEngine(t, config)
}

func newEngine(t *testing.T, config engine.Config) *engine.Engine {
	t.Helper()
	eng, err := engine.New(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	return eng
}

// wantNothingHeld asserts that no permit, connection or credit is in use.
func wantNothingHeld(t *testing.T, eng *engine.Engine) {
	t.Helper()
	stats := eng.Stats()
	require.Zero(t, stats.InFlight, "credits in use")
	for _, p := range stats.Pools {
		require.Zero(t, p.Leased, "connections in use")
		require.Zero(t, p.Waiting, "waiters for a connection")
	}
	for _, scope := range stats.Limits.Scopes {
		require.Zero(t, scope.InFlight, "permits in flight")
	}
	require.Empty(t, stats.Limits.Queued, "permits queued")
}
