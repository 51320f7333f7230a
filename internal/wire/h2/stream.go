package h2

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	shared bool         // the connection was there before

	ctx     context.Context // of every exchange; once it has ended there is no other
	cancel  context.CancelFunc
	aborted atomic.Bool // set by Abort, on any goroutine; read by the owner
	late    atomic.Bool // the deadline passed; set by the alarm's goroutine, read by the owner
	// touched says that a line of the running exchange's header was handed on. A
	// goroutine of net/http's sets it; the owner reads it, and takes it back before
	// the next exchange.
	touched atomic.Bool

	alarm *time.Timer // rings at the deadline; nil until first needed
	armed bool        // it is set

	hooks   *hooks             // of the running exchange; nil if it is not traced
	stop    context.CancelFunc // ends a request whose body is still being sent; nil if it has none
	sending *wire.Lent         // the body of the running exchange; nil if it has none, or a Reader
	// request and url are read by net/http's goroutines until the response's body
	// has ended. The owner changes them between exchanges only.
	request http.Request
	url     url.URL
	fields  []messages.Field // what request.Header was made of
	values  []string         // what its lists are made of
}

var _ protocol.Connection = (*Stream)(nil)

func newStream(c *conn) *Stream {
	s := &Stream{conn: c, limits: &c.shared.limits}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	// In the context, and so called in every exchange.
	s.ctx = httptrace.WithClientTrace(s.ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { s.touched.Store(true) },
	})
	// A request is given a context in no other way than by copying it.
	s.request = *(&http.Request{
		URL: &s.url, Header: make(http.Header), Proto: "HTTP/2.0", ProtoMajor: 2,
	}).WithContext(s.ctx)
	return s
}

