package wire

import (
	"crypto/tls"
	"net"
)

// tunnel is a connection inside TLS to a proxy, which the socket of another
// connection lies upon:
//
//	Conn ─▶ (tls.Conn ─▶) socket ─▶ tunnel ─▶ tls.Conn ─▶ its own socket ─▶ net.Conn
//
// Its own socket is there to be asked for silence.
type tunnel struct {
	*tls.Conn
	under *socket
	held  bool // a probe found a byte, which is under.stray: the next to be read
}

func newTunnel(c net.Conn, config *tls.Config) *tunnel {
	s := newSocket(c)
	s.sealed = tls.Client(tunnelled{s}, config)
	return &tunnel{Conn: s.sealed, under: s}
}

// tunnelled is a socket whose writes are under no deadline of its own: that is
// set from above, on the connection as dialled.
type tunnelled struct{ *socket }

// Write is part of net.Conn.
func (t tunnelled) Write(p []byte) (int, error) { return t.Conn.Write(p) }

// Read is part of net.Conn.
func (t *tunnel) Read(p []byte) (int, error) {
	if !t.held || len(p) == 0 {
		return t.Conn.Read(p)
	}
	t.held = false
	p[0] = t.under.stray[0]
	return 1, nil
}

// Pending tells the socket above what can be read without waiting. The
// beginning of a record is as good as an end: the connection is not silent.
func (t *tunnel) Pending() (n int, closed bool) {
	if !t.held {
		if t.under.quiet() == nil {
			return 0, false
		}
		t.held = t.under.strayed
	}
	if t.held {
		return 1, false
	}
	return 0, true
}

// Close is part of net.Conn. It does not wait, as saying goodbye to the proxy
// might.
func (t *tunnel) Close() error { return t.under.Conn.Close() }
