package request

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/callsite"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Stream is a response body that its caller reads after the request has ended.
// It holds the connection; the permit was settled at the head. It ends when the
// body does, when it is closed, and when the request's context or deadline, or
// the engine ends: whichever comes first returns the connection.
type Stream struct {
	carrier *Carrier
	pool    protocol.Door // entered
	trace   trace
	ctx     context.Context
	cancel  context.CancelFunc
	unhook  func() bool
	major   uint8       // of HTTP's version
	whole   atomic.Bool // all of the body had come; set by whoever ends the stream, before onEnd is called

	turn wire.Turn     // of whoever reads body or closes it
	body io.ReadCloser // never changed; that of a 101 is written to by anybody
	err  error         // guarded by turn; final, io.EOF when the body was complete

	guard sync.Mutex    // held for a moment; may be taken inside turn
	lease *ticket.Lease // guarded: nil once returned
	why   error         // guarded: err, once the lease is returned; for who writes, and has no turn
	onEnd []func()      // guarded
}

var (
	errStreamClosed = errors.New("response body was closed")
	errNotSwitched  = errors.New("only the body of a 101 can be written to")
)

// newStream takes the lease over.
func newStream(r *slot, lease *ticket.Lease, response *messages.Response) *Stream {
	s := &Stream{carrier: r.Carrier, pool: r.pool, trace: r.trace, lease: lease, turn: wire.NewTurn(), body: response.Stream, major: response.ProtoMajor}
	s.pool.Enter() // r is inside, so it is open
	if r.needs.Plan.TraceStreams {
		lease.StreamedFrom = cmp.Or(r.askedAt, callsite.Here())
	}
	s.pool.Tell(ticket.StreamLease{Lease: lease}) // first: nobody else can end the stream yet, and return the lease
	s.ctx, s.cancel = r.own.Copy(), func() {}
	if !r.deadline.IsZero() {
		s.ctx, s.cancel = context.WithDeadline(s.ctx, r.deadline)
	}
	s.guard.Lock() // an end at once must find everything in place
	s.unhook = context.AfterFunc(s.ctx, s.abandon)
	s.guard.Unlock()
	if !s.carrier.streams.add(s) {
		go s.abandon()
	}
	return s
}

// closeStream ends the stream of an answer that the caller will not get.
func (r *slot) closeStream() {
	if r.stream != nil {
		_ = r.stream.Close() // it always returns nil
		r.stream = nil
	}
}

// keptOfRefusal is how much of the body of a streamed answer is read that the
// caller gets only if nothing better follows.
const keptOfRefusal = 64 << 10

// refusalPatience is how long that may take. Another attempt waits for it.
const refusalPatience = time.Second

// detach frees the connection of a streamed answer: its body, or the beginning of
// it, is in memory from now on. The next attempt may need that very connection.
func (r *slot) detach(response *messages.Response) {
	if r.stream == nil {
		return
	}
	stream := r.stream
	impatience := time.AfterFunc(refusalPatience, func() { _ = stream.Close() }) // it always returns nil
	body, err := io.ReadAll(io.LimitReader(stream, keptOfRefusal+1))
	if !impatience.Stop() && err != nil {
		err = errBodyDropped
	}
	r.closeStream()
	response.Stream = detached(body, err)
}

// detached is a body of which this was read before err, which is nil at the end.
func detached(body []byte, err error) io.ReadCloser {
	switch {
	case len(body) > keptOfRefusal:
		body, err = body[:keptOfRefusal], errBodyDropped
	case err == nil:
		err = io.EOF
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(body), failedReader{err}))
}

var errBodyDropped = fmt.Errorf("%w: the rest was not waited for, so that the request could be repeated", messages.ErrTruncated)

// failedReader is what follows what there is of a body.
type failedReader struct{ err error }

// Read is part of io.Reader.
func (f failedReader) Read([]byte) (int, error) { return 0, f.err }

// Read is part of io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	s.turn.Take()
	defer s.turn.Pass()
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.body.Read(p)
	if _, switched := s.body.(halfCloser); switched && err == io.EOF {
		return n, err // of one direction: the other goes on until Close
	}
	if err != nil {
		s.end(s.reason(err))
		return n, s.err
	}
	return n, nil
}

