package wire

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

const (
	// ContinueWait is how long a request body waits for 100 Continue before it
	// is sent without (RFC 9110, section 10.1.1, leaves the time open).
	ContinueWait = time.Second
	// uploadWait is how long a complete response waits for the request body's
	// end to be noted, before the connection is given up.
	uploadWait = 50 * time.Millisecond
)

// upload sends what is left of a request beside the reading of its answer, on a
// goroutine of its own: a server may answer before it has read everything, or
// nothing, and stop reading (RFC 9112, section 9.5). That is a body that is read
// while it is sent, what a socket did not take at once, and a large body in memory
// that cannot be offered to a socket.
//
//	waiting ── start ──▶ running ──▶ ended
//	   └────── forgo ─────────────────▲
//
// All methods may be called on nil, which is a request without such a body.
type upload struct {
	socket  *Socket
	to      io.Writer   // the socket's stream, or the socket itself for bytes that are sealed already
	ahead   []byte      // sent before the body, from memory of this package's
	body    io.Reader   // nil if there is no more than that
	length  int64       // negative: unknown, sent in chunks
	await   bool        // 100 Continue
	trailer http.Header // the caller's; run reads it when the body has ended
	trace   *httptrace.ClientTrace
	timer   *time.Timer // set and stopped by the Conn's owner; it calls start

	// mu guards the next five: the Conn's owner, the timer and run change state;
	// run sets err, failed and whole, and the owner reads them.
	mu       sync.Mutex
	state    uploadState
	err      error // why the body could not be read
	failed   error // why it could not be written, if that came before the answer's head
	whole    bool  // every byte was sent
	answered bool  // the final head is there; set by the owner
	// done is closed by whoever takes state from waiting to ended, or by run; the
	// owner waits for it in over.
	done chan struct{}
}

type uploadState uint8

const (
	uploadWaiting uploadState = iota
	uploadRunning
	uploadEnded
)

// newUpload returns nil for a request that is written before its answer is read.
func newUpload(s *Socket, call *messages.Call) *upload {
	body, length := call.Reader, call.Length
	if body == nil {
		if !s.detach(call.Body) {
			return nil
		}
		body, length = NewLent(s.body), int64(len(s.body))
		s.body = nil
	}
	return &upload{
		socket: s, to: s.stream(), body: body, length: length, await: call.Reader != nil && call.Continue,
		trailer: call.Trailer, trace: call.Trace, done: make(chan struct{}),
	}
}

// newBacklog returns an upload of what a socket did not take at once.
func newBacklog(s *Socket, left backlog, trace *httptrace.ClientTrace) *upload {
	u := &upload{socket: s, to: s, ahead: left.kept, trace: trace, done: make(chan struct{})}
	if len(left.lent) > 0 {
		u.body, u.length = NewLent(left.lent), int64(len(left.lent))
	}
	return u
}

const (
	// promptBody is the size up to which a body is sealed at once and offered to a
	// socket of ours: what that does not take is a backlog.
	promptBody = 64 << 10
	// foreignBody is the size up to which a body is written to another connection,
	// which cannot be offered anything without waiting. Any buffer of a kernel's takes
	// as much.
	foreignBody = 4 << 10
)

// detach makes s.body what an upload is to send, and reports whether there is
// such a thing.
func (s *Socket) detach(body []byte) bool {
	limit := foreignBody
	switch {
	case s.prompt() && s.sealed == nil:
		return false // whatever it does not take is sent from where it is
	case s.prompt():
		limit = promptBody
	}
	if len(body) <= limit {
		return false
	}
	if s.body == nil { // it stands behind the head
		s.out, s.body = s.out[:len(s.out)-len(body)], body
	}
	return true
}

// Lent is a body in the caller's memory, which is not read any more once it is
// closed.
type Lent struct {
	mu   sync.Mutex
	left []byte // guarded by mu: who sends it reads it, the exchange's owner empties it
}

