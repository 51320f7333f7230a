package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"runtime"
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
//	it keeps deadlines       it is read for probeWait
//	none of these            it is used once
//
// One that told, and tells nothing any more, has been used for the last time. So has one whose own
// code takes long to look: nobody can tell that from a goroutine that was held up.
//
// Whether it keeps deadlines is seen from what it does: see detached.

const (
	// probeWait is how long a connection is read from that nothing else can be
	// asked of. A deadline in the past would not do: net's connections, and others
	// made like them, then fail without having looked.
	probeWait = time.Millisecond
	// promptly is how long a read takes at most that does nothing but look. One that
	// sleeps takes longer, however short it means to, and mostly a millisecond: hence
	// slowProbeWait.
	promptly      = 5 * time.Microsecond
	slowProbeWait = 3 * time.Millisecond
	// longestLook is how long it may take at the least that is believed at all.
	longestLook = 2 * time.Millisecond
	// probeTries is how often a read is tried, four times as long behind one that proved
	// nothing, and longestProbe bounds what a connection's own code is believed to take.
	probeTries   = 4
	longestProbe = 16 * time.Millisecond
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
// whether it is silent. Then it may carry one exchange, if none came before.
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
	said, err := s.askPending(c)
	switch {
	case err != nil:
		return 0, err
	case said.n > 0:
		return s.Conn.Read(p[:min(said.n, len(p))])
	case said.closed:
		return 0, io.EOF
	case said.blind:
		return 0, errBlind
	}
	return 0, errSilent
}

// said is what a connection with Pending has said.
type said struct {
	n             int
	closed, blind bool
}

// askPending asks a connection what it has. Somebody else's need not return: it is asked on a
// goroutine of its own, and one that takes its time has not said that it is silent.
func (s *Socket) askPending(c pending) (said, error) {
	ask := func() (told said) {
		told.n, told.closed = c.Pending()
		if u, ok := c.(unseeing); ok && told.n <= 0 && !told.closed {
			told.blind = u.Blind()
		}
		return told
	}
	if s.detached == nil {
		return ask(), nil
	}
	type answer struct {
		said
		err error
	}
	asked := make(chan answer, 1)
	go func() {
		var a answer
		a.err = Apart(messages.Exchanging, func() { a.said = ask() })
		asked <- a
	}()
	timer := time.NewTimer(probeGrace)
	defer timer.Stop()
	select {
	case a := <-asked:
		return a.said, a.err
	case <-timer.C:
		return said{}, errBlind
	}
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
		for range 10 { // turns for the read to get where it would meet a write
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

// readTimed reads for a moment. A read tries before it waits, so a timeout is the
// proof of silence, unless this goroutine was held up, or the connection's own code
// took its time: then the moment may have been over before anything looked. How long
// such code takes is seen by reads that are given no time; the moment is a few times as
// long, and one that seems to have lasted too long proves nothing. One that lasted somewhat too
// long, as any does whose timer is late, proves something only together with another, and so does
// any of code that is not prompt: it may have been held up for most of the moment.
func (s *Socket) readTimed(p []byte) (int, error) {
	doubtful, factor := 0, time.Duration(1)
	for range probeTries {
		least, took, n, err := s.readPromptly(p)
		if err != errSilent {
			return n, err
		}
		wait := probeWait
		switch {
		case least > longestLook:
			return 0, errBlind
		case took > promptly:
			wait = max(slowProbeWait, 4*took)
		}
		wait *= factor
		began := time.Now()
		n, err = s.readFor(p, wait)
		if err == io.ErrNoProgress { // it may do so now and then
			began = time.Now()
			n, err = s.readFor(p, wait)
		}
		switch lasted := time.Since(began); {
		case err != errSilent, took <= promptly && lasted < wait+wait/4:
			return n, err
		case lasted < 2*wait:
			if doubtful++; doubtful > 1 {
				return n, err
			}
		default:
			factor *= 4
		}
	}
	return 0, messages.ErrStale
}

// readPromptly reads without any time, and returns how long the connection's own code takes for
// that, at least and at most. Code that is not prompt is asked a few times, and the longest is what a
// read must allow for: a machine that holds up one of these reads will hold up the next. A read that
// returns neither bytes nor an error has said nothing.
func (s *Socket) readPromptly(p []byte) (least, most time.Duration, n int, err error) {
	least = longestProbe
	for range probeTries {
		began := time.Now()
		n, err = s.readFor(p, 0)
		if err != errSilent && err != io.ErrNoProgress {
			return least, most, n, err
		}
		once := time.Since(began)
		least, most = min(least, once), min(max(most, once), longestProbe)
		if err == errSilent && once <= promptly {
			break
		}
	}
	return least, most, 0, errSilent
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

// readTried reads for a time of its own, which is expected to pass. A goroutine that
// is held up until it has passed reads nothing, and that would look like silence:
// then it is tried again, for longer.
func readTried(c net.Conn, p []byte, wait time.Duration) (n int, err error) {
	for range probeTries {
		if c.SetReadDeadline(soon(wait)) != nil {
			return 0, errBlind // a read might wait for ever
		}
		began := time.Now()
		n, err = c.Read(p)
		if n > 0 || !timedOut(err) || time.Since(began) >= wait/2 {
			return n, err // it has waited, and so it has looked before
		}
		wait *= 4
	}
	return 0, messages.ErrStale
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
