//go:build unix

package wire

import (
	"cmp"
	"io"
	"net"
	"os"
	"syscall"
)

// descriptor reaches the socket under a net.Conn.
type descriptor struct {
	// attach sets these, and nobody changes them. One of raw and under is set at
	// most.
	own   bool            // nothing stands between the net.Conn and the socket
	raw   syscall.RawConn // the socket, if it is our own
	under syscall.RawConn // the socket under somebody else's connection

	// patient is set where a read of TLS may become a handshake, as a peer of TLS 1.2 may
	// ask for: that waits for the peer by itself, and so is not begun inside the poller's
	// callback, nor while anything of the request is kept to be written behind it.
	// mayRenegotiate sets it.
	patient bool

	// step and check are bound once, so that an exchange allocates nothing.
	step  func(fd uintptr) (done bool)
	check func(fd uintptr)

	fd int // valid while step or check runs
	// direct has Read and Write go to fd. The owner sets it, and takes it back
	// before an upload begins, whose goroutine reads it.
	direct bool

	// laying has Write keep in backlog what the socket does not take at once. The
	// owner takes both back before an upload begins, whose goroutine reads them.
	laying  bool
	backlog backlog

	passage *passage // if it is shared; Share sets it

	spoken bool   // step has written the request
	in     []byte // where step reads the first bytes of the answer to
	n      int    // how many it read
	err    error  // why step or check gave up
}

func (s *Socket) attach(c net.Conn) {
	raw := socketUnder(c)
	if raw == nil {
		return
	}
	// A type that embeds one of these may count, change or keep what passes: its
	// socket is looked at, but written and read through its methods.
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		s.own, s.raw, s.step, s.check = true, raw, s.turn, s.look
	default:
		s.under = raw
	}
}

// socketUnder follows what connections say of themselves down to a socket. It
// returns nil if they do not, and if it is closed already: the first exchange
// will say so.
func socketUnder(c net.Conn) syscall.RawConn {
	for range 8 { // deeper than any; one that lies upon itself has no end
		switch known := c.(type) {
		case syscall.Conn:
			raw, err := known.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		case interface{ NetConn() net.Conn }:
			c = known.NetConn()
		default:
			return nil
		}
	}
	return nil
}

// glance looks at the socket under a connection, and takes nothing from it.
func (s *Socket) glance() (found glimpse) {
	if s.under == nil {
		return unknown
	}
	err := s.under.Control(func(fd uintptr) {
		var one [1]byte
		// The socket is non-blocking, as net makes it.
		switch _, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK); err {
		case syscall.EAGAIN:
			found = quiet
		case syscall.ENOTSOCK, syscall.EINTR: // what cannot be looked at has to be read
			found = unknown
		default:
			found = stirring
		}
	})
	if err != nil {
		return stirring // it is closed, as a read will say
	}
	return found
}

// converse checks that the socket is silent, writes the request and reads the
// first bytes of the answer into p.
func (s *Socket) converse(p []byte, r *source) (int, error) {
	if !s.prompt() {
		return s.converseInSteps(p, r)
	}
	s.in, s.n, s.err, s.spoken = p, 0, nil, false
	err := s.raw.Read(s.step)
	s.in = nil
	switch {
	case err != nil: // the deadline, an abort or a close, while step waited for its next turn
		return 0, err
	case !s.backlog.isEmpty() && s.err == nil:
		r.sent() // the rest is written beside the read
		return s.read(p)
	case s.n == 0 && s.err != nil:
		return s.lastWords(p, s.err)
	}
	return s.n, s.err
}

// turn is called by the runtime when the poller is armed, and then whenever the
// socket is readable, until it is done. It holds the descriptor's read lock only.
func (s *Socket) turn(fd uintptr) (done bool) {
	if !s.spoken {
		s.spoken = true // whatever comes of it, there is no second write
		s.laying, s.backlog = true, backlog{}
		s.on(fd, s.speak)
		s.laying = false
		switch {
		case s.err != nil || !s.backlog.isEmpty(): // with a backlog it is another who waits
			return true
		case len(s.body) <= slowBody:
			return false // right after a write there is nothing, and the runtime waits
		}
	}
	if s.sealed != nil {
		s.on(fd, s.unseal)
	} else {
		s.n, s.err = s.readNow(s.in)
	}
	return s.err != errSilent // not done: the runtime waits until there is more
}

// press is send without waiting: what the socket does not take is a backlog.
func (s *Socket) press() error {
	if !s.prompt() {
		return s.send()
	}
	s.err, s.laying, s.backlog = nil, true, backlog{}
	err := s.raw.Control(func(fd uintptr) { s.on(fd, s.send) })
	s.laying = false
	return cmp.Or(err, s.err)
}

// prompt reports whether the connection can be offered bytes without waiting.
func (s *Socket) prompt() bool { return s.own && !s.patient }

// mayRenegotiate says whether the peer may have TLS begin another handshake.
func (s *Socket) mayRenegotiate(may bool) { s.patient = may }

// lay keeps p for later, if that is how it is written.
func (s *Socket) lay(p []byte) bool {
	if s.laying {
		s.backlog.kept = append(s.backlog.kept, p...)
	}
	return s.laying
}

func (s *Socket) takeBacklog() backlog {
	left := s.backlog
	s.backlog = backlog{}
	return left
}

