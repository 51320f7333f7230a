package memnet

import (
	"errors"
	"io"
	"net"
	"time"
)

// Conn is one end of a connection. It is safe for concurrent use; bytes of
// concurrent writes do not interleave as long as each fits the buffer of 64
// KiB.
type Conn struct {
	in, out       *stream // what the peer writes, what we write
	local, remote Addr
}

func pair(a, b Addr) (*Conn, *Conn) {
	ab, ba := newStream(), newStream()
	return &Conn{in: ba, out: ab, local: a, remote: b}, &Conn{in: ab, out: ba, local: b, remote: a}
}

// Read returns what has arrived, or waits for the first byte. It returns
// io.EOF once the peer has closed its side and everything is read.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.fail("read", err)
}

// Write waits while 64 KiB lie unread at the peer. A write after the peer
// closed fails with syscall.EPIPE.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.fail("write", err)
}

// Close closes both directions: the peer reads what was written, then io.EOF,
// and can no longer write. Waiting calls return net.ErrClosed.
func (c *Conn) Close() error {
	c.in.shut(true) // first: a peer that hangs up in answer must not end our own Read with io.EOF
	c.out.shut(false)
	return nil
}

// CloseWrite closes our direction alone: the peer reads what was written, then
// io.EOF, and may go on writing.
func (c *Conn) CloseWrite() error {
	c.out.shut(false)
	return nil
}

// Pending returns how many bytes wait to be read, and whether the peer has
// closed its side (or we ours): a silent, live connection returns 0, false.
func (c *Conn) Pending() (n int, closed bool) { return c.in.pending() }

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline bounds reads and writes, those that already wait included. The
// zero time means no bound. Past it they fail with os.ErrDeadlineExceeded.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline is SetDeadline for reads.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.fail("set", c.in.setDeadline(&c.in.reader, t))
}

// SetWriteDeadline is SetDeadline for writes.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.fail("set", c.out.setDeadline(&c.out.writer, t))
}

// fail keeps nil and io.EOF as they are, as callers compare with ==.
func (c *Conn) fail(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}

var _ net.Conn = (*Conn)(nil)
