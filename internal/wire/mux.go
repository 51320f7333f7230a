package wire

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/messages"
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
func (m *mux) dial(ctx context.Context) (messages.Connection, error) {
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
		if !c.leaving() && c.streams < c.frames.limit() {
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
	c := &muxConn{mux: m, sealed: s, frames: newFrameScan()}
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

// leaving reports whether the connection takes no new streams: it is broken, or
// the peer said goodbye.
func (c *muxConn) leaving() bool { return c.frames.leaves() || c.client.Err() != nil }

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
	return n, err
}

// frameScan follows the peer's HTTP/2 frames (RFC 9113, section 4.1) for what
// net/http does not tell: how many streams the peer allows, and whether it is
// going away.
type frameScan struct {
	header  [9]byte
	filled  int
	left    int    // of the payload
	payload []byte // of SETTINGS alone

	mu      sync.Mutex
	streams int  // guarded
	goaway  bool // guarded
	settled chan struct{}
	once    sync.Once
}

func newFrameScan() *frameScan { return &frameScan{streams: maxStreams, settled: make(chan struct{})} }

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
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.header[3] == frameGoaway:
		f.goaway = true
	case f.header[3] == frameSettings && f.header[4]&flagAck == 0:
		for s := f.payload; len(s) >= lengthOfSetting; s = s[lengthOfSetting:] {
			if binary.BigEndian.Uint16(s) == settingMaxConcurrent {
				f.streams = int(min(binary.BigEndian.Uint32(s[2:]), maxStreams))
			}
		}
		f.once.Do(func() { close(f.settled) })
	}
}

func (f *frameScan) limit() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.streams
}

func (f *frameScan) leaves() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.goaway
}