// offer writes head and body together. It is called where Write goes to fd, and so
// does not wait: what the socket does not take of the body stays where it is until it
// is sent.
func (s *Socket) offer() error {
	n, err := s.writeOffer()
	s.written.Add(int64(n))
	switch {
	case err != nil && err != syscall.EAGAIN:
		return s.opError("write", err)
	case n < len(s.out):
		s.lay(s.out[n:])
		n = len(s.out)
	}
	s.backlog.lent = s.body[n-len(s.out):]
	return nil
}

// slowBody is the size from which on a body takes the kernel longer to copy than a
// peer on this machine takes to wake up.
const slowBody = 512 << 10

// lead is how much of a request with such a body is written first.
const lead = 4 << 10

// writeOffer writes once what the socket takes of head and body. Before a body that
// takes long it sends the first packet by itself: the peer wakes up while the rest is
// copied, instead of emptying the socket and going back to sleep again and again,
// every one of which is a wake-up that the writer has to pay for.
func (s *Socket) writeOffer() (n int, err error) {
	if len(s.body) <= slowBody || len(s.out) >= lead {
		return writeBothFD(s.fd, s.out, s.body)
	}
	first := lead - len(s.out)
	if n, err = writeBothFD(s.fd, s.out, s.body[:first]); n < lead || err != nil {
		return n, err
	}
	m, _ := writeFD(s.fd, s.body[first:])
	return n + max(m, 0), nil // half a request is written: the next write says why there was no more
}

// writeLent writes a body from the caller's memory, on the goroutine of an upload. It
// waits between two writes and not in one, so that whoever closes the body need not
// wait for the peer.
func (s *Socket) writeLent(l *Lent) error {
	if err := s.Conn.SetWriteDeadline(s.deadline); err != nil {
		return err
	}
	if err := s.live(); err != nil { // as in writeWaiting
		return err
	}
	var failure error
	err := s.raw.Write(func(fd uintptr) (done bool) {
		write := func(p []byte) (int, error) {
			n, err := writeFD(int(fd), p)
			s.written.Add(int64(max(n, 0)))
			return max(n, 0), err
		}
		for more := true; more; {
			if more, failure = l.pass(write); failure == syscall.EAGAIN {
				failure = nil
				return false // until the socket takes more
			}
			more = more && failure == nil
		}
		return true
	})
	if failure != nil {
		return s.opError("write", failure)
	}
	return err
}

// unseal reads what TLS has for HTTP; a record may come in pieces.
func (s *Socket) unseal() (err error) {
	s.probing = true // crypto/tls must not wait inside the poller's callback
	s.n, err = s.read(s.in)
	s.probing = false
	if s.cutShort(err) { // or the poller would wait for ever, and ask again with every byte
		return errCutShort
	}
	return err
}

func (s *Socket) look(fd uintptr) { s.on(fd, s.silence) }

// on runs f with Read and Write going to fd.
func (s *Socket) on(fd uintptr, f func() error) {
	s.fd, s.direct = int(fd), s.own
	s.err = f()
	s.direct = false
}

// quiet is silence at any time. It does not depend on the deadline, which may
// have passed while the connection was idle.
func (s *Socket) quiet() error {
	if !s.own {
		return s.silence()
	}
	s.err = nil
	// Control asks no poller, and so minds no deadline.
	if err := s.raw.Control(s.check); err != nil {
		return err
	}
	return s.err
}

// farewell sends close_notify. The 5 s crypto/tls may wait for that do not pass:
// a closing socket does not wait.
func (s *Socket) farewell() {
	if s.own {
		// The error is dropped: the connection is closed next, whether or not the
		// peer was told.
		s.raw.Control(func(fd uintptr) { s.on(fd, s.sealed.CloseWrite) })
	}
}

// readNow reads what is there, or returns errSilent.
func (s *Socket) readNow(p []byte) (int, error) {
	if !s.own {
		return s.readForeign(p)
	}
	n, err := readFD(s.fd, p)
	if err == syscall.EAGAIN { // the socket is non-blocking, as net makes it
		return 0, errSilent
	}
	return n, s.readError(n, err)
}

// writeNow writes what the socket takes without waiting.
func (s *Socket) writeNow(p []byte) (int, error) {
	// Without direct fd is not held, or not for us to write to. Nothing overtakes a
	// backlog.
	if !s.direct || !s.backlog.isEmpty() {
		return 0, nil
	}
	n, err := writeFD(s.fd, p)
	switch err {
	case nil:
		return n, nil
	case syscall.EAGAIN:
		return 0, nil // Write goes on by way of net, which can wait
	}
	return 0, s.opError("write", err)
}

// readFD reads once what a non-blocking socket has.
func readFD(fd int, p []byte) (int, error) {
	for {
		n, err := readOnce(fd, p)
		if err != syscall.EINTR {
			return max(n, 0), err // n is -1 beside an error
		}
	}
}

// writeFD writes once what a non-blocking socket takes.
func writeFD(fd int, p []byte) (int, error) {
	for {
		n, err := writeOnce(fd, p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// writeBothFD is writeFD of a after b, in one call where that is possible.
func writeBothFD(fd int, a, b []byte) (int, error) {
	for {
		n, err := writeBothOnce(fd, a, b)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

func (s *Socket) readError(n int, err error) error {
	switch {
	case err != nil:
		return s.opError("read", err)
	case n == 0:
		s.ended = true
		return io.EOF
	}
	return nil
}

func (s *Socket) opError(op string, err error) error {
	local, remote := s.Conn.LocalAddr(), s.Conn.RemoteAddr()
	return &net.OpError{Op: op, Net: remote.Network(), Source: local, Addr: remote, Err: os.NewSyscallError(op, err)}
}
