package messages

import (
	"context"
	"errors"
	"fmt"
)

// Sent says whether any byte of a request may have reached the server.
type Sent uint8

const (
	SentNo    Sent = iota // not one byte was written
	SentMaybe             // some or all were written; the outcome is unknown
	SentYes               // the server answered
)

// String returns "no", "maybe" or "yes".
func (s Sent) String() string { return [...]string{"no", "maybe", "yes"}[s] }

// Stage is a step of a request's journey.
type Stage uint8

// The stages in the order of the journey.
const (
	Admitting Stage = iota
	Preparing
	Throttled
	Leasing
	Signing
	Exchanging
	Pausing
	Finishing
)

var stageNames = [...]string{
	"admitting", "preparing", "throttled", "leasing", "signing", "exchanging", "pausing", "finishing",
}

// String returns the stage's name.
func (s Stage) String() string { return stageNames[s] }

// Error says where on its journey a request ended, whether anything was sent,
// and why. The cause is reachable with errors.Is and errors.As.
type Error struct {
	Stage    Stage
	Attempts int // how often the request went to a connection
	Sent     Sent
	Err      error
}

// Error is part of error.
func (e *Error) Error() string {
	outcome := ""
	if e.Sent == SentMaybe {
		outcome = ", outcome unknown"
	}
	return fmt.Sprintf("sluice: %s (sent: %s%s): %v", e.Stage, e.Sent, outcome, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether the cause was a deadline, as net.Error and
// http.Client ask.
func (e *Error) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(e.Err, context.DeadlineExceeded) || errors.As(e.Err, &timeout) && timeout.Timeout()
}

// Causes an Error may have, beside those of the throttle package, the network
// and the context.
var (
	ErrClosed            = errors.New("engine is shut down")
	ErrOverloaded        = errors.New("too many requests in flight")
	ErrNoLimit           = errors.New("request names no limit: set LimitID, Config.DefaultLimitID, or engine.Unlimited")
	ErrTooManyWaiters    = errors.New("too many requests wait for a connection")
	ErrTruncated         = errors.New("response ended early")
	ErrPeerClosed        = errors.New("server closed or reset the connection")
	ErrMalformedResponse = errors.New("malformed response")
	ErrHeaderTooLarge    = errors.New("response header over the cap")
	ErrBodyTooLarge      = errors.New("response body over the cap")
	ErrInvalidRequest    = errors.New("invalid request")
	ErrStale             = errors.New("connection was not silent before use")
	ErrUnprocessed       = errors.New("server says that it did not process the request")
	ErrNoTime            = errors.New("server time is not known")
	ErrActorFailed       = errors.New("an engine actor failed")
)

// StatusError is a 4xx or 5xx answer. Its text has no part of header or body,
// which may hold secrets; read them from the fields.
type StatusError struct {
	StatusCode  int
	Method, URL string
	Header      Header
	Body        []byte
}

// Error is part of error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: status %d (body of %d bytes)", e.Method, e.StatusCode, len(e.Body))
}

// ContentTypeError is an answer of another media type than required.
type ContentTypeError struct {
	Got, Want  string
	StatusCode int
}

// Error is part of error.
func (e *ContentTypeError) Error() string {
	return fmt.Sprintf("content type %q, want %q (status %d)", e.Got, e.Want, e.StatusCode)
}

// PanicError is a panic in code the engine called on a request's behalf: a
// processor, an authenticator, a body reader.
type PanicError struct {
	Stage Stage
	Value any
	Stack []byte
}

// Error is part of error.
func (e *PanicError) Error() string { return fmt.Sprintf("panic while %s: %v", e.Stage, e.Value) }

// Unwrap returns the panic's value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ContextError is the error of a context that ended: the cause and the plain
// error are both reachable with errors.Is.
func ContextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return &causeError{cause: cause, err: err}
}

// causeError reads as the cause, and matches both.
type causeError struct{ cause, err error }

// Error is part of error.
func (e *causeError) Error() string { return e.cause.Error() }

// Unwrap returns both.
func (e *causeError) Unwrap() []error { return []error{e.cause, e.err} }

// ProxyError says that a proxy did not open a connection. Its text holds no
// credentials.
type ProxyError struct {
	Proxy  string // host and port
	Status int    // of the answer to CONNECT, or the SOCKS reply code; 0 if there was none
	Err    error  // why else; nil if Status says it
}

// Error is part of error.
func (e *ProxyError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("proxy %s: %v", e.Proxy, e.Err)
	}
	return fmt.Sprintf("proxy %s refused with %d", e.Proxy, e.Status)
}

// Unwrap returns the cause.
func (e *ProxyError) Unwrap() error { return e.Err }
