package engine_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// The tests in this file use real sockets.

func TestHTTPSKeepsItsConnectionAlive(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RemoteAddr) }))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	eng := newEngine(t, engine.Config{BaseURL: s.URL, Dial: engine.Dial{TLS: &tls.Config{RootCAs: roots}}})

	var from string
	for range 5 {
		resp, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		if from != "" {
			require.Equal(t, from, resp.Text(), "the same connection")
		}
		from = resp.Text()
	}
}

func TestAnUnknownCertificateIsRefused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = discardLog
	s.StartTLS()
	defer s.Close()
	eng := newEngine(t, engine.Config{BaseURL: s.URL, Retry: engine.Retry{Max: -1}})

	_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})

	var unknown *tls.CertificateVerificationError
	require.ErrorAs(t, err, &unknown)
	var failure *engine.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, engine.Leasing, failure.Stage)
	require.Equal(t, engine.SentNo, failure.Sent)
}

// A connection that the server closed while it was idle is found out before a
// byte is written, so even a POST is sent, and once.
func TestAPostOnAConnectionClosedWhileIdleIsSentOnce(t *testing.T) {
	var copies atomic.Int32
	closed := make(chan struct{}, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			copies.Add(1)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	s.Start()
	defer s.Close()
	eng := newEngine(t, engine.Config{BaseURL: s.URL, Retry: engine.Retry{Max: -1}})
	_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
	require.NoError(t, err)
	s.CloseClientConnections()
	<-closed

	resp, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Body: "order"})

	require.NoError(t, err)
	require.Equal(t, 1, resp.Attempts)
	require.EqualValues(t, 1, copies.Load())
}

// A server that reads a POST and hangs up may have executed it.
func TestAPostThatMayHaveArrivedIsNotRepeated(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var copies atomic.Int32
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			copies.Add(1)
			c.Read(make([]byte, 4096))
			c.Close()
		}
	}()
	eng := newEngine(t, engine.Config{BaseURL: "http://" + l.Addr().String()})

	_, err = eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Body: "order"})

	var failure *engine.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, engine.SentMaybe, failure.Sent)
	require.ErrorContains(t, err, "outcome unknown")
	require.Equal(t, 1, failure.Attempts)
	require.EqualValues(t, 1, copies.Load())

	_, err = eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Body: "order", Idempotent: true})
	require.ErrorAs(t, err, &failure)
	require.Equal(t, 3, failure.Attempts, "declared harmless, it is tried again")
	l.Close()
	<-served
}

func TestARefusedConnectionSaysSo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	eng := newEngine(t, engine.Config{BaseURL: "http://" + l.Addr().String(), Retry: engine.Retry{Base: time.Millisecond}})

	_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})

	var failure *engine.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, engine.Leasing, failure.Stage)
	require.Zero(t, failure.Attempts)
	var refused *net.OpError
	require.ErrorAs(t, err, &refused)
}

func TestManyCallersShareFewConnections(t *testing.T) {
	var open, most atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Query().Get("n"))
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if n := open.Add(1); n > most.Load() {
				most.Store(n)
			}
		case http.StateClosed:
			open.Add(-1)
		}
	}
	s.Start()
	defer s.Close()
	eng := newEngine(t, engine.Config{
		BaseURL: s.URL, Connections: engine.Connections{Max: 4}, DefaultLimitID: "a",
		Limits: []throttle.Limit{
			{ID: "a", Quota: 1e6, Per: time.Second, Linked: []throttle.Link{{ID: "b"}}},
			{ID: "b", Quota: 1e6, Per: time.Second},
		},
	})

	var all sync.WaitGroup
	for worker := range 50 {
		all.Go(func() {
			for k := range 20 {
				want := fmt.Sprint(worker*1000 + k)
				resp, err := eng.Do(t.Context(), &engine.Request{Path: "/", Query: engine.Values{"n": want}})
				if err != nil || resp.Text() != want {
					t.Errorf("want %s, have %v, %v", want, resp, err)
				}
			}
		})
	}
	all.Wait()

	require.LessOrEqual(t, most.Load(), int32(4))
	wantNothingHeld(t, eng)
}
