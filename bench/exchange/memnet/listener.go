// Package memnet is a network in memory: a listener and connections that
// behave like TCP on one machine, without the machine. Connections are
// full-duplex, buffered, have deadlines and half-close, and say how many bytes
// wait to be read. Everything blocks on condition variables, so that inside a
// testing/synctest bubble fake time passes whenever all sides wait.
package memnet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// backlog is how many dialled connections may wait to be accepted.
const backlog = 4096

// Addr is the address of a listener or connection, as "host:port".
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the address.
func (a Addr) String() string { return string(a) }

// Listener accepts the connections that Dial makes. It is safe for concurrent
// use.
type Listener struct {
	mu      sync.Mutex
	arrived sync.Cond // a connection is queued, or closed is set
	queue   []*Conn
	closed  bool
	dialled int
}

// Listen returns a listener at the address "mem.test:80".
func Listen() *Listener {
	l := &Listener{}
	l.arrived.L = &l.mu
	return l
}

// Addr returns "mem.test:80".
func (l *Listener) Addr() net.Addr { return Addr("mem.test:80") }

// URL returns "http://mem.test", the address for an HTTP client whose dialer
// is DialContext.
func (l *Listener) URL() string { return "http://mem.test" }

// Accept waits for the next connection. After Close it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.arrived.Wait()
	}
	if l.closed {
		return nil, l.fail("accept", net.ErrClosed)
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close stops the listener and closes the connections nobody accepted. Those
// accepted live on. Closing twice is allowed.
func (l *Listener) Close() error {
	l.mu.Lock()
	orphans := l.queue
	l.queue, l.closed = nil, true
	l.arrived.Broadcast()
	l.mu.Unlock()
	for _, c := range orphans {
		c.Close()
	}
	return nil
}

// Dial returns the client's end of a new connection without waiting for
// Accept, as a kernel does. It is refused (syscall.ECONNREFUSED) once the
// listener is closed or 4,096 connections wait.
func (l *Listener) Dial() (*Conn, error) { return l.dialFrom("client.test") }

// DialContext is Dial in the form an http.Transport takes; network and address
// are ignored.
func (l *Listener) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return l.DialFrom("client.test")(ctx, network, address)
}

// DialFrom returns a DialContext whose connections come from the given host:
// another client, to a server that tells clients apart by address.
func (l *Listener) DialFrom(host string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		if err := context.Cause(ctx); err != nil {
			return nil, l.fail("dial", err)
		}
		c, err := l.dialFrom(host)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

func (l *Listener) dialFrom(host string) (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.queue) >= backlog {
		return nil, l.fail("dial", syscall.ECONNREFUSED)
	}
	l.dialled++
	client, server := pair(Addr(fmt.Sprintf("%s:%d", host, l.dialled)), Addr("mem.test:80"))
	l.queue = append(l.queue, server)
	l.arrived.Signal()
	return client, nil
}

func (l *Listener) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "mem", Addr: l.Addr(), Err: err}
}

// Pipe returns the two ends of one connection without a listener.
func Pipe() (*Conn, *Conn) { return pair("a.test:1", "b.test:1") }

var _ net.Listener = (*Listener)(nil)
