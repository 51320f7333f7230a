package referee

import (
	"net"
	"os"
	"syscall"
	"time"
)

// link is the client's end of a connection. What is written to it reaches the host
// after a while, and so does what the host says; each way keeps its order. All
// fields are guarded by the world's lock.
type link struct {
	world *world
	host  *host
	name  uint64
	up    way // to the host
	down  way // to the client

	in      []byte        // delivered, and not yet read
	heads   []heard       // the ends of answers' heads in it
	ended   error         // what a read says once in is empty; nil while the host is there
	closed  bool          // by the client
	gone    bool          // the host knows, or has closed it itself
	readBy  time.Time     // deadlines; zero means none
	writeBy time.Time     //
	wake    chan struct{} // told when a read may go on
	alarm   *time.Timer   // the reader's

	out    []byte   // of a request that is not whole yet
	asked  *attempt // the request that is under way; nil if there is none
	served int      // answers that were given
	rest   uint64   // counts the rests between two requests, so that an old alarm is known
}

// way is one direction: nothing overtakes what was sent before.
type way struct{ clear time.Duration }

// arrives returns when what is sent now is there, after a lag.
func (w *way) arrives(now, lag time.Duration) time.Duration {
	w.clear = max(w.clear, now+lag)
	return w.clear
}

// heard is the end of a head in what was delivered: left bytes are to be read
// until then.
type heard struct {
	left   int
	answer *answer
}

var errReset = &net.OpError{Op: "read", Net: "memory", Err: syscall.ECONNRESET}

// Read is part of net.Conn.
func (l *link) Read(p []byte) (int, error) {
	w := l.world
	for {
		w.mu.Lock()
		n, err, done := l.read(p)
		by := l.readBy
		w.mu.Unlock()
		if done {
			return n, err
		}
		l.wait(by)
	}
}

// read reports whether there is anything to be said now.
func (l *link) read(p []byte) (n int, err error, done bool) {
	switch {
	case l.closed:
		return 0, net.ErrClosed, true
	case !l.readBy.IsZero() && !time.Now().Before(l.readBy):
		return 0, os.ErrDeadlineExceeded, true
	case len(l.in) > 0:
		n = copy(p, l.in)
		l.in = l.in[n:]
		l.hear(n)
		return n, nil, true
	case l.ended != nil:
		return 0, l.ended, true
	}
	return 0, nil, false
}

// hear tells of the heads that ended within the n bytes just read.
func (l *link) hear(n int) {
	for i := range l.heads {
		l.heads[i].left -= n
	}
	for len(l.heads) > 0 && l.heads[0].left <= 0 {
		l.heads[0].answer.headRead(l.world)
		l.heads = l.heads[1:]
	}
}

func (l *link) wait(by time.Time) {
	if by.IsZero() {
		<-l.wake
		return
	}
	if l.alarm == nil {
		l.alarm = time.NewTimer(time.Until(by))
	} else {
		l.alarm.Reset(time.Until(by))
	}
	select {
	case <-l.wake:
		l.alarm.Stop()
	case <-l.alarm.C:
	}
}

func (l *link) stir() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Write is part of net.Conn. It never waits, unless the host's manners have it
// take a part only.
func (l *link) Write(p []byte) (int, error) {
	w := l.world
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	switch {
	case l.closed:
		return 0, net.ErrClosed
	case !l.writeBy.IsZero() && !time.Now().Before(l.writeBy):
		return 0, os.ErrDeadlineExceeded
	case l.ended != nil:
		return 0, &net.OpError{Op: "write", Net: "memory", Err: syscall.EPIPE}
	}
	l.rest++
	if l.asked == nil && w.scene.stuck.draws(w.rng) {
		return l.breaks(now, p)
	}
	l.out = append(l.out, p...)
	l.host.take(l, now)
	return len(p), nil
}

// breaks has the connection take a part of a request or nothing, and end: the
// request never arrives.
func (l *link) breaks(now time.Duration, p []byte) (int, error) {
	n := l.world.rng.IntN(2) * len(p) / 2
	if a := l.host.parse(p); a != nil && n > 0 {
		l.host.wrote(l, a, now)
	}
	l.ended, l.gone = errReset, true
	return n, &net.OpError{Op: "write", Net: "memory", Err: syscall.ECONNRESET}
}

// Close is part of net.Conn.
func (l *link) Close() error {
	w := l.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	l.stir()
	w.open--
	now := w.now()
	if a := l.asked; a != nil && a.settled && !w.scene.strict {
		a.end(now) // see the doc of this package: what is not judged
	}
	w.at(l.up.arrives(now, w.lag()), func(at time.Duration) { l.hostHears(at) })
	return nil
}

// hostHears has the host see that the client is gone: it ends what it was at.
func (l *link) hostHears(at time.Duration) {
	l.gone = true
	if a := l.asked; a != nil {
		a.end(at)
	}
}

// shut has the host close the connection now: the client hears of it later.
func (l *link) shut(now time.Duration, reason error) {
	if l.gone {
		return
	}
	l.gone = true
	l.world.at(l.down.arrives(now, l.world.lag()), func(time.Duration) {
		if l.ended == nil {
			l.ended = reason
			l.stir()
		}
	})
}

// say delivers bytes after a while; a head ends within them if of is not nil.
func (l *link) say(now time.Duration, p []byte, headEnd int, of *answer) {
	if l.gone {
		return
	}
	l.world.at(l.down.arrives(now, l.world.lag()), func(time.Duration) {
		if l.closed || l.ended != nil {
			return
		}
		if of != nil {
			l.heads = append(l.heads, heard{len(l.in) + headEnd, of})
		}
		l.in = append(l.in, p...)
		l.stir()
	})
}

// SetDeadline is part of net.Conn.
func (l *link) SetDeadline(t time.Time) error { return l.setDeadlines(t, true, true) }

// SetReadDeadline is part of net.Conn.
func (l *link) SetReadDeadline(t time.Time) error { return l.setDeadlines(t, true, false) }

// SetWriteDeadline is part of net.Conn.
func (l *link) SetWriteDeadline(t time.Time) error { return l.setDeadlines(t, false, true) }

func (l *link) setDeadlines(t time.Time, read, write bool) error {
	w := l.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	if read {
		l.readBy = t
	}
	if write {
		l.writeBy = t
	}
	l.stir()
	return nil
}

// LocalAddr is part of net.Conn.
func (l *link) LocalAddr() net.Addr { return address("client") }

// RemoteAddr is part of net.Conn.
func (l *link) RemoteAddr() net.Addr { return address(l.host.name) }

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }

// seeing is a link that can be asked what it has to say, as a socket can.
type seeing struct{ *link }

// Pending returns how much can be read without waiting, and whether the host has
// closed its side.
func (s seeing) Pending() (n int, closed bool) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return len(s.in), s.ended != nil
}
