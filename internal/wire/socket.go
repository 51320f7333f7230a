package wire

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// Socket is the byte stream that HTTP is spoken over. For https it lies under
// TLS: requests go through sealed, and sealed reads and writes through the
// socket's own Read and Write.
//
//	plain   Conn ─────────────▶ Socket ─▶ net.Conn
//	sealed  Conn ─▶ tls.Conn ─▶ Socket ─▶ net.Conn
//
// It belongs to the Conn's owner. Two others come near it: the goroutine of an
// upload, which writes, and whoever calls Abort. A socket that is shared belongs
// to net/http instead.
type Socket struct {
	net.Conn // as dialled, or detached from what was

	// detached is Conn if that is of a type which nobody here knows; nil otherwise.
	// NewSocket sets it.
	detached *detached

	// sealed is nil for plain http. Seal sets it before anybody else has the socket;
	// the goroutine of an upload reads it.
	sealed  *tls.Conn
	records recordScan // where the inbound TLS records end
	ended   bool       // the transport itself ended, with or without close_notify

	// deadline is the running exchange's; zero means none. The owner sets it
	// before an upload begins, whose goroutine reads it.
	deadline time.Time
	armed    bool // a read deadline is set on the connection
	// aborted is set by Abort, on any goroutine, and never taken back. The owner
	// and the goroutine of an upload read it.
	aborted atomic.Bool

	out  []byte // the request: head and small body
	body []byte // a body too large to be copied behind the head
	// written counts the bytes of the running exchange that the connection took, and one
	// for a write of which that is not known.
	// The owner and the goroutine of an upload add to it; the owner reads it, and
	// whoever asks whether the exchange has departed.
	written atomic.Int64
	// departing is set before a Write that may block, by the same two.
	departing atomic.Bool

	// shared is set by Share, before net/http has the socket, and read by
	// net/http's goroutines.
	shared bool
	// closing keeps Write from waiting. The owner sets it when no upload is left
	// to read it.
	closing bool

	blind   bool    // nothing tells whether the connection is silent
	carried bool    // an exchange has ended well on it
	probing bool    // Read answers at once, with errSilent if nothing is there
	strayed bool    // the last probe found a byte
	stray   [1]byte // which was this
	early   [1]byte // what a look past TLS reads to
	held    []byte  // what that found, and TLS is still to be given

	descriptor
}

// NewSocket returns a socket over c, and owns c from now on.
//
// A TCP or Unix socket is written and read directly, and looked at for silence
// without any cost. Any other connection is used through its methods, and must be
// silent in its own way before it is used again: see foreign.go. Unless its type
// is known, it need not keep deadlines either: see detached. A wrapper spares
// itself a wait of some milliseconds in every exchange if it has one of
//
//	Pending() (n int, closed bool)    what can be read without waiting, and whether
//	                                  the peer has closed
//	SyscallConn, as *net.TCPConn has  it, or whoever embeds it
//	NetConn() net.Conn                what lies under it, as *tls.Conn has it
func NewSocket(c net.Conn) *Socket {
	s := &Socket{Conn: Detached(c)}
	s.detached, _ = s.Conn.(*detached)
	s.attach(s.dialled())
	return s
}

// dialled is the connection itself.
func (s *Socket) dialled() net.Conn {
	if s.detached != nil {
		return s.detached.Conn
	}
	return s.Conn
}

// Seal has HTTP spoken through sealed, which lies upon s and was made with config: its
// bytes must pass through the Read and Write of s. It is called before the first of
// them.
func (s *Socket) Seal(sealed *tls.Conn, config *tls.Config) {
	s.sealed = sealed
	s.mayRenegotiate(config.Renegotiation != tls.RenegotiateNever)
}

// Sealed returns what Seal was given, or nil.
func (s *Socket) Sealed() *tls.Conn { return s.sealed }

// Share lets the socket be read and written by goroutines of somebody else's,
// who does the waiting and sets deadlines. No Conn may have it then, and it is
// not probed any more.
func (s *Socket) Share() {
	s.shared = true
	s.pass()
}

// Probe returns messages.ErrStale unless the connection is open with nothing to
// be read. It does not wait. If a byte was there it is taken away, and returned:
// it is the next of the stream, and is valid until the next Probe.
func (s *Socket) Probe() (stray []byte, err error) {
	if err = s.quiet(); err != nil && s.strayed {
		stray = s.stray[:]
	}
	return stray, err
}

// stream is what HTTP is spoken over.
func (s *Socket) stream() net.Conn {
	if s.sealed != nil {
		return s.sealed
	}
	return s
}

