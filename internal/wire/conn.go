package wire

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// keptRequest is the size up to which a Conn keeps its request buffer.
const keptRequest = 64 << 10

// Conn is one HTTP/1.1 client connection. It belongs to one goroutine at a time;
// Abort alone may be called by others.
type Conn struct {
	socket   *Socket
	source   source
	payload  payload              // the body of the last response
	tls      *tls.ConnectionState // nil for plain http
	via      *relay               // nil unless a proxy passes the requests on
	limits   Limits
	reader   *bufio.Reader // narrow, or a wide one while a large head is read
	narrow   *bufio.Reader
	head     head               // of the running exchange's answer; here, so as to need no room on a stack
	answer   *messages.Response // of the running exchange, from its head on
	room     []byte             // behind its head, for a small body; nil without
	reusable bool
	loose    bool // an answer was read loosely: never taken back, and there is no further exchange
	keepAlive
}

var (
	_ protocol.Connection = (*Conn)(nil)
	_ protocol.IdleHinter = (*Conn)(nil)
	_ protocol.Departing  = (*Conn)(nil)
)

// NewConn returns a Conn that speaks HTTP/1.1 over s and owns s from now on. If s
// is sealed, the handshake is done.
func NewConn(s *Socket, l Limits) *Conn {
	c := &Conn{socket: s, limits: l.WithDefaults(), reusable: true, keepAlive: keepAlive{left: -1}}
	c.source.socket = s
	s.rest() // what a handshake has written is no exchange's
	c.narrow = bufio.NewReaderSize(&c.source, readBuffer)
	c.reader = c.narrow
	if s.sealed != nil {
		state := s.sealed.ConnectionState()
		c.tls = &state
		if state.Version >= tls.VersionTLS13 { // which has done away with it
			s.mayRenegotiate(false)
		}
	}
	return c
}

// Exchange writes the request and reads the response: StatusCode, Header, Body, the protocol's
// version, SentAt and AnsweredAt, the instants before the first byte was written and after the
// last was read, and of Timing FirstByte and Body, which lie between them. The rest is the
// caller's to fill in. A deadline of zero means none. The response owns its memory; call is not
// kept.
//
// With Call.Stream the exchange goes on behind the head: the response has a
// Stream instead of a Body, which belongs to the Conn's owner. Nothing else may
// be done with the Conn, Abort apart, before the Stream ended or was closed.
//
// Sent is exact. SentNo: the connection took not one byte, so the request may be
// repeated whatever it is. SentMaybe: it took some, and no final response head
// was read. SentYes: a final response head was read. If the body then failed, there
// is an error and the response beside it: status, header and the instants are
// those of the head, Body is what came of it and decoded, and may end anywhere.
//
// Errors, all to be found with errors.Is or errors.As:
//
//	*CallError                     the request cannot be sent; the Conn is as before
//	messages.ErrStale              not silent before use, or used up (SentNo)
//	messages.ErrTruncated          the server closed before the response was complete:
//	                               io.EOF if nothing of it came, else io.ErrUnexpectedEOF
//	messages.ErrPeerClosed         the server closed or reset the connection; beside another
//	messages.ErrMalformedResponse  framing that is invalid or can be read in two ways
//	messages.ErrHeaderTooLarge     over Limits.Header
//	messages.ErrBodyTooLarge       over Limits.Body
//	*messages.PanicError           code of the caller's panicked: a hook, the body, the net.Conn
//	context.DeadlineExceeded       the deadline passed
//	ErrAborted                     Abort was called
//	net.Error and the like         the network failed
//
// No text of theirs holds a part of the request or of the response, the name of
// a refused header line apart.
func (c *Conn) Exchange(call *messages.Call, deadline time.Time) (resp *messages.Response, sent messages.Sent, err error) {
	returned := false
	defer c.contain(&returned, &resp, &sent, &err)
	resp, sent, err = c.exchange(call, deadline)
	returned = true
	return resp, sent, err
}

func (c *Conn) exchange(call *messages.Call, deadline time.Time) (*messages.Response, messages.Sent, error) {
	sentAt := time.Now()
	if !deadline.IsZero() && !sentAt.Before(deadline) {
		return nil, messages.SentNo, ErrDeadline // the Conn is as before
	}
	if err := c.begin(call, deadline); err != nil {
		c.end()
		return nil, messages.SentNo, err
	}
	return c.outcome(c.receive(call, sentAt))
}

