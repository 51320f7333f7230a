package h2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

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
	codeProtocolError = 1
	codeRefusedStream = 7
	// fromPeer is the cause net/http gives a reset that the peer sent.
	fromPeer = "received from peer"
	// goodbye is net/http's error for a stream that the peer's GOAWAY counts
	// among those it has not looked at, and parting the beginning of its error for
	// one that was under way when the connection ended behind a GOAWAY.
	goodbye = "http2: Transport received Server's graceful shutdown GOAWAY"
	// goodbyeToFirst is the beginning of the same for the first stream of a connection, if the
	// GOAWAY has an error code.
	goodbyeToFirst = "http2: Transport received GOAWAY from server ErrCode:"
	parting        = "http2: server sent GOAWAY and closed the connection"
	// closedHere is what it tells the streams of a connection that it closes because one of
	// them could not be written.
	closedHere = "http2: client connection force closed via ClientConn.Close"

	// What net/http says of a peer that breaks the rules: for all of the connection,
	// of a frame, of a header list, and of a body.
	brokenRules    = "connection error: "
	tooLarge       = "http2: frame too large"
	headerListSize = "http2: response header list larger than advertised limit"
	overLength     = "server replied with more than declared Content-Length"

	// What it says of a request that it does not send, and of a connection on which it
	// begins no stream.
	requestTooLarge = "request header list larger than peer's advertised limit"
	unusable        = "http2: client conn not usable"
)

// explain says why a request has no response. RFC 9113, section 8.7: what was
// refused, or is beyond the last stream of a goodbye, was not processed. A peer that
// has sent a 102 or 103 before contradicts itself, and is not believed.
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
	unprocessed := !s.begun.Load() && (isGoodbye(err) || refused && reset.Code == codeRefusedStream)
	byPeer := s.byPeer(err)
	if byPeer {
		err = wire.ByPeer(err)
	}
	switch {
	case !s.touched.Load():
		return s.unsent(err)
	case unprocessed:
		return fmt.Errorf("%w: %w", messages.ErrUnprocessed, err)
	case byPeer:
		return fmt.Errorf("%w: %w", wire.ErrNoAnswer, err)
	}
	return typed(err, refused)
}

// unsent says why a request was not sent: the connection had ended, or was about to;
// or it is the request itself, which no other connection would take either.
func (s *Stream) unsent(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, requestTooLarge):
		return &wire.CallError{Part: "header", Reason: "larger than the server allows (SETTINGS_MAX_HEADER_LIST_SIZE)"}
	case text == unusable:
		s.conn.frames.leave() // it is to nobody
	case !s.conn.frames.leaves():
		return err
	}
	return fmt.Errorf("%w: %w", wire.ErrSpent, err)
}

// typed gives an error of net/http's about what the peer sent the type that it would
// have in HTTP/1.1. Most have none, and are known by their text; should that change,
// a test fails.
func typed(err error, aboutStream bool) error {
	text := err.Error()
	switch {
	case errors.Is(err, messages.ErrMalformedResponse), errors.Is(err, messages.ErrHeaderTooLarge):
		return err
	case strings.Contains(text, headerListSize):
		return fmt.Errorf("%w: %w", messages.ErrHeaderTooLarge, err)
	case aboutStream, strings.HasPrefix(text, brokenRules), text == tooLarge, strings.Contains(text, overLength):
		return fmt.Errorf("%w: %w", messages.ErrMalformedResponse, err)
	}
	return err
}

// check refuses what net/http takes for an answer, and is none.
func (s *Stream) check(resp *http.Response) error {
	if !s.touched.Load() {
		s.wroteHeader() // the answer was faster than the hook
	}
	err := checkAnswer(resp, s.limits.Header)
	if broken := s.broken.Load(); broken != nil { // though the header has come
		err = *broken
	}
	if err != nil {
		s.letGo()
		_ = resp.Body.Close() // it never fails
	}
	return err
}

var (
	errStatus      = errFrames("the status is no number from 100 to 999")
	errSwitching   = errFrames("101, which HTTP/2 does not know")
	errConnField   = errFrames("a field that only a connection of HTTP/1.1 can have")
	errManyLengths = errFrames("invalid or repeated Content-Length")
)

// checkAnswer keeps the rules that HTTP/1.1 has for a head (RFC 9113, section 8.2.2,
// 8.3.2). net/http takes any number for a status, and a field of a connection for one
// of the answer.
func checkAnswer(resp *http.Response, most int) error {
	if s := resp.Status; len(s) < 4 || s[3] != ' ' || s[0] < '1' || s[0] > '9' || !isDigit(s[1]) || !isDigit(s[2]) {
		return errStatus
	}
	if listSize(resp.Header) >= most {
		return messages.ErrHeaderTooLarge
	}
	for name, values := range resp.Header {
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade":
			return errConnField
		case "Te":
			if len(values) > 1 || values[0] != "trailers" {
				return errConnField
			}
		case "Content-Length":
			if !isLength(values) {
				return errManyLengths
			}
		}
	}
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isLength reports whether there is one length, of digits alone.
func isLength(values []string) bool {
	const digits = 18 // fit into 63 bits
	if len(values) != 1 || values[0] == "" || len(values[0]) > digits {
		return false
	}
	for i := range len(values[0]) {
		if !isDigit(values[0][i]) {
			return false
		}
	}
	return true
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
	if err := typed(err, isReset(err)); errors.Is(err, messages.ErrMalformedResponse) {
		return err
	}
	return fmt.Errorf("%w: %w", messages.ErrTruncated, err)
}

func isReset(err error) bool {
	var reset refusedStream
	return errors.As(err, &reset)
}

// isGoodbye reports whether a stream is beyond the last of the peer's GOAWAY.
func isGoodbye(err error) bool {
	text := err.Error()
	return text == goodbye || strings.HasPrefix(text, goodbyeToFirst)
}

// byPeer reports whether the peer ended the stream, or the connection under it.
func (s *Stream) byPeer(err error) bool {
	var reset refusedStream
	if errors.As(err, &reset) {
		return reset.Cause != nil && reset.Cause.Error() == fromPeer // others are of net/http's own making
	}
	text := err.Error()
	return isGoodbye(err) || strings.HasPrefix(text, parting) ||
		// A request's body may fail by the same names. And net/http closes what the peer
		// has closed, whereupon its own writes fail.
		s.conn.frames.gone.Load() && (text == closedHere || wire.IsPeerClosed(err) || errors.Is(err, net.ErrClosed))
}

// cause is why this side gave up, if it did.
func (s *Stream) cause(err error) error {
	switch failure, broken := s.hooks.failure(), s.broken.Load(); {
	case failure != nil:
		return failure
	case broken != nil:
		return *broken
	case s.aborted.Load():
		return because(wire.ErrAborted, err)
	case s.late.Load():
		return because(wire.ErrDeadline, err)
	}
	return nil
}

// because adds what an exchange ended with to the reason, but not that its context was
// cancelled: that was this side, and whoever asks for context.Canceled means himself.
func because(reason, err error) error {
	if errors.Is(err, context.Canceled) {
		return reason
	}
	return fmt.Errorf("%w: %w", reason, err)
}
