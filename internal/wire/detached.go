package wire

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// detached is a connection of a type that nobody here knows. Its methods may keep
// no deadline, whatever they say, and need not return, Close included: each call
// runs on a goroutine of its own, with memory of its own, and whoever waits for it
// leaves at the deadline. Deadlines are kept here; the connection is told of one
// only by a probe, whose proof it is that it keeps it.
//
// What is left behind ends with the connection's Close, if that ends it.
type detached struct {
	net.Conn // as dialled

	reads, writes half
	timeless      bool // it refuses deadlines; guarded by reads.turn
	closing       sync.Once
	closed        chan struct{} // closed by Close: nobody waits any longer
}

// Detached returns a connection that keeps its deadlines and whose Close returns,
// whatever c does. What is known to do so by itself it returns as it is.
func Detached(c net.Conn) net.Conn {
	if keepsTime(c) {
		return c
	}
	d := &detached{Conn: c, closed: make(chan struct{})}
	d.writes.untold = 1
	for _, h := range []*half{&d.reads, &d.writes} {
		h.turn, h.done = NewTurn(), make(chan transfer, 1)
		h.limit.passed = make(chan struct{})
	}
	return d
}

// keepsTime reports whether a connection's type is known to keep deadlines.
func keepsTime(c net.Conn) bool {
	for range 8 { // deeper than any; one that lies upon itself has no end
		switch known := c.(type) {
		case *net.TCPConn, *net.UnixConn, *detached:
			return true
		case *tls.Conn:
			c = known.NetConn()
		case nil:
			return true // who uses it learns that it is none
		case interface{ Upon() *Socket }: // this project's own: nobody else can name a Socket
			return true
		default:
			return reflect.TypeOf(c) == pipeType
		}
	}
	return false
}

// half is one direction of a detached connection.
type half struct {
	limit  timeLimit
	done   chan transfer // capacity 1, so that a call nobody waits for can end
	untold int           // what a call counts for that does not say what it has done; never changed

	turn    Turn   // of whoever reads, or writes, for as long as that waits
	running bool   // a call was begun, and its end not yet taken from done; guarded by turn
	looking bool   // that call is a probe's; guarded by turn
	buffer  []byte // the running call's alone; guarded by turn when none runs
	left    []byte // of buffer, read and not yet handed on; guarded by turn
	empty   int    // reads in a row that have brought neither bytes nor an error; guarded by turn
	broken  error  // why there is no further call; guarded by turn
}

// transfer is what a call comes to.
type transfer struct {
	n   int
	err error
}

// mostTransferred bounds the memory of one call.
const mostTransferred = 32 << 10

// room returns memory for a call. It requires that the turn is taken and none runs.
func (h *half) room(n int) []byte {
	n = min(n, mostTransferred)
	if cap(h.buffer) < n {
		h.buffer = make([]byte, max(n, readBuffer))
	}
	return h.buffer[:n]
}

// rest lets go of memory that an idle connection does not need. It requires that the
// turn is taken and no call runs.
func (h *half) rest() {
	if len(h.left) == 0 && cap(h.buffer) > readBuffer {
		h.buffer, h.left = nil, nil
	}
}

// errMiscounted is the error of a connection that says it has read or written what
// cannot be.
var errMiscounted = errors.New("connection: its call returned an impossible count")

// begin makes a call on p, which may panic, end its goroutine or count what cannot be:
// then it has not said what it has done. It requires that the turn is taken and none runs.
func (h *half) begin(p []byte, call func([]byte) (int, error)) {
	h.running = true
	go func() {
		var t transfer
		returned := false
		defer func() {
			if !returned {
				t = transfer{h.untold, Panicked(messages.Exchanging, recover())}
			}
			h.done <- t
		}()
		t.n, t.err = call(p)
		if t.n < 0 || t.n > len(p) {
			t = transfer{h.untold, errMiscounted}
		}
		returned = true
	}()
}

// errNotReturned is the error of waiting for a call that has not returned in time.
var errNotReturned = fmt.Errorf("connection: its call did not return: %w", os.ErrDeadlineExceeded)

// await waits for the running call. It requires that the turn is taken.
func (h *half) await(closed <-chan struct{}, late <-chan struct{}, alarm <-chan time.Time) (n int, err error) {
	select {
	case <-late: // first, as with net: a deadline that has passed counts, whatever has come
		return 0, errNotReturned
	case t := <-h.done: // before the alarm, which may have rung long ago
		h.running = false
		return t.n, t.err
	default:
	}
	select {
	case t := <-h.done:
		h.running = false
		return t.n, t.err
	case <-late:
	case <-alarm:
	case <-closed:
		return 0, net.ErrClosed
	}
	return 0, errNotReturned
}