// outcome says what has come of an exchange, and ends it unless it goes on as a stream.
func (c *Conn) outcome(err error) (*messages.Response, messages.Sent, error) {
	resp, sent := c.answer, c.sent()
	// A body that cannot be read aborts the connection, and shows here as that. If the
	// answer is there nevertheless, only a panic is worth more.
	if cause := c.source.upload.cause(); cause != nil && (err != nil || isPanic(cause)) {
		err = cause
	}
	// What ends the wait for an answer is then no deadline of the caller's.
	if failed := c.source.upload.failure(); failed != nil && errors.Is(err, ErrDeadline) && !c.socket.isLate() {
		err = c.socket.explain(failed)
	}
	switch {
	case err != nil:
		if resp != nil && resp.Stream != nil {
			resp.Stream = nil // end is all that closing it would do
			c.reusable = false
		}
		c.end()
	case resp.Stream == nil:
		c.end() // a stream calls it when it has ended
	}
	return resp, sent, err
}

// begin makes everything ready for the first read, which writes the request.
func (c *Conn) begin(call *messages.Call, deadline time.Time) error {
	if c.socket.aborted.Load() {
		return ErrAborted
	}
	if !c.reusable {
		return ErrSpent
	}
	s := c.socket
	var err error
	if s.out, s.body, err = appendRequest(s.out[:0], call, c.via); err != nil {
		return err
	}
	// In doubt from here on: finish takes that back when the response has ended well.
	c.reusable = false
	c.source.begin(newUpload(s, call), call.Trace)
	return s.arm(deadline)
}

// end lets go of what only a large exchange needs.
func (c *Conn) end() {
	u := c.source.upload
	c.source.upload = nil // first: stop calls the caller's code, which may panic
	u.stop()
	c.source.trace = nil
	s := c.socket
	s.disarm(c.reusable)
	s.rest()
	s.body = nil
	if cap(s.out) > keptRequest {
		s.out = nil
	}
	// Nothing is lost with a wide reader: with bytes left in it the Conn is not reusable.
	if c.reader != c.narrow {
		c.narrowDown()
	}
	c.payload = payload{conn: c} // its trailer is a part of the answer
	c.room, c.head = nil, head{}
	c.answer = nil // last: until then it is what a panic leaves to be told
}

// NetConn returns the connection under the Conn, for whoever wants to know its
// addresses: a *tls.Conn for https. It must not be used otherwise.
func (c *Conn) NetConn() net.Conn {
	if c.socket.sealed != nil {
		return c.socket.sealed
	}
	return c.socket.dialled()
}

// Departed is part of protocol.Departing.
func (c *Conn) Departed() bool { return c.socket.departed() }

// Reusable reports whether the Conn may carry another exchange: it is new, or
// the last response ended exactly where its framing said, nothing was read
// behind it, and the server means to go on. It says nothing about the time
// since; see Silent.
func (c *Conn) Reusable() bool { return c.reusable && !c.socket.aborted.Load() }

// Silent reports whether an idle Conn is still open and has nothing to say, as
// it must before use. It does not wait. Exchange looks by itself; Silent is for
// finding the dead among the idle. A Conn that was not silent once is used up:
// looking takes the byte that betrayed it away.
func (c *Conn) Silent() bool {
	if !c.Reusable() {
		return false
	}
	c.reusable = false // should a connection panic that somebody else dialled
	_ = Guard(messages.Exchanging, func() { c.reusable = c.socket.quiet() == nil })
	return c.reusable
}

// Abort makes the running exchange, or else the next one, fail at once with
// ErrAborted. It may be called from any goroutine, at any time, more than once,
// and never waits. The Conn must still be closed.
func (c *Conn) Abort() { c.socket.abort() }

// Close closes the connection without waiting. It must not be called while an
// exchange is running: call Abort, and Close when Exchange has returned.
func (c *Conn) Close() error {
	// After a doubt somebody may still be writing, and the peer is owed no goodbye.
	politely := c.Reusable()
	c.reusable = false
	return c.socket.close(politely)
}