// NewLent returns a Lent that is still open.
func NewLent(body []byte) *Lent { return &Lent{left: body} }

// Read is part of io.Reader.
func (l *Lent) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := copy(p, l.left)
	l.left = l.left[n:]
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// pass has write take a part of what is left, and reports whether there is more.
// write must not wait, for Close does.
func (l *Lent) pass(write func([]byte) (int, error)) (more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := write(l.left[:min(len(l.left), mostPassed)])
	l.left = l.left[n:]
	return len(l.left) > 0, err
}

// mostPassed bounds how long Close waits.
const mostPassed = 4 << 20

// Close is part of io.Closer.
func (l *Lent) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = nil
	return nil
}

// headSent starts the body, at once or when the server had time to object.
func (u *upload) headSent() {
	switch {
	case u == nil:
	case u.await:
		if u.trace != nil && u.trace.Wait100Continue != nil {
			u.trace.Wait100Continue()
		}
		// From here on start may come from three sides; the first one counts.
		u.timer = time.AfterFunc(ContinueWait, u.start)
	default:
		u.start()
	}
}

// start sends the body unless that was decided before.
func (u *upload) start() {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state == uploadWaiting {
		u.state = uploadRunning
		go u.run()
	}
}

// forgo decides that a body which waits is not sent at all.
func (u *upload) forgo() {
	if u == nil {
		return
	}
	if u.timer != nil {
		u.timer.Stop() // if it is too late for that, state decides
	}
	u.mu.Lock()
	forgone := u.state == uploadWaiting
	if forgone {
		u.state = uploadEnded
		close(u.done)
	}
	u.mu.Unlock()
	if forgone && u.timer != nil { // the head was sent: what was to be written has been
		wrote(u.trace, nil)
	}
}

// headCame notes the final head: a body that still waits is not sent, and the rest of the answer
// has the whole time of the exchange, whether or not the body could be written.
func (u *upload) headCame() {
	if u == nil {
		return
	}
	u.forgo()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answered = true
	if u.failed != nil {
		u.socket.setReadDeadline(u.socket.deadline)
	}
}

// failure is why the body could not be written, if nothing of the answer had come by then.
func (u *upload) failure() error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failed
}

// over reports whether the whole body was sent, and waits a moment for a last
// write to return.
func (u *upload) over() bool {
	if u == nil {
		return true
	}
	// A server that has answered has read the body: run is about to note that its
	// last write returned. If it has not, the body is still on its way.
	timer := time.NewTimer(uploadWait)
	defer timer.Stop()
	select {
	case <-u.done:
	case <-timer.C:
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.whole
}

// stop makes the goroutine end at its next step. A reader that blocks keeps
// it; one that can be closed is.
func (u *upload) stop() {
	if u == nil {
		return
	}
	u.forgo() // a body that still waits never runs
	u.mu.Lock()
	running := u.state == uploadRunning
	u.state = uploadEnded
	u.mu.Unlock()
	// Outside the lock: Close is the caller's code, and may wait for a Read that
	// asks for the state.
	if closer, ok := u.body.(io.Closer); ok && running {
		_ = closer.Close() // it was given to be read to its end, and cannot
	}
}

func (u *upload) stopped() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state == uploadEnded
}

// cause is the error of the body itself, which explains that of the exchange.
func (u *upload) cause() error {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *upload) run() {
	var readErr, writeErr error
	returned := false
	defer func() { // also after a panic, and after runtime.Goexit in the caller's reader
		if !returned {
			readErr = fmt.Errorf("request body: %w", Panicked(messages.Exchanging, recover()))
		}
		u.note(readErr, writeErr)
	}()
	readErr, writeErr = u.copy()
	returned = true
}