// Read is part of net.Conn. What nobody waited for to its end is the next to be
// read.
func (d *detached) Read(p []byte) (int, error) {
	h := &d.reads
	h.turn.Take()
	defer h.turn.Pass()
	for {
		switch {
		case len(h.left) > 0:
			n := copy(p, h.left)
			h.left = h.left[n:]
			h.rest()
			return n, nil
		case h.broken != nil:
			return 0, h.broken
		case h.limit.isOver():
			return 0, os.ErrDeadlineExceeded // net reads nothing then either
		case !h.running:
			h.looking = false
			h.begin(h.room(len(p)), d.Conn.Read)
		}
		n, err := h.await(d.closed, h.limit.over(), nil)
		if h.running && err == errNotReturned {
			n, err = d.interrupt()
		}
		switch {
		case h.running:
			return 0, err
		case h.looking && n == 0 && (err == messages.ErrStale || isTimeout(err, time.Time{})):
			continue // what a probe makes of silence comes late, and is nothing to this read
		case n > 0 || err != nil || len(p) == 0:
			h.empty = 0
		default:
			if h.empty++; h.empty >= mostEmpty {
				return 0, io.ErrNoProgress // crypto/tls would ask for ever
			}
		}
		return d.taken(p, n, err), err
	}
}

// mostEmpty is how many reads in a row may bring neither bytes nor an error, as in bufio.
const mostEmpty = 100

// interruptGrace is how long a read may take to return once it is to end.
const interruptGrace = 5 * time.Millisecond

// interrupt has the running read end, if the connection keeps deadlines: it may have
// what it read in hand. Another read does not follow.
func (d *detached) interrupt() (int, error) {
	go func() {
		_ = Guard(messages.Exchanging, func() { _ = d.Conn.SetReadDeadline(time.Unix(1, 0)) })
	}()
	timer := time.NewTimer(interruptGrace)
	defer timer.Stop()
	return d.reads.await(d.closed, nil, timer.C)
}

// taken hands on what a call has read. Its error is final if it is one of the
// caller's code, which must not be called again.
func (d *detached) taken(p []byte, n int, err error) int {
	h := &d.reads
	if isPanic(err) {
		h.broken = err
	}
	h.left = h.buffer[:n]
	n = copy(p, h.left)
	h.left = h.left[n:]
	h.rest()
	return n
}

// probeGrace is how long a probe may take to return beyond its deadline. One that
// takes longer proves nothing, and the connection is used once. A machine may be
// busy: a connection that keeps deadlines should not be taken for one that does not.
const probeGrace = 100 * time.Millisecond

// probe reads for as long as wait, and not at all if that is zero, but for what the
// connection has already. It is errBlind if the connection cannot say. One that
// refuses deadlines is read without: half a TLS record behind a handshake, say, has
// to be read to its end.
func (d *detached) probe(p []byte, wait time.Duration) (n int, err error) {
	h := &d.reads
	h.turn.Take()
	defer h.turn.Pass()
	switch {
	case len(h.left) > 0:
		n = copy(p, h.left)
		h.left = h.left[n:]
		h.rest()
		return n, nil
	case h.broken != nil:
		return 0, h.broken
	}
	if !h.running && !d.timeless {
		h.looking = true
		h.begin(h.room(len(p)), func(p []byte) (int, error) { return look(d.Conn, p, wait) })
		if n, err = d.await(wait + probeGrace); h.running || err != errBlind {
			return d.probed(p, n, err)
		}
		d.timeless = true
	}
	grace := time.Duration(0) // for a read that goes on from a probe before
	if !h.running {
		h.looking, grace = false, probeWait
		h.begin(h.room(len(p)), d.Conn.Read)
	}
	n, err = d.await(grace)
	return d.probed(p, n, err)
}

// await waits for a probe's call.
func (d *detached) await(grace time.Duration) (int, error) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	return d.reads.await(d.closed, d.reads.limit.over(), timer.C)
}

// probed says what a probe's call has come to. One that has not ended goes on, and
// what it comes to is the next to be read.
func (d *detached) probed(p []byte, n int, err error) (int, error) {
	if d.reads.running && err == errNotReturned {
		return 0, errBlind
	}
	return d.taken(p, n, err), err
}

// look reads from a connection for a moment.
func look(c net.Conn, p []byte, wait time.Duration) (int, error) {
	n, err := readTried(c, p, wait)
	if err == errBlind {
		return n, err
	}
	if back := c.SetReadDeadline(time.Time{}); back != nil {
		return n, back
	}
	return n, err
}