// arm sets the deadline of the next exchange. The deadline for writing is set
// only when a write has to wait.
func (s *Socket) arm(deadline time.Time) error {
	s.deadline = deadline
	s.written.Store(0)
	// Most exchanges without a deadline follow another such: nothing is to be cleared.
	if s.armed || !deadline.IsZero() {
		s.armed = !deadline.IsZero()
		if err := s.Conn.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	// Read after the deadline was set, and abort sets the flag before: an abort
	// whose deadline was overwritten is seen here.
	return s.live()
}

// disarm is called at the end of an exchange, whose deadline is none of a probe's.
// A socket of ours is probed without one. If there is to be no further exchange, an
// upload may still be reading the deadline.
func (s *Socket) disarm(another bool) {
	if s.detached == nil || !s.armed {
		return
	}
	s.armed = false
	_ = s.Conn.SetReadDeadline(time.Time{}) // it never fails
	if another {
		s.deadline = time.Time{}
	}
}

func (s *Socket) live() error {
	if s.aborted.Load() {
		return ErrAborted
	}
	return nil
}

func (s *Socket) abort() {
	s.aborted.Store(true) // before the deadline: arm does the two in the other order
	s.Interrupt()
}

// Interrupt ends whatever read or write is running on the connection. Any
// goroutine may call it.
func (s *Socket) Interrupt() {
	_ = s.Conn.SetDeadline(time.Unix(1, 0)) // it fails if nothing can be running any more
}

// Close closes the connection as dialled. crypto/tls and net/http call it as
// well, on goroutines of theirs.
func (s *Socket) Close() (err error) {
	if !s.Foreign() || s.detached != nil {
		return s.Conn.Close()
	}
	if panicked := Apart(messages.Exchanging, func() { err = s.Conn.Close() }); panicked != nil {
		return panicked
	}
	return err
}

// backlog is what a socket did not take at once, in the order it is sent.
type backlog struct {
	kept []byte // in memory of this package's
	lent []byte // in the caller's
}

func (b *backlog) isEmpty() bool { return len(b.kept) == 0 && len(b.lent) == 0 }

// speak writes the request if nothing is there to be read.
func (s *Socket) speak() error {
	err := s.silence()
	s.written.Store(0) // a probe of TLS may have answered a key update
	if err != nil {
		return err
	}
	return s.send()
}

func (s *Socket) send() error {
	if s.body != nil && s.sealed == nil && s.prompt() {
		return s.offer()
	}
	stream := s.stream()
	// A small body is in out already, so that head and body leave in one write.
	if _, err := stream.Write(s.out); err != nil || s.body == nil {
		return err
	}
	_, err := stream.Write(s.body)
	return err
}

// converseInSteps is converse for a connection that is not ours to the socket,
// for a request whose body follows, and for one that is traced.
func (s *Socket) converseInSteps(p []byte, r *source) (int, error) {
	err := s.quiet()
	s.written.Store(0) // a probe of TLS may have answered a key update
	if err != nil {
		return 0, err
	}
	if r.upload == nil {
		err = s.press()
	} else {
		err = s.send() // the head alone
	}
	if err != nil {
		return s.lastWords(p, err)
	}
	r.sent() // an upload writes from here on, beside the read
	n, err := s.read(p)
	if n > 0 {
		r.answered()
	}
	return n, err
}

// lastWait bounds the reading of what a peer said before it closed: that has come
// already, or is about to.
const lastWait = time.Second

// lastWords reads what the peer may have answered before it closed the connection
// on a request that was being written: that says more than why the write failed.
func (s *Socket) lastWords(p []byte, failure error) (int, error) {
	if s.written.Load() == 0 || !IsPeerClosed(failure) {
		return 0, failure
	}
	wait := time.Now().Add(lastWait)
	if !s.deadline.IsZero() && s.deadline.Before(wait) {
		wait = s.deadline
	}
	s.armed = true
	if s.Conn.SetReadDeadline(wait) != nil || s.live() != nil {
		return 0, failure
	}
	if n, _ := s.read(p); n > 0 {
		return n, nil
	}
	return 0, failure
}

// hurry leaves a moment for the answer to a request that could not be written whole, as lastWords
// does: a connection that fails to write need not fail to read. Any goroutine may call it.
func (s *Socket) hurry() {
	if wait := time.Now().Add(lastWait); s.deadline.IsZero() || wait.Before(s.deadline) {
		s.setReadDeadline(wait)
	}
}

// setReadDeadline moves the deadline of a read that may be running, unless the exchange was aborted.
func (s *Socket) setReadDeadline(t time.Time) {
	_ = s.Conn.SetReadDeadline(t) // it fails if nothing can be running any more
	if s.live() != nil {
		s.Interrupt() // whose deadline may have been overwritten
	}
}

// read reads what HTTP is spoken in.
func (s *Socket) read(p []byte) (int, error) {
	n, err := s.stream().Read(p)
	// crypto/tls gives one record at a time, so a read that was not filled emptied
	// one. A filled read proves nothing, and is not counted.
	if 0 < n && n < len(p) {
		s.records.taken++
	}
	return n, err
}

// silence returns ErrStale unless the connection is open with nothing to be
// read. Under TLS it lets session tickets pass, which are no data.
func (s *Socket) silence() error {
	s.strayed = false
	// The short way: nothing is left inside TLS and nothing lies before it.
	if s.sealed != nil && s.records.drained() && s.mute() {
		return nil
	}
	s.probing = true
	n, err := s.stream().Read(s.stray[:]) // expected to fail, with errSilent
	s.strayed = n > 0
	s.probing = false
	if s.cutShort(err) {
		return errAsked
	}
	if err == errBlind && !s.records.inside() && !s.carried {
		s.blind = true // and so there is no second exchange, which this might harm
		return nil
	}
	// crypto/tls is silent in the middle of a record too; only the scan knows.
	if err == errSilent && !s.records.inside() {
		s.records.settle()
		return nil
	}
	switch {
	case isPanic(err):
		return err
	case !s.strayed && err != nil && IsPeerClosed(err):
		return errLeft
	}
	return messages.ErrStale
}

// cutShort reports whether the silence that a read has found, which was not to wait, is
// that of a handshake. A peer of TLS 1.2 may ask for another at any time, and crypto/tls
// does it inside the read (RFC 5246, section 7.4.1.1). It forgets any other error that
// says it is temporary; one of a handshake it returns from every read and write from
// then on, without a look at the connection. What is silent otherwise is asked for
// nothing here: a handshake that is complete says so at once.
func (s *Socket) cutShort(err error) bool {
	found, ok := err.(silent)
	if !ok {
		return false
	}
	if s.sealed != nil && s.sealed.Handshake() != nil {
		return true
	}
	// The caller's own TLS is done with its first handshake once it has carried
	// something. A read of one that told nothing may be running still, and would have to
	// be waited for.
	own, ok := s.dialled().(*tls.Conn)
	return ok && s.carried && !found.blind && own.Handshake() != nil
}

// midRecord reports whether a connection was found not to be silent because it is in
// the middle of a TLS record, which may be no data: nothing was written then.
func (s *Socket) midRecord() bool {
	return s.sealed != nil && !s.strayed && s.records.inside() && s.written.Load() == 0
}

// cutOff reports whether the peer's end came without a close_notify under TLS, be it that of a tunnel
// which the connection lies in.
func (s *Socket) cutOff() bool {
	if s.sealed != nil {
		return s.ended
	}
	in, ok := s.dialled().(interface{ Upon() *Socket })
	return ok && in.Upon().cutOff()
}

// mute is a look past TLS, which costs less than one through it. What it finds,
// TLS reads again.
func (s *Socket) mute() bool {
	n, err := s.readNow(s.early[:]) // expected to fail, with errSilent
	s.held = s.early[:n]
	return err == errSilent
}

// Read reads from the connection as dialled.
func (s *Socket) Read(p []byte) (n int, err error) {
	switch {
	case len(s.held) > 0:
		n = copy(p, s.held)
		s.held = s.held[n:]
	case s.probing:
		n, err = s.readNow(p)
	case s.shared:
		n, err = s.readShared(p)
	default:
		n, err = s.Conn.Read(p)
	}
	if s.sealed != nil && !s.shared { // a shared one is never asked for silence
		s.records.pass(p[:n])
	}
	if err == io.EOF {
		s.ended = true // crypto/tls does not tell this from a close_notify
	}
	return n, err
}

// Write writes to the connection as dialled and counts what it takes.
func (s *Socket) Write(p []byte) (int, error) {
	if s.shared {
		return s.writeShared(p)
	}
	n, err := s.writeNow(p) // nothing is taken by a connection that is not ours
	if !s.probing {         // or else it is TLS that answers a key update
		s.written.Add(int64(n))
	}
	if err != nil || n == len(p) {
		return n, err
	}
	if s.closing {
		return n, io.ErrShortWrite // a goodbye that would have to wait is not said
	}
	if s.lay(p[n:]) {
		return len(p), nil
	}
	m, err := s.writeWaiting(p[n:])
	return n + m, err
}

// writeWaiting counts what it writes, and a byte until that is known: TLS that is not
// ours calls code of the caller's, which may not return.
func (s *Socket) writeWaiting(p []byte) (int, error) {
	if err := s.Conn.SetWriteDeadline(s.deadline); err != nil {
		return 0, err
	}
	// As in arm: the deadline just set may have overwritten that of an abort.
	if err := s.live(); err != nil {
		return 0, err
	}
	if !s.probing {
		s.departing.Store(true) // it may block, and how much it has taken is known behind it alone
	}
	s.written.Add(1)
	n, err := s.Conn.Write(p)
	s.written.Add(int64(n) - 1)
	return n, err
}

// departed reports whether bytes of the running exchange have left, as far as can be
// known: a connection that is not ours has them once it is given them.
func (s *Socket) departed() bool { return s.written.Load() > 0 || s.departing.Load() }

// rest is called between two exchanges, of which nothing has departed.
func (s *Socket) rest() {
	s.written.Store(0)
	if s.departing.Load() { // hardly any
		s.departing.Store(false)
	}
}

// close says goodbye to a TLS peer if that needs no waiting.
func (s *Socket) close(politely bool) error {
	if politely && s.sealed != nil {
		s.closing = true // before the goodbye, which is a write
		s.farewell()
	}
	return s.Close()
}
