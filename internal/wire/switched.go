package wire

import (
	"errors"
	"fmt"
	"io"

	"github.com/sluice-engine/sluice/messages"
)

// switched is a connection behind a 101: what it carries, both ways, is another
// protocol's (RFC 9110, section 7.8). It belongs to the Conn's owner as a stream
// does, but for Write, which another goroutine may call beside the rest. No exchange
// follows it.
//
// Its two directions end apart: what the peer has ended may still be written to.
type switched struct {
	conn  *Conn
	err   error // final, of reading
	ended bool  // the exchange is over
}

// upgraded reports whether an answer changes to what the call has offered.
func (h *head) upgraded(call *messages.Call) bool { return h.status == 101 && call.Upgrade != "" }

// Read is part of io.Reader.
func (s *switched) Read(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	returned := false
	defer s.contain(&returned, &err)
	c := s.conn
	n, err = c.reader.Read(p)
	if n > 0 || err == nil {
		returned = true
		return n, nil // an error beside bytes comes again with the next read
	}
	if err = c.readError(io.EOF); err == io.EOF && c.socket.cutOff() {
		err = ErrHalfBody // as for a body that only the connection's end ends
	}
	if s.err = err; err != io.EOF {
		s.end(err)
	}
	returned = true
	return 0, err
}

// Write is part of io.Writer.
func (s *switched) Write(p []byte) (n int, err error) {
	if panicked := Guard(messages.Exchanging, func() { n, err = s.conn.socket.stream().Write(p) }); panicked != nil {
		return 0, panicked
	}
	if err != nil {
		err = s.conn.socket.explain(err)
	}
	return n, err
}

// errNoHalf is the error of a connection of which no half can be closed.
var errNoHalf = fmt.Errorf("connection has no CloseWrite: %w", errors.ErrUnsupported)

// CloseWrite tells the peer that nothing more is written; what it writes can still be
// read. It may be called beside Read.
func (s *switched) CloseWrite() error {
	var to any = s.conn.socket.dialled()
	if sealed := s.conn.socket.sealed; sealed != nil {
		to = sealed
	}
	half, ok := to.(interface{ CloseWrite() error })
	if !ok {
		return errNoHalf
	}
	if d := s.conn.socket.detached; d != nil && s.conn.socket.sealed == nil {
		return d.closeWrite(half)
	}
	var err error
	if panicked := Guard(messages.Exchanging, func() { err = half.CloseWrite() }); panicked != nil {
		return panicked
	}
	return err
}

// Close is part of io.Closer.
func (s *switched) Close() (err error) {
	if s.ended {
		return nil
	}
	returned := false
	defer s.contain(&returned, &err)
	s.end(ErrStreamClosed)
	returned = true
	return nil
}

func (s *switched) end(err error) {
	s.err, s.ended = err, true
	s.conn.end()
}

// contain ends what did not return, because of code of the caller's.
func (s *switched) contain(returned *bool, err *error) {
	if *returned {
		return
	}
	*err = Panicked(messages.Exchanging, recover()) // nothing to recover is runtime.Goexit, which goes on
	s.err, s.ended = *err, true
	_ = Guard(messages.Exchanging, s.conn.end)
	_ = s.conn.Close() // nobody else may come to do it
}
