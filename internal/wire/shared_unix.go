//go:build unix

package wire

import (
	"errors"
	"net"
	"syscall"
)

// passage reads and writes a socket that is shared, with the system calls that a
// socket of one owner has. It waits by way of the runtime's poller, which minds
// deadlines and the connection's close as the methods of net.Conn do.
//
// crypto/tls, through which all of it goes, lets one goroutine read and one write at
// a time: each direction has fields of its own, and none is locked.
type passage struct {
	raw syscall.RawConn
	in  crossing
	out crossing
}

// crossing is one read or one write.
type crossing struct {
	step func(fd uintptr) (done bool) // bound once, so that none allocates
	p    []byte                       // what is left of it
	n    int                          // how much has crossed
	err  error
}

func newPassage(raw syscall.RawConn) *passage {
	p := &passage{raw: raw}
	p.in.step, p.out.step = p.in.read, p.out.write
	return p
}

func (c *crossing) read(fd uintptr) (done bool) {
	c.n, c.err = readFD(int(fd), c.p)
	return c.err != syscall.EAGAIN // not done: the runtime waits until there is more
}

func (c *crossing) write(fd uintptr) (done bool) {
	for len(c.p) > 0 {
		n, err := writeFD(int(fd), c.p)
		if err != nil {
			c.err = err
			return err != syscall.EAGAIN
		}
		c.n += n
		c.p = c.p[n:]
	}
	c.err = nil
	return true
}

// finish forgets the bytes, which are another's, and returns what came of them. An
// error of the wait, that is a deadline or a close, stands in place of the call's.
func (c *crossing) finish(op string, waited error) (n int, err error) {
	n, err = c.n, c.err
	*c = crossing{step: c.step}
	if waited == nil {
		return n, err
	}
	var failed *net.OpError
	if errors.As(waited, &failed) {
		failed.Op = op // the poller's name for it is raw-read or raw-write
	}
	return n, waited
}

// pass opens the short way for a socket that is ours, and under TLS.
func (s *Socket) pass() {
	if s.own && s.sealed != nil {
		s.passage = newPassage(s.raw)
	}
}

func (s *Socket) readShared(p []byte) (int, error) {
	if s.passage == nil || len(p) == 0 {
		return s.Conn.Read(p)
	}
	in := &s.passage.in
	in.p = p
	n, err := in.finish("read", s.passage.raw.Read(in.step))
	n = max(n, 0)
	switch err.(type) {
	case nil, syscall.Errno:
		return n, s.readError(n, err)
	}
	return 0, err
}

func (s *Socket) writeShared(p []byte) (int, error) {
	if s.passage == nil || len(p) == 0 {
		return s.Conn.Write(p)
	}
	out := &s.passage.out
	out.p = p
	n, err := out.finish("write", s.passage.raw.Write(out.step))
	if errno, ok := err.(syscall.Errno); ok {
		err = s.opError("write", errno)
	}
	return n, err
}
