package h2

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Open opens a socket to an origin, sealed and with the handshake done, in which
// h2 and http/1.1 were offered.
type Open func(context.Context) (*wire.Socket, error)

// Conns shares an origin's HTTP/2 connections: what it dials is a place on one
// of them. A connection is opened when no other has room. It is safe for
// concurrent use.
type Conns struct {
	addr   string // host and port of the origin
	limits wire.Limits
	open   Open
	gate   chan struct{} // held while a connection is opened; capacity 1

	mu    sync.Mutex
	conns []*conn // guarded by mu: those with a place taken, in the order they were opened
}

// conn is one HTTP/2 connection. It is closed with the last of its places.
type conn struct {
	shared *Conns
	client *http.ClientConn // set by start, before anybody else has the conn
	frames *frameScan
	sealed *tls.Conn
	tls    *tls.ConnectionState
	places int // taken; guarded by shared.mu
}

const (
	// maxStreams bounds the streams of a connection whose peer names no bound.
	maxStreams = 1000
	// pingAfter is how long a connection is silent before it is asked whether
	// it is alive, and how long it may take to answer.
	pingAfter = 15 * time.Second
)

// NewConns returns the connections, none as yet, to the origin at addr. Its
// responses have the caps of limits.
func NewConns(addr string, limits wire.Limits, open Open) *Conns {
	return &Conns{addr: addr, limits: limits.WithDefaults(), open: open, gate: make(chan struct{}, 1)}
}

// Dial returns a *Stream, or a *wire.Conn if the origin chose HTTP/1.1.
func (c *Conns) Dial(ctx context.Context) (protocol.Connection, error) {
	if s := c.join(); s != nil {
		return s, nil
	}
	// One at a time, so that a crowd of first requests shares one connection.
	select {
	case c.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.gate }()
	if s := c.join(); s != nil { // somebody opened one meanwhile
		return s, nil
	}
	socket, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if socket.Sealed().ConnectionState().NegotiatedProtocol != "h2" {
		return wire.NewConn(socket, c.limits), nil
	}
	opened, err := c.start(ctx, socket)
	if err != nil {
		socket.Close() // a second time, perhaps: net/http closes only what it has taken on
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, opened)
	opened.places++
	return newStream(opened), nil
}

// join takes a place on a connection with room; it returns nil if there is none.
func (c *Conns) join() *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.conns {
		// The bound may have fallen below what is taken: the peer may change it.
		if !one.frames.leaves() && one.places < one.frames.limit() {
			one.places++
			s := newStream(one)
			s.shared = true
			return s
		}
	}
	return nil
}

// start speaks HTTP/2 over a socket, and waits for the peer's settings: before
// them nobody knows how many streams it allows.
func (c *Conns) start(ctx context.Context, socket *wire.Socket) (*conn, error) {
	state := socket.Sealed().ConnectionState()
	opened := &conn{shared: c, sealed: socket.Sealed(), tls: &state, frames: newFrameScan()}
	socket.Share() // from here on goroutines of net/http's read and write it
	dial := func(context.Context, string, string) (net.Conn, error) {
		return &framedConn{opened.sealed, opened.frames}, nil
	}
	transport := &http.Transport{
		DialContext:            dial,
		Protocols:              new(http.Protocols),
		DisableCompression:     true, // what is coded is decoded here, under the same caps as in HTTP/1.1
		MaxResponseHeaderBytes: int64(c.limits.Header),
		ExpectContinueTimeout:  wire.ContinueWait,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
	}
	// The transport is told that the connection is plain, though it is not: it would
	// take nothing but a *tls.Conn otherwise, and only a framedConn sees what the
	// peer says.
	transport.Protocols.SetUnencryptedHTTP2(true)
	client, err := transport.NewClientConn(ctx, "http", c.addr)
	if err != nil {
		return nil, err
	}
	opened.client = client
	select {
	case <-opened.frames.settled:
		return opened, nil
	case <-ctx.Done():
		client.Close() // its error would say no more than that ctx ended
		return nil, ctx.Err()
	}
}

// release gives a place back.
func (c *conn) release() error {
	if last := c.leave(); !last {
		return nil
	}
	return c.client.Close() // outside the lock: TLS says goodbye, which may wait
}

// leave reports whether the place was the last, with which the connection is
// nobody's any more.
func (c *conn) leave() (last bool) {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	c.places--
	if c.places > 0 {
		return false
	}
	c.shared.conns = slices.DeleteFunc(c.shared.conns, func(other *conn) bool { return other == c })
	return true
}
