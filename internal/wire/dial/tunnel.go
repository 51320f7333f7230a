package dial

import (
	"crypto/tls"
	"net"
	"sync/atomic"

	"github.com/sluice-engine/sluice/internal/wire"
)

// tunnel is a connection inside TLS to a proxy, which the socket of another
// connection lies upon:
//
//	Conn ─▶ (tls.Conn ─▶) Socket ─▶ tunnel ─▶ tls.Conn ─▶ its own Socket ─▶ net.Conn
//
// Its own socket is there to be asked for silence.
type tunnel struct {
	*tls.Conn
	under *wire.Socket
	way   *tunnelled // to that
	held  []byte     // what a probe took: the next to be read
}

func newTunnel(c net.Conn, config *tls.Config) *tunnel {
	s := wire.NewSocket(c)
	way := &tunnelled{Socket: s}
	s.Seal(tls.Client(way, config), config)
	return &tunnel{Conn: s.Sealed(), under: s, way: way}
}

// tunnelled is a socket whose writes are under no deadline of its own: that is
// set from above, on the connection as dialled.
type tunnelled struct {
	*wire.Socket
	taken atomic.Int64 // bytes; whoever writes adds to them, of whom a read through TLS may be one
}

// Write is part of net.Conn.
func (t *tunnelled) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.taken.Add(int64(n))
	return n, err
}

// Write is part of net.Conn. TLS counts records, and not one that met an error, though
// some or all of it may have left: something has, then.
func (t *tunnel) Write(p []byte) (int, error) {
	before := t.way.taken.Load()
	n, err := t.Conn.Write(p)
	if n == 0 && err != nil && t.way.taken.Load() > before {
		n = min(1, len(p))
	}
	return n, err
}

// Read is part of net.Conn.
func (t *tunnel) Read(p []byte) (int, error) {
	if len(t.held) == 0 || len(p) == 0 {
		return t.Conn.Read(p)
	}
	n := copy(p, t.held)
	t.held = t.held[n:]
	return n, nil
}

// Pending tells the socket above what can be read without waiting. The
// beginning of a record is as good as an end: the connection is not silent.
func (t *tunnel) Pending() (n int, closed bool) {
	if len(t.held) > 0 { // asked twice, and not read in between
		return len(t.held), false
	}
	stray, err := t.under.Probe()
	if err == nil {
		return 0, false
	}
	t.held = stray // it stays as it is until the next probe, which comes only when it is read
	return len(stray), len(stray) == 0
}

// Upon is the socket that the tunnel lies upon, whose deadlines are kept.
func (t *tunnel) Upon() *wire.Socket { return t.under }

// Blind tells the socket above that what lies under the tunnel cannot be asked.
func (t *tunnel) Blind() bool { return t.under.Blind() }

// Close is part of net.Conn. It does not wait, as saying goodbye to the proxy
// might.
func (t *tunnel) Close() error { return t.under.Close() }
