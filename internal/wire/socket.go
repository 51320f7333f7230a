package wire

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// socket is the byte stream under a Conn. For https it lies under TLS: requests
// go through sealed, and sealed reads and writes through the socket's own Read
// and Write.
//
//	plain   Conn ───────────▶ socket ─▶ net.Conn
//	sealed  Conn ─▶ tls.Conn ─▶ socket ─▶ net.Conn
//
// It belongs to the Conn's owner, aborted apart.
type socket struct {
	net.Conn // as dialled

	sealed  *tls.Conn  // nil for plain http
	records recordScan // where the inbound TLS records end
	ended   bool       // the transport itself ended, with or without close_notify

	deadline time.Time // of the running exchange; zero means none
	armed    bool      // a read deadline is set on the connection
	aborted  atomic.Bool

	out     []byte       // the request: head and small body
	body    []byte       // a body too large to be copied behind the head
	written atomic.Int64 // bytes of the running exchange that the connection took

	shared  bool    // by the streams of HTTP/2: net/http does the waiting
	closing bool    // Write does not wait
	probing bool    // Read answers at once, with errSilent if nothing is there
	stray   [1]byte // where a probe reads to
	early   [1]byte // and a look past TLS
	held    []byte  // read by that, and still to be given to TLS
	strayed bool    // the last probe found something there

	descriptor
}

// pending may be implemented by a connection that is not a socket, so that it
// can be asked whether anything is there to be read.
type pending interface {
	// Pending returns how many bytes Read would return without waiting, and
	// whether the peer has closed its side.
	Pending() (n int, closed bool)
}

// silent is the error of a probe that finds nothing. crypto/tls forgets a read
// error that says it is temporary, and remembers every other.
type silent struct{}

func (silent) Error() string   { return "nothing to read" }
func (silent) Timeout() bool   { return true }
func (silent) Temporary() bool { return true }

var errSilent net.Error = silent{}

func newSocket(c net.Conn) *socket {
	s := &socket{Conn: c}
	s.attach(c)
	return s
}

// stream is what HTTP is spoken over.
func (s *socket) stream() net.Conn {
	if s.sealed != nil {
		return s.sealed
	}
	return s
}

// arm sets the deadline of the next exchange. The deadline for writing is set
// only when a write has to wait. The flag is read after the deadline is set, and
// Abort does the two in the other order, so that an abort is never overwritten.
func (s *socket) arm(deadline time.Time) error {
	s.deadline = deadline
	s.written.Store(0)
	if s.armed || !deadline.IsZero() {
		s.armed = !deadline.IsZero()
		if err := s.Conn.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	return s.live()
}

func (s *socket) live() error {
	if s.aborted.Load() {
		return ErrAborted
	}
	return nil
}

func (s *socket) abort() {
	s.aborted.Store(true)
	s.Conn.SetDeadline(time.Unix(1, 0)) // an error means it is closed already
}

// speak writes the request if nothing is there to be read.
func (s *socket) speak() error {
	err := s.silence()
	s.written.Store(0) // a probe of TLS may have answered a key update
	if err != nil {
		return err
	}
	return s.send()
}

func (s *socket) send() error {
	stream := s.stream()
	if _, err := stream.Write(s.out); err != nil || s.body == nil {
		return err
	}
	_, err := stream.Write(s.body)
	return err
}

// converseInSteps is converse for a connection that is not ours to the socket,
// for a request whose body follows, and for one that is traced; r is nil for any
// other.
func (s *socket) converseInSteps(p []byte, r *source) (int, error) {
	err := s.quiet()
	s.written.Store(0)
	if err != nil {
		return 0, err
	}
	if err := s.send(); err != nil {
		return 0, err
	}
	if r == nil {
		return s.read(p)
	}
	r.sent()
	n, err := s.read(p)
	if n > 0 {
		r.answered()
	}
	return n, err
}

// read reads what HTTP is spoken in.
func (s *socket) read(p []byte) (int, error) {
	n, err := s.stream().Read(p)
	if 0 < n && n < len(p) {
		s.records.taken++
	}
	return n, err
}

// silence returns ErrStale unless the connection is open with nothing to be
// read. Under TLS it lets session tickets pass, which are no data.
func (s *socket) silence() error {
	s.strayed = false
	if s.sealed != nil && s.records.drained() && s.mute() {
		return nil
	}
	s.probing = true
	n, err := s.stream().Read(s.stray[:])
	s.strayed = n > 0
	s.probing = false
	if err == errSilent && !s.records.inside() {
		s.records.settle()
		return nil
	}
	return messages.ErrStale
}

// mute is a look past TLS, which costs less than one through it. What it finds,
// TLS reads again.
func (s *socket) mute() bool {
	n, err := s.readNow(s.early[:])
	s.held = s.early[:n]
	return err == errSilent
}

// Read reads from the connection as dialled.
func (s *socket) Read(p []byte) (n int, err error) {
	switch {
	case len(s.held) > 0:
		n = copy(p, s.held)
		s.held = s.held[n:]
	case s.probing:
		n, err = s.readNow(p)
	default:
		n, err = s.Conn.Read(p)
	}
	if s.sealed != nil && !s.shared {
		s.records.pass(p[:n])
	}
	if err == io.EOF {
		s.ended = true
	}
	return n, err
}

// Write writes to the connection as dialled and counts what it takes.
func (s *socket) Write(p []byte) (int, error) {
	if s.shared {
		return s.Conn.Write(p)
	}
	n, err := s.writeNow(p)
	s.written.Add(int64(n))
	if err != nil || n == len(p) {
		return n, err
	}
	if s.closing {
		return n, io.ErrShortWrite
	}
	m, err := s.writeWaiting(p[n:])
	s.written.Add(int64(m))
	return n + m, err
}

func (s *socket) writeWaiting(p []byte) (int, error) {
	if err := s.Conn.SetWriteDeadline(s.deadline); err != nil {
		return 0, err
	}
	if err := s.live(); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

// close says goodbye to a TLS peer if that needs no waiting.
func (s *socket) close(politely bool) error {
	if politely && s.sealed != nil {
		s.closing = true
		s.farewell()
	}
	return s.Conn.Close()
}

// readPending is readNow for a connection that is not a socket.
func (s *socket) readPending(p []byte) (int, error) {
	c, ok := s.Conn.(pending)
	if !ok {
		return 0, errSilent
	}
	n, closed := c.Pending()
	switch {
	case n > 0:
		return s.Conn.Read(p[:min(n, len(p))])
	case closed:
		return 0, io.EOF
	}
	return 0, errSilent
}
