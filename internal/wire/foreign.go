package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// A connection that somebody else dialled may be anything: a socket in a wrapper,
// TLS, a channel of SSH, a pipe. What is asked of it depends on what it is known
// to tell, and what is not known is never taken for silence:
//
//	it has Pending           it says so itself
//	it is a net.Pipe         its other end is listened to
//	a socket lies under it   the socket is looked at, and then the connection read
//	it keeps deadlines       it is read for a moment, which is ended early
//	none of these            it is used once
//
// Whether it keeps deadlines is seen from what it does: see detached.

const (
	// probeWait is how long a connection is read from, at most, that nothing else can
	// be asked of. To begin with a deadline in the past would not do: net's connections,
	// and others made like them, then fail without having looked.
	probeWait = time.Millisecond
	// probeTries is how often that is tried, each time four times as long.
	probeTries = 4
	// probeTurns are the turns that a read is given to look before it is cut short,
	// and probeLooks are the reads that must find nothing.
	probeTurns, probeLooks = 10, 3
	// stirTries is how often a socket may have something of which the connection
	// above it makes nothing.
	stirTries = 3
	// pipeTries is how often a pipe is read: a read that was held up on its way met
	// nobody.
	pipeTries = 2
)

// pipeType is the type of net.Pipe's ends, which has no name outside of net.
var pipeType = func() reflect.Type {
	near, _ := net.Pipe()
	return reflect.TypeOf(near)
}()

// pending may be implemented by a connection that is not a socket, so that it
// can be asked whether anything is there to be read.
type pending interface {
	// Pending returns how many bytes Read would return without waiting, and
	// whether the peer has closed its side.
	Pending() (n int, closed bool)
}

// unseeing may be implemented by one with Pending that cannot always tell.
type unseeing interface{ Blind() bool }

// silent is the error of a probe that finds nothing. crypto/tls forgets a read
// error that says it is temporary, and remembers every other.
type silent struct{ blind bool }

func (silent) Error() string   { return "nothing to read" }
func (silent) Timeout() bool   { return true }
func (silent) Temporary() bool { return true }

var (
	errSilent net.Error = silent{}
	// errBlind is the error of a probe of what cannot be probed.
	errBlind net.Error = silent{blind: true}
)

// Blind reports whether a probe has found that the connection tells nobody
// whether it is silent. Then it may carry one exchange, which nothing came before.
func (s *Socket) Blind() bool { return s.blind }

// Foreign reports whether the connection's methods are somebody else's code.
func (s *Socket) Foreign() bool {
	switch s.Conn.(type) { // what is detached is none of these
	case *net.TCPConn, *net.UnixConn:
		return false
	}
	return true
}

// readForeign is readNow for a connection that is not ours to the socket.
func (s *Socket) readForeign(p []byte) (int, error) {
	if c, ok := s.dialled().(pending); ok {
		return s.readPending(c, p)
	}
	if reflect.TypeOf(s.Conn) == pipeType {
		return s.readPipe(p)
	}
	for range stirTries {
		switch s.glance() {
		case unknown:
			return s.readTimed(p)
		case quiet:
			// Nothing can arrive in it any more; what it holds already it gives at once.
			return s.readFor(p, 0)
		}
		if n, err := s.readTimed(p); err != errSilent {
			return n, err
		}
		// It took what the socket had and kept it to itself: TLS has such records.
	}
	return 0, messages.ErrStale
}

func (s *Socket) readPending(c pending, p []byte) (int, error) {
	n, closed := c.Pending()
	switch {
	case n > 0:
		return s.Conn.Read(p[:min(n, len(p))])
	case closed:
		return 0, io.EOF
	}
	if u, ok := c.(unseeing); ok && u.Blind() {
		return 0, errBlind
	}
	return 0, errSilent
}

// readPipe reads what the other end of a net.Pipe has to say. A pipe holds
// nothing: if there is something, that end waits in its Write, and a read meets it
// at once. To wait for a deadline would be to no purpose, and would take time in a
// test whose clock stands still.
func (s *Socket) readPipe(p []byte) (n int, err error) {
	for range pipeTries {
		begun, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			close(begun)
			n, err = s.Conn.Read(p)
		}()
		<-begun
		for range probeTurns { // for the read to get where it would meet a write
			runtime.Gosched()
		}
		_ = s.Conn.SetReadDeadline(time.Unix(1, 0)) // a pipe that is closed fails the read
		<-ended
		if n, err = s.restore(n, err); err != errSilent {
			return n, err
		}
	}
	return n, err
}