// note says how the body has ended, to the trace and to the exchange's owner.
func (u *upload) note(readErr, writeErr error) {
	if u.trace != nil && u.trace.WroteRequest != nil {
		tell := func() { wrote(u.trace, cmp.Or(readErr, writeErr)) }
		readErr = cmp.Or(readErr, Apart(messages.Exchanging, tell)) // a hook that panics ends this request alone
	}
	if isPanic(writeErr) {
		readErr = cmp.Or(readErr, writeErr) // the caller's connection: no answer is worth waiting for
	}
	u.mu.Lock()
	live := u.state == uploadRunning
	u.state = uploadEnded
	u.whole = readErr == nil && writeErr == nil
	if live { // otherwise stop came first, and readErr only says so
		u.err = readErr
	}
	if live && readErr == nil && writeErr != nil && !u.answered {
		u.failed = writeErr
		u.socket.hurry()
	}
	u.mu.Unlock()
	close(u.done)
	if live && readErr != nil {
		u.socket.abort() // the server waits for what will never come
	}
}

var uploadBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copy tells the body's errors from the connection's: after the latter the
// server may have answered all the same.
func (u *upload) copy() (readErr, writeErr error) {
	if len(u.ahead) > 0 {
		if _, err := u.to.Write(u.ahead); err != nil || u.body == nil {
			return nil, err
		}
	}
	if lent, ok := u.body.(*Lent); ok && u.socket.prompt() && u.socket.sealed == nil {
		err := u.socket.writeLent(lent)
		if u.stopped() {
			return errUploadStopped, nil
		}
		return nil, err
	}
	return u.copyThrough()
}

// copyThrough reads the body into memory of this package's, and sends it from there.
func (u *upload) copyThrough() (readErr, writeErr error) {
	buffer := uploadBuffers.Get().(*[32 << 10]byte)
	defer uploadBuffers.Put(buffer)
	var sent int64
	for {
		room := buffer[chunkFront : len(buffer)-chunkBack]
		if u.length >= 0 { // one byte too many says as much as all of them
			room = room[:min(int64(len(room))-1, u.length-sent)+1]
		}
		n, err := u.body.Read(room)
		// Asked after the read, which may have taken long: nothing is written behind
		// the end of the exchange.
		if n > 0 && !u.stopped() {
			sent += int64(n)
			if u.length >= 0 && sent > u.length {
				return ErrBodyLength, nil // the server would take these bytes for another request
			}
			if _, err := u.to.Write(u.framed(buffer[:], n)); err != nil {
				return nil, err
			}
		}
		switch {
		case u.stopped():
			return errUploadStopped, nil
		case err == io.EOF:
			return u.last(sent)
		case err != nil:
			return &BodyError{err}, nil
		}
	}
}

// Room around a chunk: up to four digits and CR LF before it, CR LF behind.
const chunkFront, chunkBack = 6, 2

// framed returns the n bytes of body in the buffer, as a chunk if need be.
func (u *upload) framed(buffer []byte, n int) []byte {
	end := chunkFront + n
	if u.length >= 0 {
		return buffer[chunkFront:end]
	}
	var line [chunkFront]byte
	size := append(strconv.AppendInt(line[:0], int64(n), 16), "\r\n"...)
	copy(buffer[chunkFront-len(size):], size) // so that it ends where the data begins
	copy(buffer[end:], "\r\n")
	return buffer[chunkFront-len(size) : end+chunkBack]
}

func (u *upload) last(sent int64) (readErr, writeErr error) {
	switch {
	case u.length < 0:
		end := []byte("0\r\n")
		if end, readErr = appendTrailer(end, u.trailer); readErr == nil {
			_, writeErr = u.to.Write(append(end, "\r\n"...))
		}
	case sent < u.length:
		readErr = ErrBodyLength
	}
	return readErr, writeErr
}

// ErrBodyLength is the error of a request body that is shorter or longer than it
// said.
var ErrBodyLength = fmt.Errorf("%w: its body is not as long as it said", messages.ErrInvalidRequest)

var errUploadStopped = errors.New("the exchange ended before its request body")
