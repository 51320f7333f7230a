package wire

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// mux shares an origin's HTTP/2 connections: what it dials is one stream at a
// time of one of them. A connection is opened when no other has room.
type mux struct {
	dialer *Dialer
	origin messages.Origin
	gate   chan struct{} // held while a connection is opened; capacity 1

	mu    sync.Mutex
	conns []*muxConn
}

// muxConn is one HTTP/2 connection. It is closed with the last of its streams.
type muxConn struct {
	mux     *mux
	client  *http.ClientConn
	frames  *frameScan
	sealed  *socket
	tls     *tls.ConnectionState
	streams int // guarded by mux.mu
}

const (
	// maxStreams bounds the streams of a connection whose peer names no bound.
	maxStreams = 1000
	// pingAfter is how long a connection is silent before it is asked whether
	// it is alive, and how long it may take to answer.
	pingAfter = 15 * time.Second
)

func (d *Dialer) muxOf(o messages.Origin) *mux {
	if m, ok := d.muxes.Load(o); ok {
		return m.(*mux)
	}
	m, _ := d.muxes.LoadOrStore(o, &mux{dialer: d, origin: o, gate: make(chan struct{}, 1)})
	return m.(*mux)
}

// dial returns a stream, or an HTTP/1.1 connection if the origin chose that.
func (m *mux) dial(ctx context.Context) (protocol.Connection, error) {
	if s := m.join(); s != nil {
		return s, nil
	}
	select {
	case m.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-m.gate }()
	if s := m.join(); s != nil { // somebody opened one meanwhile
		return s, nil
	}
	s, err := m.dialer.connect(ctx, m.origin, http2or)
	if err != nil {
		return nil, err
	}
	if s.sealed.ConnectionState().NegotiatedProtocol != "h2" {
		return newConn(s, m.dialer.Limits), nil
	}
	c, err := m.open(ctx, s)
	if err != nil {
		s.Conn.Close()
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns = append(m.conns, c)
	c.streams++
	return newMuxStream(c), nil
}

// join returns a stream of a connection with room, or nil.
func (m *mux) join() *muxStream {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		if !c.frames.leaves() && c.streams < c.frames.limit() {
			c.streams++
			s := newMuxStream(c)
			s.shared = true
			return s
		}
	}
	return nil
}

// open speaks HTTP/2 over s, and waits for the peer's settings: before them
// nobody knows how many streams it allows. The transport is told that the
// connection is plain, for it would take nothing but a *tls.Conn otherwise, and
// only under this hand can be seen what the peer says.
func (m *mux) open(ctx context.Context, s *socket) (*muxConn, error) {
	state := s.sealed.ConnectionState()
	c := &muxConn{mux: m, sealed: s, tls: &state, frames: newFrameScan()}
	s.shared = true
	transport := &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return &framedConn{s.sealed, c.frames}, nil },
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		MaxResponseHeaderBytes: int64(m.dialer.Limits.withDefaults().Header),
		ExpectContinueTimeout:  continueWait,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	client, err := transport.NewClientConn(ctx, "http", m.origin.Addr)
	if err != nil {
		return nil, err
	}
	c.client = client
	select {
	case <-c.frames.settled:
		return c, nil
	case <-ctx.Done():
		client.Close()
		return nil, ctx.Err()
	}
}

// release gives a stream back.
func (c *muxConn) release() error {
	m := c.mux
	m.mu.Lock()
	c.streams--
	last := c.streams == 0
	if last {
		for i := range m.conns {
			if m.conns[i] == c {
				m.conns = append(m.conns[:i], m.conns[i+1:]...)
				break
			}
		}
	}
	m.mu.Unlock()
	if last {
		return c.client.Close()
	}
	return nil
}

// framedConn lets a scan see what the peer sends.
type framedConn struct {
	net.Conn
	frames *frameScan
}

// Read is part of net.Conn.
func (c *framedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.frames.pass(p[:n])
	if err != nil {
		c.frames.leaving.Store(true)
	}
	return n, err
}

// Close is part of net.Conn.
func (c *framedConn) Close() error {
	c.frames.leaving.Store(true)
	return c.Conn.Close()
}

// frameScan follows the peer's HTTP/2 frames (RFC 9113, section 4.1) for what
// net/http does not tell: how many streams the peer allows, and whether it is
// going away. The connection's reader feeds it; any goroutine may ask.
type frameScan struct {
	header  [9]byte
	filled  int
	left    int    // of the payload
	payload []byte // of SETTINGS alone

	streams atomic.Int32
	leaving atomic.Bool   // the peer said goodbye, or the connection is broken
	settled chan struct{} // closed with the first settings
	known   bool          // it is
}

func newFrameScan() *frameScan {
	f := &frameScan{settled: make(chan struct{})}
	f.streams.Store(maxStreams)
	return f
}

const (
	frameSettings        = 4
	frameGoaway          = 7
	flagAck              = 1
	settingMaxConcurrent = 3
	maxSettingsPayload   = 16 << 10
	lengthOfSetting      = 6
)

func (f *frameScan) pass(p []byte) {
	for len(p) > 0 {
		if f.filled < len(f.header) {
			n := copy(f.header[f.filled:], p)
			f.filled += n
			p = p[n:]
			if f.filled < len(f.header) {
				return
			}
			f.left = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
			f.payload = f.payload[:0]
		}
		n := min(f.left, len(p))
		if f.header[3] == frameSettings && len(f.payload)+n <= maxSettingsPayload {
			f.payload = append(f.payload, p[:n]...)
		}
		f.left -= n
		p = p[n:]
		if f.left == 0 {
			f.frame()
			f.filled = 0
		}
	}
}

// frame acts on a whole frame.
func (f *frameScan) frame() {
	switch {
	case f.header[3] == frameGoaway:
		f.leaving.Store(true)
	case f.header[3] == frameSettings && f.header[4]&flagAck == 0:
		for s := f.payload; len(s) >= lengthOfSetting; s = s[lengthOfSetting:] {
			if binary.BigEndian.Uint16(s) == settingMaxConcurrent {
				f.streams.Store(int32(min(binary.BigEndian.Uint32(s[2:]), maxStreams)))
			}
		}
		if !f.known {
			f.known = true
			close(f.settled)
		}
	}
}

func (f *frameScan) limit() int { return int(f.streams.Load()) }

func (f *frameScan) leaves() bool { return f.leaving.Load() }