// readTimed reads for a moment. A read looks before it waits, so a timeout is the
// proof of silence, unless this goroutine was held up: then it seems to have taken
// too long, and what it looked at may be too long ago.
func (s *Socket) readTimed(p []byte) (int, error) {
	wait := probeWait
	for range probeTries {
		began := time.Now()
		n, err := s.readFor(p, wait)
		if err != errSilent || time.Since(began) < 2*probeLooks*wait {
			return n, err
		}
		wait *= 4
	}
	return 0, messages.ErrStale
}

// readFor reads for a time of its own, with zero without waiting.
func (s *Socket) readFor(p []byte, wait time.Duration) (int, error) {
	if s.detached != nil {
		n, err := s.detached.probe(p, wait)
		if err == errBlind {
			return n, err
		}
		return s.restore(n, err)
	}
	n, err := readTried(s.Conn, p, wait)
	if err == errBlind {
		return n, err
	}
	return s.restore(n, err)
}

// readTried reads for a time of its own. To wait until that has passed would be to no
// purpose: a read looks before it waits, and is cut short once it has had turns enough
// to get there. One that was held up on its way has seen nothing, which would look like
// silence: hence it is done several times, and with more time if there was none left.
// A connection that heeds a deadline only as a read begins waits for it each time.
func readTried(c net.Conn, p []byte, wait time.Duration) (n int, err error) {
	looks := 0
	for range probeTries + 2*probeLooks {
		if c.SetReadDeadline(soon(wait)) != nil {
			return 0, errBlind // a read might wait for ever
		}
		began, cut := time.Now(), cutShort(c, wait)
		n, err = c.Read(p)
		short, panicked := cut.returned()
		switch {
		case panicked != nil:
			return n, panicked
		case n == 0 && err == nil: // it has not said whether it looked (io.Reader allows that)
			continue
		case n > 0, !timedOut(err), wait <= 0:
			return n, err
		case !short && time.Since(began) < wait/2:
			wait *= 4
			continue
		}
		if looks++; looks == probeLooks {
			return n, err
		}
	}
	if err == nil {
		return 0, nil
	}
	return 0, messages.ErrStale
}

// cut ends a read before its time, unless that returns first.
type cut struct {
	decided atomic.Bool // by whoever comes first
	ended   chan error  // capacity 1: what a panic in ending it comes to
}

// cutShort has a read that is about to begin end after some turns.
func cutShort(c net.Conn, wait time.Duration) *cut {
	k := &cut{ended: make(chan error, 1)}
	if wait <= 0 { // it has no time
		return k
	}
	late := time.Now().Add(wait) // then it ends by itself
	go func() {
		for range probeTurns {
			if runtime.Gosched(); k.decided.Load() || !time.Now().Before(late) {
				return
			}
		}
		if k.decided.CompareAndSwap(false, true) {
			k.ended <- Apart(messages.Exchanging, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
		}
	}()
	return k
}

// returned is called when the read has returned. It reports whether that was cut short,
// and then nobody sets its deadline any more.
func (k *cut) returned() (short bool, panicked error) {
	if k.decided.CompareAndSwap(false, true) {
		return false, nil
	}
	return true, <-k.ended
}

// soon is the deadline of a read that waits so long. One without any has one far in
// the past.
func soon(wait time.Duration) time.Time {
	if wait == 0 {
		return time.Unix(1, 0)
	}
	return time.Now().Add(wait)
}

// restore puts the exchange's deadline back, and says what a read has found.
func (s *Socket) restore(n int, err error) (int, error) {
	if back := s.Conn.SetReadDeadline(s.deadline); back != nil {
		return n, back
	}
	// The deadline put back may have overwritten that of an abort.
	if aborted := s.live(); aborted != nil {
		return n, aborted
	}
	switch {
	case n > 0:
		return n, nil
	case err == nil: // not a word about whether there is more
		return 0, io.ErrNoProgress
	case timedOut(err):
		return 0, errSilent
	}
	return 0, err
}

// timedOut reports whether a read ended for the time that it was given.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// glimpse is what a look at the socket under a connection finds.
type glimpse uint8

const (
	unknown glimpse = iota // there is none, or it cannot be looked at
	quiet
	stirring // bytes, or the end
)