// Exchange is what it is for a wire.Conn.
func (s *Stream) Exchange(call *messages.Call, deadline time.Time) (*messages.Response, messages.Sent, error) {
	host, err := checkCall(call)
	if err != nil {
		return nil, messages.SentNo, err
	}
	sentAt := time.Now()
	if !deadline.IsZero() && !sentAt.Before(deadline) {
		return nil, messages.SentNo, wire.ErrDeadline
	}
	if err := s.begin(deadline); err != nil {
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
	if err != nil {
		sent, err := s.sent(), s.explain(err)
		s.end()
		return nil, sent, err
	}
	answer := &messages.Response{
		StatusCode: resp.StatusCode, Status: resp.Status, Header: headerOf(resp), ProtoMajor: 2, TLS: s.conn.tls,
		SentAt: sentAt, AnsweredAt: time.Now(),
	}
	err = s.answer(call, resp, answer)
	if failure := hooks.failure(); failure != nil {
		err = failure // a hook's, though all of the answer may have come
	}
	switch {
	case err != nil:
		s.giveUp(resp, answer)
	case answer.Stream == nil:
		answer.AnsweredAt = time.Now()
	}
	return answer, messages.SentYes, err
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

func (s *Stream) begin(deadline time.Time) error {
	if s.aborted.Load() {
		return wire.ErrAborted
	}
	if s.spent || s.conn.frames.leaves() {
		s.spent = true // a goodbye is not taken back
		return wire.ErrSpent
	}
	s.spent = true // until the exchange has ended well
	s.touched.Store(false)
	if deadline.IsZero() {
		return nil
	}
	s.armed = true
	if wait := time.Until(deadline); s.alarm == nil {
		s.alarm = time.AfterFunc(wait, s.expire)
	} else {
		s.alarm.Reset(wait)
	}
	return nil
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
	s.letGo()
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
// net/http may still be about to write.
func (s *Stream) sent() messages.Sent {
	if s.touched.Load() || s.ctx.Err() != nil {
		return messages.SentMaybe
	}
	return messages.SentNo
}

// refusedStream has the fields of net/http's stream error, which becomes one by
// errors.As.
type refusedStream struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error is part of error.
func (refusedStream) Error() string { return "stream reset" }

const (
	codeRefusedStream = 7
	// fromPeer is the cause net/http gives a reset that the peer sent.
	fromPeer = "received from peer"
	// goodbye is net/http's error for a stream that the peer's GOAWAY counts
	// among those it has not looked at, and parting the beginning of its error for
	// one that was under way when the connection ended behind a GOAWAY.
	goodbye = "http2: Transport received Server's graceful shutdown GOAWAY"
	parting = "http2: server sent GOAWAY and closed the connection"
)

// explain says why a request has no response. RFC 9113, section 8.7: what was
// refused, or is beyond the last stream of a goodbye, was not processed.
func (s *Stream) explain(err error) error {
	if cause := s.cause(err); cause != nil {
		return cause
	}
	var reset refusedStream
	// The error of a goodbye has no type. Should its text change, the outcome counts
	// as unknown, and a test fails.
	refused := errors.As(err, &reset)
	if refused && reset.Cause != nil && reset.Cause.Error() != fromPeer {
		err = fmt.Errorf("%w: %w", reset.Cause, err) // a hook's error, or ours, in net/http's wrapping
	}
	unprocessed := err.Error() == goodbye || refused && reset.Code == codeRefusedStream
	byPeer := s.byPeer(err)
	if byPeer {
		err = wire.ByPeer(err)
	}
	switch {
	case !s.touched.Load(): // the connection had ended, or was about to
		return fmt.Errorf("%w: %w", messages.ErrStale, err)
	case unprocessed:
		return fmt.Errorf("%w: %w", messages.ErrUnprocessed, err)
	case byPeer:
		return fmt.Errorf("%w: %w", wire.ErrNoAnswer, err)
	}
	return err
}

// explainBody says why a response's body did not come to its end.
func (s *Stream) explainBody(err error) error {
	if cause := s.cause(err); cause != nil {
		return cause
	}
	// An end of the stream before that of the body is the peer's, in a frame or with
	// the connection.
	if s.byPeer(err) || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: %w", wire.ErrHalfBody, err)
	}
	return fmt.Errorf("%w: %w", messages.ErrTruncated, err)
}

// byPeer reports whether the peer ended the stream, or the connection under it.
func (s *Stream) byPeer(err error) bool {
	var reset refusedStream
	if errors.As(err, &reset) {
		return reset.Cause != nil && reset.Cause.Error() == fromPeer // others are of net/http's own making
	}
	text := err.Error()
	return text == goodbye || strings.HasPrefix(text, parting) ||
		s.conn.frames.gone.Load() && wire.IsPeerClosed(err) // a request's body may fail by the same names
}

// cause is why this side gave up, if it did.
func (s *Stream) cause(err error) error {
	switch failure := s.hooks.failure(); {
	case failure != nil:
		return failure
	case s.aborted.Load():
		return fmt.Errorf("%w: %w", wire.ErrAborted, err)
	case s.late.Load():
		return fmt.Errorf("%w: %w", wire.ErrDeadline, err)
	}
	return nil
}

// Reusable reports whether the stream's place may be used again.
func (s *Stream) Reusable() bool {
	return !s.spent && !s.aborted.Load() && !s.conn.frames.leaves()
}

// Abort is what it is for a wire.Conn: the connection's other streams are not disturbed.
func (s *Stream) Abort() {
	s.aborted.Store(true) // before the cancelling, whose cause is looked for here
	s.cancel()
}

// Close gives the place back, and closes the connection with the last.
func (s *Stream) Close() error {
	spoiled := s.spent || s.aborted.Load()
	s.cancel() // a stream that is still running ends here, and not with the connection
	return s.conn.release(spoiled)
}

// Shared reports whether the stream was opened on a connection that others had
// used before.
func (s *Stream) Shared() bool { return s.shared }

// NetConn returns the connection that is shared.
func (s *Stream) NetConn() net.Conn { return s.conn.sealed }