// Write is part of net.Conn. Of a call that has not returned, or has not said what
// became of it, nobody knows how much it has written: it counts for one byte. One that
// has not written all is the last.
func (d *detached) Write(p []byte) (written int, err error) {
	h := &d.writes
	h.turn.Take()
	defer h.turn.Pass()
	defer func() {
		if !h.running {
			h.rest()
		}
	}()
	for written < len(p) {
		switch {
		case h.broken != nil:
			return written, h.broken
		case h.limit.isOver():
			return written, os.ErrDeadlineExceeded
		}
		piece := h.room(len(p) - written)
		copy(piece, p[written:])
		h.begin(piece, d.write)
		n, err := h.await(d.closed, h.limit.over(), nil)
		if h.running {
			h.broken = err
			return written + h.untold, err
		}
		written += n
		if err != nil {
			h.broken = err
			return written, err
		}
	}
	return written, nil
}

// closeWrite calls the connection's own CloseWrite, which is bound as a write is. What is written
// behind one that did not return, or failed, is not.
func (d *detached) closeWrite(c interface{ CloseWrite() error }) error {
	h := &d.writes
	h.turn.Take()
	defer h.turn.Pass()
	switch {
	case h.broken != nil:
		return h.broken
	case h.limit.isOver():
		return os.ErrDeadlineExceeded
	}
	h.begin(nil, func([]byte) (int, error) { return 0, c.CloseWrite() })
	_, err := h.await(d.closed, h.limit.over(), nil)
	if err != nil {
		h.broken = err
	}
	return err
}

// write is a call of the connection's own Write, on the goroutine of that call.
//
// Zero is a count that has to be believed: a connection that was closed while it was
// idle would otherwise cost every request that met it. But who gives up waiting for its
// own peer, or fails behind the write, says zero too, with any error. So it is believed
// beside an error that by itself means that there was nothing left to write to, but not
// of TLS: that counts records, and none that met an error, though it may have left.
func (d *detached) write(p []byte) (int, error) {
	n, err := d.Conn.Write(p)
	if err == nil && 0 <= n && n < len(p) {
		err = io.ErrShortWrite
	}
	if _, sealed := d.Conn.(*tls.Conn); n == 0 && (sealed || !meansClosed(err)) {
		n = d.writes.untold
	}
	return n, err
}

// meansClosed reports whether an error of Write means that the connection was closed
// or reset before. One that stands for a panic means nothing, whatever that was with;
// nor does io.EOF, which is no error of a Write.
func meansClosed(err error) bool {
	return !isPanic(err) && (isReset(err) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe))
}

// closeGrace is how long Close waits for the connection's own.
const closeGrace = 100 * time.Millisecond

// Close is part of net.Conn. Whoever reads or writes hears of it at once.
func (d *detached) Close() error {
	ended := make(chan error, 1)
	first := false
	d.closing.Do(func() {
		first = true
		close(d.closed)
		go func() {
			var err error
			panicked := Apart(messages.Exchanging, func() { err = d.Conn.Close() })
			ended <- cmp.Or(panicked, err)
		}()
	})
	if !first {
		return net.ErrClosed
	}
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		return errNotReturned
	}
}

// SetDeadline is part of net.Conn.
func (d *detached) SetDeadline(t time.Time) error {
	d.reads.limit.set(t)
	d.writes.limit.set(t)
	return nil
}

// SetReadDeadline is part of net.Conn.
func (d *detached) SetReadDeadline(t time.Time) error {
	d.reads.limit.set(t)
	return nil
}

// SetWriteDeadline is part of net.Conn.
func (d *detached) SetWriteDeadline(t time.Time) error {
	d.writes.limit.set(t)
	return nil
}

// timeLimit is a deadline that any goroutine may move while others wait for it.
type timeLimit struct {
	mu     sync.Mutex
	timer  *time.Timer   // guarded by mu; nil if none is to ring
	passed chan struct{} // closed at the deadline; another takes its place when that is moved; guarded by mu
}

// set moves the deadline, with zero to never.
func (l *timeLimit) set(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil && !l.timer.Stop() {
		<-l.passed // it has rung, and is about to say so
	}
	l.timer = nil
	wait := time.Until(t)
	switch past := l.isClosed(); {
	case t.IsZero() || wait > 0:
		if past {
			l.passed = make(chan struct{})
		}
		if passed := l.passed; !t.IsZero() {
			l.timer = time.AfterFunc(wait, func() { close(passed) })
		}
	case !past:
		close(l.passed)
	}
}

// over is closed at the deadline as it is now.
func (l *timeLimit) over() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passed
}

func (l *timeLimit) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isClosed()
}

// isClosed requires that mu is held.
func (l *timeLimit) isClosed() bool {
	select {
	case <-l.passed:
		return true
	default:
		return false
	}
}