// Write is part of io.Writer, for an answer that has changed to another protocol
// (101); to any other there is nothing to be written. It may be called beside Read.
func (s *Stream) Write(p []byte) (int, error) {
	to, switched := s.body.(io.Writer)
	if !switched {
		return 0, errNotSwitched
	}
	if why := s.returned(); why != nil {
		return 0, why
	}
	n, err := to.Write(p)
	if err != nil {
		err = s.reason(err)
	}
	return n, err
}

// halfCloser is the body of a 101, whose two directions end apart.
type halfCloser interface{ CloseWrite() error }

// CloseWrite says that nothing more will be written to an answer that has changed to
// another protocol (101). What still comes can be read. It may be called beside Read.
func (s *Stream) CloseWrite() error {
	to, switched := s.body.(halfCloser)
	if !switched {
		return errNotSwitched
	}
	if why := s.returned(); why != nil {
		return why
	}
	if err := to.CloseWrite(); err != nil {
		return s.reason(err)
	}
	return nil
}

// returned is why the connection has been returned; nil while it has not.
func (s *Stream) returned() error {
	s.guard.Lock()
	defer s.guard.Unlock()
	return s.why
}

// Close ends the stream, whoever is reading. It is idempotent.
func (s *Stream) Close() error {
	if !s.turn.Try() {
		s.abort()
		s.turn.Take()
	}
	defer s.turn.Pass()
	s.end(errStreamClosed)
	return nil
}

// abandon ends the stream because nobody may wait for it any longer.
func (s *Stream) abandon() {
	s.abort()
	s.turn.Take()
	defer s.turn.Pass()
	s.end(s.reason(errStreamClosed))
}

func (s *Stream) abort() {
	s.guard.Lock()
	defer s.guard.Unlock()
	if s.lease != nil {
		s.lease.Abort()
	}
}

// reason puts the caller's own cause before the socket's view of it.
func (s *Stream) reason(err error) error {
	switch {
	case err == io.EOF:
		return err
	case s.ctx.Err() != nil:
		return messages.ContextError(s.ctx)
	case s.carrier.isClosing():
		return messages.ErrClosed
	}
	return err
}

// end returns the connection, once. It requires that the turn is taken. What it calls
// may be the caller's code, and may end this goroutine: hence the defers.
func (s *Stream) end(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	defer s.giveBack()
	s.quietly(func() { _ = s.body.Close() })
}

func (s *Stream) giveBack() {
	s.guard.Lock()
	lease, onEnd, unhook := s.lease, s.onEnd, s.unhook
	s.lease, s.onEnd, s.why = nil, nil, s.err
	s.guard.Unlock()

	unhook()
	s.cancel()
	s.carrier.streams.remove(s)
	lease.Reusable, lease.UsedAt = lease.Conn.Reusable(), s.carrier.now()
	kept := lease.Reusable
	// In HTTP/1 the connection is kept if the end of the body is here, though nobody
	// has read so far.
	s.whole.Store(s.err == io.EOF || s.major == 1 && kept)
	s.pool.Tell(ticket.ReturnLease{Lease: lease})
	s.pool.Leave()
	defer s.quietly(func() { s.trace.returned(kept) })
	for _, f := range onEnd {
		defer s.quietly(f)
	}
}

// quietly keeps a panic in the caller's code from a goroutine that is no caller's,
// which it would end together with the process.
func (s *Stream) quietly(f func()) {
	defer func() {
		if v := recover(); v != nil {
			s.carrier.needs.Logger.Error("panic at the end of a streamed answer", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// OnEnd calls f when the connection has been returned, at once if that is so.
func (s *Stream) OnEnd(f func()) {
	s.guard.Lock()
	if s.lease != nil {
		s.onEnd = append(s.onEnd, f)
		f = nil
	}
	s.guard.Unlock()
	if f != nil {
		f()
	}
}

// streams are the open ones, so that they can be ended with the system.
type streams struct {
	mu     sync.Mutex
	open   map[*Stream]struct{}
	closed bool
}

// add reports whether the stream may stay open.
func (s *streams) add(stream *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.open == nil {
		s.open = make(map[*Stream]struct{})
	}
	s.open[stream] = struct{}{}
	return true
}

func (s *streams) remove(stream *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, stream)
}

func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for stream := range s.open {
		go stream.abandon()
	}
}
