package h2

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Stream is a place on an HTTP/2 connection for one exchange at a time. It keeps
// the promises of wire.Conn, and belongs to one goroutine at a time as that does;
// the fields that others touch say so.
//
// What net/http is given for an exchange is made once for a place: it lets go of
// a request when the response's body has ended or is closed, if the request has
// no body of its own.
type Stream struct {
	conn   *conn
	limits *wire.Limits // the connections' own, which do not change
	spent  bool         // the last exchange left a doubt
	gone   departure    // by Part
	shared bool         // the connection was there before

	bare    context.Context // once it has ended there is no further exchange
	ctx     context.Context // the same with the place's own hooks: of every plain exchange
	cancel  context.CancelFunc
	aborted atomic.Bool // set by Abort, on any goroutine; read by the owner
	late    atomic.Bool // the deadline passed; set by the alarm's goroutine, read by the owner
	underWay
	listing
	broken atomic.Pointer[error] // what the peer did wrong; set by the goroutine that reads, read by the owner

	alarm *time.Timer // rings at the deadline; nil until first needed
	armed bool        // it is set

	hooks  *hooks          // of the running exchange; nil if it is not traced
	sender protocol.Sender // likewise; nil if there is nobody to ask
	outgoing
	// request and url are read by net/http's goroutines until the response's body
	// has ended. The owner changes them between exchanges only.
	request http.Request
	url     url.URL
	fields  []messages.Field // what request.Header was made of
	values  []string         // what its lists are made of
}

// underWay is what is told of the running exchange on other goroutines than the owner's.
type underWay struct {
	// touched says that the header of the running exchange was written, or tried to be.
	// A goroutine of net/http's sets it; the owner reads it, and takes it back behind
	// the exchange and before the next; whoever asks whether that has departed reads it.
	touched atomic.Bool
	// begun says that the peer is at work on the running exchange's request, by an interim answer
	// other than 100. Set by the goroutine that reads, read by the owner.
	begun atomic.Bool
	// hasTurn says that the place has the connection's turn. The owner sets it; whoever takes
	// it back passes the turn: a goroutine of net/http's, or the owner.
	hasTurn atomic.Bool
}

// outgoing is how the request of the running exchange leaves.
type outgoing struct {
	stop      context.CancelFunc // ends a request whose body is still being sent; nil if it has none
	sending   *wire.Lent         // its body; nil if it has none, or a Reader
	uploading *upload            // the same if it has a Reader
	behind    int64              // frameScan.writing when it began
	heard     int64              // frameScan.heard likewise
}

// listing is what the connection's list of streams has of a place.
type listing struct {
	// carried says that a stream in the list knows the place. It is set by the claim,
	// and taken back by whoever takes the stream out, or the owner.
	carried  atomic.Bool
	streamID uint32 // of the running exchange, or the last; guarded by the connection's open.mu
	headOnly bool   // the header of its answer was the end of it; likewise
}

var (
	_ protocol.Connection = (*Stream)(nil)
	_ protocol.Parting    = (*Stream)(nil)
	_ protocol.Departing  = (*Stream)(nil)
	_ protocol.Queueing   = (*Stream)(nil)
)

func newStream(c *conn) *Stream {
	s := &Stream{conn: c, limits: &c.shared.limits}
	s.bare, s.cancel = context.WithCancel(context.Background())
	s.ctx = httptrace.WithClientTrace(s.bare, s.ownHooks())
	// A request is given a context in no other way than by copying it.
	s.request = *(&http.Request{
		URL: &s.url, Header: make(http.Header), Proto: "HTTP/2.0", ProtoMajor: 2,
	}).WithContext(s.ctx)
	return s
}

// Age is how old the connection is that the place is on.
func (s *Stream) Age() time.Duration { return time.Since(s.conn.since) }

// Exchange is what it is for a wire.Conn.
func (s *Stream) Exchange(call *messages.Call, deadline time.Time) (*messages.Response, messages.Sent, error) {
	host, err := checkCall(call)
	if err != nil {
		return nil, messages.SentNo, err
	}
	asked := time.Now()
	if !deadline.IsZero() && !asked.Before(deadline) {
		return nil, messages.SentNo, wire.ErrDeadline
	}
	sentAt, err := s.begin(asked, deadline)
	if err != nil {
		return nil, messages.SentNo, err
	}
	if call.Close {
		s.conn.frames.leaving.Store(true) // no exchange begins on it any more
	}
	// What is written from here on is known by the trace's hook alone: net/http says
	// of no error whether it came before or after.
	req := s.lay(call, host)
	hooks := s.hooks // the exchange's own, which end lets go of
	resp, err := s.conn.client.RoundTrip(req)
	if err == nil {
		err = s.check(resp)
	}
	if err != nil {
		sent, err := s.sent(), s.explain(err)
		s.end()
		return nil, sent, err
	}
	answer := s.headed(resp, sentAt)
	answer.Timing.Leased = sentAt.Sub(asked) // in which it waited for others
	err = s.answer(call, resp, answer)
	if failure := hooks.failure(); failure != nil {
		err = failure // a hook's, though all of the answer may have come
	}
	switch {
	case err != nil:
		s.giveUp(resp, answer)
	case answer.Stream == nil:
		now := time.Now()
		answer.AnsweredAt, answer.Timing.Body = now, now.Sub(answer.AnsweredAt)
	}
	return answer, messages.SentYes, err
}

// headed is an answer whose head has come.
func (s *Stream) headed(resp *http.Response, sentAt time.Time) *messages.Response {
	answer := &messages.Response{
		StatusCode: resp.StatusCode, Status: resp.Status, Header: headerOf(resp), ProtoMajor: 2, TLS: s.conn.tls,
		SentAt: sentAt, AnsweredAt: time.Now(),
	}
	answer.Timing.FirstByte = answer.AnsweredAt.Sub(sentAt)
	return answer
}

