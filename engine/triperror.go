package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// The engine's errors as clients of net/http know them: some compare, some ask for
// a type, and some read.

// failure is what RoundTrip returns of an error.
func (t *trip) failure(err error, by *Engine) error {
	if ended := t.endedBy(err); ended != nil {
		return ended
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return untrusted // there are retriers that look at the type, and no further
	}
	if text := resetText(err); text != "" && !errors.Is(err, ErrHeaderTooLarge) { // which is this side's doing
		return &readsAs{text, err}
	}
	if text := bodyText(err); text != "" {
		return &readsAs{text, err}
	}
	if wrong, ok := errors.AsType[mistake](err); ok {
		return &readsAs{wrong.Error(), err} // it has not begun a journey
	}
	failure, ok := err.(*Error)
	if !ok {
		return err
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
		failure.Err = fmt.Errorf("%w: %w", http.ErrSchemeMismatch, failure.Err)
	}
	if errors.Is(err, ErrHeaderTooLarge) {
		failure.Err = fmt.Errorf("net/http: server response headers exceeded %d bytes; aborted: %w", by.maxHeader, failure.Err)
	}
	for _, end := range [...]error{io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, end) {
			failure.Err = fmt.Errorf("%w: %w", end, failure.Err) // which is all that net/http says
			break
		}
	}
	if _, proxy := errors.AsType[*ProxyError](err); proxy && failure.Stage == Leasing {
		return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: messages.CauseFirst(failure)} // for those who look at the type
	}
	return messages.CauseFirst(failure)
}

// bodyText is what the request's own body said when it could not be read; empty if
// the error is about something else, or about what the engine thinks of the body.
func bodyText(err error) string {
	body, ok := errors.AsType[*wire.BodyError](err)
	if !ok || errors.Is(body.Err, ErrInvalidRequest) {
		return ""
	}
	if _, panicked := errors.AsType[*PanicError](body.Err); panicked {
		return ""
	}
	return body.Err.Error()
}

// bodyFailure is what reading a body returns of an error.
func (t *trip) bodyFailure(err error) error {
	if ended := t.endedBy(err); ended != nil {
		return ended
	}
	if text := resetText(err); text != "" {
		return &readsAs{text, err}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.ErrUnexpectedEOF // as io has it: readers of all kinds compare
	}
	return err
}

// timerWait is how long a timer may be late that is for the same instant as
// another.
const timerWait = 20 * time.Millisecond

// endedBy returns why the request's context or its Cancel has ended, if that is
// what the error is about; otherwise nil. A deadline of the engine's own, or one
// that no permit can meet, has not ended the context.
func (t *trip) endedBy(err error) error {
	ctx := wire.Contain(t.req.Context())
	deadline, bounded := ctx.Deadline()
	// The engine has a timer of its own for it, which may have rung first.
	late := bounded && !time.Now().Before(deadline)
	canceled := errors.Is(err, errRequestCanceled)
	switch {
	case late && (canceled || errors.Is(err, context.DeadlineExceeded)):
		t.awaitTimers()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return context.DeadlineExceeded
	case canceled:
		return errRequestCanceled
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return context.Cause(ctx)
	}
	return nil
}

// awaitTimers waits for others to know what the engine's own timer has told: that
// the deadline has passed. The context has a cause only then. And an http.Client
// says that its Timeout was exceeded only if its own timer has closed Cancel, for
// which it looks as soon as RoundTrip has returned.
func (t *trip) awaitTimers() {
	timer := time.NewTimer(timerWait)
	defer timer.Stop()
	for _, rings := range [...]<-chan struct{}{t.req.Context().Done(), cancelOf(t.req)} {
		if rings == nil {
			continue
		}
		select {
		case <-rings:
		case <-timer.C:
			return
		}
	}
}

// readsAs is an error with another text.
type readsAs struct {
	text string
	err  error
}

// Error is part of error.
func (r *readsAs) Error() string { return r.text }

// Unwrap returns the error.
func (r *readsAs) Unwrap() error { return r.err }

// Timeout and Temporary make it a net.Error, as any of net/http's. A url.Error asks no other
// error than this one, and of what the request's body has said that is the word.
func (r *readsAs) Timeout() bool {
	body, ok := errors.AsType[*wire.BodyError](r.err)
	return ok && (&Error{Err: body.Err}).Timeout()
}
func (r *readsAs) Temporary() bool {
	failure, ok := errors.AsType[*Error](r.err)
	return ok && failure.Temporary()
}

// resetText is what net/http says of an HTTP/2 stream that the server has reset, as
// it stands in err; empty if it is about none. Clients of gRPC's kind take it apart
// to learn the code, from its first word to its last.
func resetText(err error) string {
	if strings.HasPrefix(err.Error(), "stream error: ") {
		return err.Error()
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			return resetText(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if text := resetText(inner); text != "" {
				return text
			}
		}
	}
	return ""
}
