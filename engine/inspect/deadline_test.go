package inspect

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// timed is a ResponseWriter that keeps its deadlines.
type timed struct {
	*httptest.ResponseRecorder
	mu        sync.Mutex
	deadlines []time.Time // guarded by mu
}

func (w *timed) SetWriteDeadline(at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadlines = append(w.deadlines, at)
	return nil
}

func TestAViewerHasADeadlineOnlyWhileAnEventIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := New(Config{Every: time.Minute})
		defer page.Close()
		ctx, leave := context.WithCancel(t.Context())
		out := &timed{ResponseRecorder: httptest.NewRecorder()}
		served := make(chan struct{})
		go func() {
			defer close(served)
			page.ServeHTTP(out, httptest.NewRequest("GET", "/?format=events", nil).WithContext(ctx))
		}()
		time.Sleep(90 * time.Second)
		synctest.Wait()
		out.mu.Lock()
		require.GreaterOrEqual(t, len(out.deadlines), 6, "three events")
		for i, at := range out.deadlines {
			require.Equal(t, i%2 == 1, at.IsZero(), "deadline %d", i)
		}
		out.mu.Unlock()
		leave()
		<-served
	})
}

// dull is a ResponseWriter that some middleware has wrapped, and that cannot flush.
type dull struct{ of *httptest.ResponseRecorder }

func (w dull) Header() http.Header         { return w.of.Header() }
func (w dull) Write(p []byte) (int, error) { return w.of.Write(p) }
func (w dull) WriteHeader(status int)      { w.of.WriteHeader(status) }

func TestAViewerWhomNothingWouldReachIsToldWhy(t *testing.T) {
	page := New(Config{})
	defer page.Close()
	out := httptest.NewRecorder()
	page.ServeHTTP(dull{out}, httptest.NewRequest("GET", "/?format=events", nil))
	require.Equal(t, http.StatusNotImplemented, out.Code)
	require.Contains(t, out.Body.String(), "Flush")
}

// one is a listener with one connection.
type one struct {
	conns chan net.Conn
	ended chan struct{}
}

func (l one) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l one) Close() error   { close(l.ended); return nil }
func (l one) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func TestAViewerThatReadsNothingHoldsUpNoShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []time.Duration{0, time.Minute} { // dropped by Close, and before it
			page := New(Config{})
			l := one{make(chan net.Conn, 1), make(chan struct{})}
			server := &http.Server{Handler: page}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			ours, theirs := net.Pipe()
			l.conns <- theirs
			_, err := io.WriteString(ours, "GET /?format=events HTTP/1.1\r\nHost: a.test\r\n\r\n")
			require.NoError(t, err)
			synctest.Wait()
			time.Sleep(after)
			page.Close()
			ctx, cancel := context.WithTimeout(t.Context(), writesIn)
			require.NoError(t, server.Shutdown(ctx))
			cancel()
			require.ErrorIs(t, <-served, http.ErrServerClosed)
			_ = ours.Close()
		}
	})
}