// checkCall is wire.CheckCall for HTTP/2, which has no options of a connection (RFC
// 9113, section 8.2.2).
func checkCall(call *messages.Call) (host string, err error) {
	if call.Connection != "" && !strings.EqualFold(call.Connection, "keep-alive") {
		return "", &wire.CallError{Part: "header", Name: "Connection", Reason: "HTTP/2 has none but close"}
	}
	if call.Upgrade != "" {
		return "", &wire.CallError{Part: "header", Name: "Upgrade", Reason: "HTTP/2 changes to no other protocol"}
	}
	return wire.CheckCall(call)
}

// giveUp ends an exchange whose head has come.
func (s *Stream) giveUp(resp *http.Response, answer *messages.Response) {
	if answer.Stream != nil {
		_ = answer.Stream.Close() // it never fails
		answer.Stream = nil
	}
	s.letGo()
	resp.Body.Close() // a second time, if it failed while it was read
	s.end()
	s.spent = true
}

// begin makes everything ready for the exchange, and returns when it may leave.
func (s *Stream) begin(now, deadline time.Time) (time.Time, error) {
	if s.aborted.Load() {
		return now, wire.ErrAborted
	}
	if s.spent || s.conn.frames.leaves() || s.conn.isInDoubt() {
		s.spent = true // a goodbye is not taken back
		return now, wire.ErrSpent
	}
	s.spent = true // until the exchange has ended well
	s.touched.Store(false)
	s.begun.Store(false)
	s.behind, s.heard = s.conn.frames.writing.Load(), s.conn.frames.heard.Load()
	s.arm(now, deadline)
	at, err := s.queue(now)
	if err != nil {
		s.end()
	}
	return at, err
}

func (s *Stream) arm(now, deadline time.Time) {
	if deadline.IsZero() {
		return
	}
	s.armed = true
	if wait := deadline.Sub(now); s.alarm == nil {
		s.alarm = time.AfterFunc(wait, s.expire)
	} else {
		s.alarm.Reset(wait)
	}
}

func (s *Stream) expire() {
	s.late.Store(true) // before the cancelling, whose cause is looked for here
	s.cancel()
}

// end is called when the exchange is over. An alarm that rings just then has
// ended the place too.
func (s *Stream) end() {
	if s.hooks != nil {
		s.hooks.over.Store(true)
		s.spent = s.spent || s.hooks.failure() != nil
		s.hooks = nil
	}
	s.sender = nil
	s.letGo()
	s.passTurn()
	s.conn.frames.open.letGo(s)
	if s.touched.Swap(false) && s.bare.Err() != nil {
		s.conn.giveUpOn(s.heard)
	}
	if s.uploading != nil {
		// The reader keeps the stream as long as a call of it does not return, perhaps for ever.
		stuck := s.uploading.end()
		s.spent = s.spent || stuck && !s.conn.mayBegin()
		s.uploading = nil
	}
	if s.sending != nil {
		// net/http may still be sending the body of a request that is answered.
		_ = s.sending.Close() // it never fails
		s.sending = nil
	}
	if s.armed && !s.alarm.Stop() {
		s.spent = true
	}
	s.armed = false
}

// letGo has net/http stop sending the request's body, if it still does: the answer
// is there, or will not come (RFC 9113, section 8.1). Nobody waits for the body's
// reader.
func (s *Stream) letGo() {
	if s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// sent says what became of a request without a response. When this side gave up,
// net/http may still be about to write; and whose header is just being written is
// not known. But behind one write that has lasted since before the exchange its header has
// waited, and is not written any more.
func (s *Stream) sent() messages.Sent {
	if s.behind%2 == 1 && s.behind == s.conn.frames.writing.Load() {
		return messages.SentNo
	}
	if s.touched.Load() || s.bare.Err() != nil || s.conn.frames.open.writing() {
		return messages.SentMaybe
	}
	return messages.SentNo
}

// Reusable reports whether the stream's place may be used again.
func (s *Stream) Reusable() bool {
	return !s.spent && !s.aborted.Load() && !s.conn.frames.leaves() && !s.conn.isInDoubt()
}

// fail ends the exchange for what the peer did.
func (s *Stream) fail(why error) {
	s.broken.CompareAndSwap(nil, &why) // before the cancelling, whose cause is looked for here
	s.cancel()
}

// Abort is what it is for a wire.Conn: the connection's other streams are not disturbed.
func (s *Stream) Abort() {
	s.aborted.Store(true) // before the cancelling, whose cause is looked for here
	s.cancel()
}

// departure is what became of a place by Part.
type departure uint8

const (
	stays departure = iota
	departed
	departedLast // and the connection is to be closed, which is in nobody's list any more
)

// Part is part of protocol.Parting: it gives the place back.
func (s *Stream) Part() {
	if s.gone != stays {
		return
	}
	spoiled := s.spent || s.aborted.Load()
	s.spent, s.gone = true, departed
	s.cancel() // a stream that is still running ends here, and not with the connection
	if s.conn.leave(spoiled, s.behind) {
		s.gone = departedLast
	}
}

// Close gives the place back, and closes the connection with the last.
func (s *Stream) Close() error {
	s.Part()
	if s.gone != departedLast {
		return nil
	}
	s.gone = departed
	return s.conn.close()
}

// Departed is part of protocol.Departing.
func (s *Stream) Departed() bool { return s.touched.Load() }

// Shared reports whether the stream was opened on a connection that others had
// used before.
func (s *Stream) Shared() bool { return s.shared }

// NetConn returns the connection that is shared.
func (s *Stream) NetConn() net.Conn { return s.conn.sealed }
