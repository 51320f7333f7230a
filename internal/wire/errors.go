package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// Ends of an exchange, whichever version of HTTP it is in.
var (
	// ErrAborted is the error of an exchange that Abort ended or forestalled.
	ErrAborted = errors.New("exchange aborted")
	// ErrDeadline is the error of an exchange whose deadline passed.
	ErrDeadline = fmt.Errorf("exchange: %w", context.DeadlineExceeded)
	// ErrSpent is the error of an exchange on a connection that is used up.
	ErrSpent = fmt.Errorf("%w: it carries no further exchange", messages.ErrStale)
	// ErrCrowded is the error of an exchange for which there was no room on a connection that it
	// shares with others, and room on another one. Its place is used up.
	ErrCrowded = fmt.Errorf("%w: others have all of its room", ErrSpent)
	// ErrRecalled is the error of an exchange whose sender would not have it leave any more when
	// others on its connection let it, or whose signature was old by then. The connection is as before.
	ErrRecalled = errors.New("exchange recalled before it left")
	// ErrNoAnswer is the error of a request that the peer left without an answer.
	ErrNoAnswer = cutOff("connection closed before a response came", io.EOF)
	// ErrHalfBody is the error of a response whose body the peer ended early.
	ErrHalfBody = cutOff("connection closed inside the body", io.ErrUnexpectedEOF)
	// ErrStreamClosed is the error of reading a body after it was closed.
	ErrStreamClosed = errors.New("response body was closed")
)

// CallError says what in a Call cannot be sent. Its text names the part and, for
// a header line, the line's name; never a value, which may be a secret. It begins
// as net/http's, for there are clients that look for "invalid header" in it.
type CallError struct {
	Part   string // "method", "target", "host", "header" or "trailer"
	Name   string // of the header or trailer line, as the caller wrote it
	Reason string
}

// Error is part of error.
func (e *CallError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("invalid %s: %s", e.Part, e.Reason)
	}
	return fmt.Sprintf("invalid %s %q: %s", e.Part, e.Name, e.Reason)
}

// BodyError is what the reader of a request's body returned.
type BodyError struct{ Err error }

// Error is part of error.
func (e *BodyError) Error() string { return "request body: " + messages.Discreet(e.Err).Error() }

// Unwrap returns the reader's error.
func (e *BodyError) Unwrap() error { return e.Err }

// The texts are constant: a response may hold secrets, and so may an error made
// of its bytes.
var (
	errBareLF           = malformed("line ends in a bare LF" + seeLenient)
	errBareCR           = malformed("bare CR in head")
	errNUL              = malformed("NUL in head")
	errControl          = malformed("control character in head")
	errStatusLine       = malformed("not an HTTP/1.x status line")
	errFieldName        = malformed("invalid field name, or a folded line" + seeLenient)
	errContentLength    = malformed("invalid or repeated Content-Length" + seeLenient)
	errTransferEncoding = malformed("Transfer-Encoding is not exactly chunked")
	errTwoFramings      = malformed("Transfer-Encoding beside Content-Length or in HTTP/1.0" + seeLenient)
	errSwitching        = malformed("101 to a request that asked for no other protocol")
	errChunk            = malformed("invalid chunked coding")

	errLeft     = ByPeer(messages.ErrStale)
	errAsked    = fmt.Errorf("%w: its peer asked for another TLS handshake", messages.ErrStale)
	errCutShort = errors.New("TLS handshake cut short: the peer asked for it where it could not be waited for")
	errHalfHead = cutOff("connection closed before the response head was complete", io.ErrUnexpectedEOF)
	errFraming  = fmt.Errorf("%w: chunk framing outweighs the body", messages.ErrBodyTooLarge)
)

// seeLenient is said of what can be read, if in more than one way.
const seeLenient = " (what net/http reads of it is read for the origins of Responses.Lenient)"

func malformed(reason string) error {
	return fmt.Errorf("%w: %s", messages.ErrMalformedResponse, reason)
}

// cutOff is the error of a response that ends with its connection. Those who know
// net/http look for eof.
func cutOff(where string, eof error) error {
	return ByPeer(also(fmt.Errorf("%w: %s", messages.ErrTruncated, where), eof))
}

// ByPeer marks an error as the peer's having closed or reset the connection.
func ByPeer(err error) error { return also(err, messages.ErrPeerClosed) }

// marked reads as the first of its errors, and matches all.
type marked struct{ errs [2]error }

func also(err, other error) error { return &marked{[2]error{err, other}} }

// Error is part of error.
func (m *marked) Error() string { return m.errs[0].Error() }

// Unwrap is part of errors.Is and errors.As.
func (m *marked) Unwrap() []error { return m.errs[:] }

// IsPeerClosed reports whether an error of a connection's Read or Write means
// that the peer closed or reset it: a timeout never does, nor does anything that
// this side did.
func IsPeerClosed(err error) bool {
	var op *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err):
		return true
	}
	return errors.As(err, &op) && op.Op == "remote error" // crypto/tls's word for the peer's alert
}

// explain names the cause of an I/O error: an abort and a deadline both show as
// a timeout of the socket.
func (s *Socket) explain(err error) error {
	if !isTimeout(err, s.deadline) {
		if IsPeerClosed(err) {
			return ByPeer(err)
		}
		return err
	}
	if s.aborted.Load() { // asked first: an abort works by a deadline that has passed
		return fmt.Errorf("%w: %w", ErrAborted, err)
	}
	return fmt.Errorf("%w: %w", ErrDeadline, err)
}

// isLate reports whether the deadline of the exchange has passed.
func (s *Socket) isLate() bool { return !s.deadline.IsZero() && !time.Now().Before(s.deadline) }

// isTimeout tells a timeout of ours from the kernel's giving up (ETIMEDOUT),
// which is a broken connection.
func isTimeout(err error, deadline time.Time) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	// TLS and a caller's own connection may report a timeout in words of their own.
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() && !deadline.IsZero() && !time.Now().Before(deadline)
}
