package exchange

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// server is the part of an Exchange that listens.
type server struct {
	http    *http.Server
	closing chan struct{} // closed by close

	mu      sync.Mutex
	closed  bool
	serving sync.WaitGroup // Serve calls
	conns   sync.WaitGroup // open connections, but for WebSockets
	streams sync.WaitGroup // WebSockets
}

// door closes connections that a client address opens beyond its limit.
type door struct {
	net.Listener
	ex *Exchange
}

func (d door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil || d.ex.welcome(conn.RemoteAddr()) {
			return conn, err
		}
		conn.Close()
	}
}

func newServer(h http.Handler) *server {
	s := &server{closing: make(chan struct{})}
	s.http = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState:         s.track,
	}
	return s
}

func (s *server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	}
}

// enter reports whether the server may still serve.
func (s *server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.serving.Add(1)
	}
	return !s.closed
}

// hijacked counts a WebSocket; false means that the server is closed.
func (s *server) hijacked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.streams.Add(1)
	}
	return !s.closed
}

func (s *server) close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		return nil
	}
	close(s.closing)
	err := s.http.Close()
	s.serving.Wait()
	s.conns.Wait()
	s.streams.Wait()
	return err
}

// Serve accepts connections until Close, then returns nil. It may be called
// for several listeners at once. It closes the listener. After Close it returns
// http.ErrServerClosed.
func (e *Exchange) Serve(l net.Listener) error {
	if !e.server.enter() {
		l.Close()
		return http.ErrServerClosed
	}
	defer e.server.serving.Done()
	err := e.server.http.Serve(door{l, e})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Start listens on a TCP address, such as "127.0.0.1:0", serves in the
// background until Close, and returns the base URL.
func (e *Exchange) Start(addr string) (url string, err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	if !e.server.enter() {
		l.Close()
		return "", http.ErrServerClosed
	}
	go func() {
		defer e.server.serving.Done()
		_ = e.server.http.Serve(door{l, e})
	}()
	return "http://" + l.Addr().String(), nil
}

// Close stops listening, closes every connection, and returns when nothing of
// the exchange runs any more. The report stays. Closing twice is allowed.
func (e *Exchange) Close() error { return e.server.close() }
