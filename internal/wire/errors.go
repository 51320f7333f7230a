package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// ErrAborted is the error of an exchange that Abort ended or forestalled.
var ErrAborted = errors.New("exchange aborted")

// CallError says what in a Call cannot be sent. Its text names the part and, for
// a header line, the line's name; never a value, which may be a secret.
type CallError struct {
	Part   string // "method", "target", "host", "header" or "trailer"
	Name   string // of the header or trailer line, as the caller wrote it
	Reason string
}

func (e *CallError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("request %s: %s", e.Part, e.Reason)
	}
	return fmt.Sprintf("request %s %q: %s", e.Part, e.Name, e.Reason)
}

// The texts are constant: a response may hold secrets, and so may an error made
// of its bytes.
var (
	errBareLF           = malformed("line ends in a bare LF")
	errBareCR           = malformed("bare CR in head")
	errNUL              = malformed("NUL in head")
	errStatusLine       = malformed("not an HTTP/1.x status line")
	errFieldName        = malformed("invalid field name")
	errContentLength    = malformed("invalid or repeated Content-Length")
	errTransferEncoding = malformed("Transfer-Encoding is not exactly chunked")
	errTwoFramings      = malformed("Transfer-Encoding beside Content-Length or in HTTP/1.0")
	errSwitching        = malformed("101 to a request that asked for no other protocol")
	errInterim          = malformed("too many interim responses")
	errChunk            = malformed("invalid chunked coding")

	errNoAnswer = fmt.Errorf("%w: connection closed before the response head was complete", messages.ErrTruncated)
	errHalfBody = fmt.Errorf("%w: connection closed inside the body", messages.ErrTruncated)
	errFraming  = fmt.Errorf("%w: chunk framing outweighs the body", messages.ErrBodyTooLarge)
	errSpent    = fmt.Errorf("%w: it carries no further exchange", messages.ErrStale)
	errDeadline = fmt.Errorf("exchange: %w", context.DeadlineExceeded)
)

func malformed(reason string) error {
	return fmt.Errorf("%w: %s", messages.ErrMalformedResponse, reason)
}

// explain names the cause of an I/O error: an abort and a deadline both show as
// a timeout of the socket.
func (s *socket) explain(err error) error {
	if !isTimeout(err, s.deadline) {
		return err
	}
	if s.aborted.Load() {
		return fmt.Errorf("%w: %w", ErrAborted, err)
	}
	return fmt.Errorf("%w: %w", errDeadline, err)
}

// isTimeout tells a timeout of ours from the kernel's giving up (ETIMEDOUT),
// which is a broken connection.
func isTimeout(err error, deadline time.Time) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout() && !deadline.IsZero() && !time.Now().Before(deadline)
}
