package request

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// failure says which request ended, where, and what it waited for.
func (r *slot) failure(err error) *messages.Error {
	e := messages.NewError(r.caller, r.stage, r.withSpentBody(r.withCap(err)))
	e.Attempts, e.Sent, e.Waited = r.tried, r.sent, r.timing.Queued+r.timing.Leased
	switch unprocessed := errors.Is(err, messages.ErrUnprocessed); {
	case e.Sent == messages.SentMaybe && unprocessed:
		e.Err = &lastUnprocessed{e.Err}
	case e.Sent == messages.SentYes && r.untouched && !unprocessed:
		e.Err = &onceUnprocessed{e.Err}
	}
	r.explain(e, r.limit, err)
	return e
}

// doubtSent is for a life that the caller's own code has broken off: in the middle of an exchange
// nobody has said yet what was sent.
func (r *slot) doubtSent() {
	if r.stage == messages.Exchanging {
		r.sent = max(r.sent, messages.SentMaybe)
	}
}

// failAnyhow ends a request whose end has panicked: its caller would wait for ever.
func (r *slot) failAnyhow() {
	if r.Finished {
		return
	}
	e := messages.NewError(r.caller, r.stage, wire.Panicked(r.stage, "the end of a request that panicked has panicked"))
	e.Attempts, e.Sent = r.tried, r.sent
	r.response, r.err, r.Finished = nil, e, true
}

// logFailure has a failure noted for whoever looks for it.
func (c *Carrier) logFailure(e *messages.Error, stage messages.Stage, cause error) {
	if c.needs.Logger.Enabled(context.Background(), slog.LevelDebug) { // hardly ever, and a load shed fails many
		c.needs.Logger.Debug("request failed", "method", e.Method, "path", e.Path,
			"stage", stage.String(), "attempts", e.Attempts, "sent", e.Sent.String(), "error", loggable(cause))
	}
}

// explain adds to an error what it was charged to, and what the cause says of limits.
func (c *Carrier) explain(e *messages.Error, limit string, cause error) {
	if at := dialledAt(cause); at > 0 { // on the ledger's clock
		e.RetryAt = c.needs.Epoch.Add(at)
	}
	messages.NoteLimit(e, limit, cause, c.needs.Epoch)
}

// silence is what the memory says of the wait that the request is in; nil if that is not for the
// memory, or if the ticket was answered.
func (r *slot) silence() error {
	switch {
	case r.waits:
		return r.silenceAbout(r.ticket, r.wait)
	case r.stage == messages.Preparing && r.asking > 0 && !r.lacksPool():
		return r.silenceOfLook(r.timing.Signed)
	}
	return nil
}

// silenceAbout is what the memory says of a wait for a permit.
func (c *Carrier) silenceAbout(t *ticket.Ticket, waited time.Duration) error {
	if c.needs.Silence == nil {
		return nil
	}
	return c.needs.Silence(t.Unremembered(c.now()), waited)
}

// silenceOfLook is what it says of a wait for a look at the server's clock.
func (c *Carrier) silenceOfLook(waited time.Duration) error {
	if c.needs.Silence == nil {
		return nil
	}
	return c.needs.Silence(c.needs.LookUnremembered(c.now()), waited)
}

// withSpentBody says, beside a cause, that the request cannot be sent a second time
// as it is.
func (r *slot) withSpentBody(err error) error {
	if err == nil || errors.Is(err, messages.ErrInvalidRequest) || !r.spent() {
		return err
	}
	return withBodyRead(err)
}

func withBodyRead(err error) error {
	return fmt.Errorf("%w; %w", err, messages.ErrBodyRead)
}

// withCap names the cap that an answer was over, by the field that raises it.
func (r *slot) withCap(err error) error {
	switch {
	case errors.Is(err, messages.ErrBodyTooLarge):
		return fmt.Errorf("%w: Responses.MaxBody is %d bytes, and what is read by Request.Stream has none", err, r.needs.Plan.MaxBody)
	case errors.Is(err, messages.ErrHeaderTooLarge):
		return fmt.Errorf("%w: Responses.MaxHeader is %d bytes", err, r.needs.Plan.MaxHeader)
	}
	return err
}

// lastUnprocessed is an error of an attempt that was not processed, after another one
// of which nobody knows. It is not ErrUnprocessed: that is true of the last attempt,
// and whoever asks means the request.
type lastUnprocessed struct{ err error }

// Error is part of error.
func (l *lastUnprocessed) Error() string {
	return "an earlier attempt may have arrived, and the last: " + l.err.Error()
}

// Unwrap returns what the error is made of besides.
func (l *lastUnprocessed) Unwrap() []error { return apartFrom(messages.ErrUnprocessed, l.err) }

// Temporary reports that the same request may fare better later.
func (l *lastUnprocessed) Temporary() bool { return true }

// onceUnprocessed is an error of an attempt that was not sent, after others that were and that the
// server did not process: that is what is known of the request.
type onceUnprocessed struct{ err error }

// Error is part of error.
func (o *onceUnprocessed) Error() string {
	return o.err.Error() + "; the server did not process what was sent before"
}

// Unwrap returns what the error is made of.
func (o *onceUnprocessed) Unwrap() []error { return []error{o.err, messages.ErrUnprocessed} }

// apartFrom returns the largest parts of an error that another one is not found in.
func apartFrom(target, err error) (parts []error) {
	if !errors.Is(err, target) {
		return []error{err}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return apartFrom(target, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			parts = append(parts, apartFrom(target, inner)...)
		}
	}
	return parts
}

// dialledAt is when an origin that could not be dialled is dialled again, on the
// ledger's clock; zero if the error does not say. A method of that name may be the caller's own,
// and a panic in it says nothing.
func dialledAt(err error) (at time.Duration) {
	var later interface{ RetryAt() time.Duration }
	if errors.As(err, &later) {
		_ = wire.Guard(messages.Finishing, func() { at = later.RetryAt() })
	}
	return at
}

// untilDialled is how long it is until then.
func (r *slot) untilDialled(err error) time.Duration {
	if at := dialledAt(err); at > 0 {
		return max(0, at-r.now())
	}
	return 0
}

// refused makes a deadline that no permit can meet look like any other: what was waited for
// comes first, and then that time was up, whoever has noticed it.
func (r *slot) refused(err error) error {
	late, expired := errors.Is(err, throttle.ErrDeadline), errors.Is(err, context.DeadlineExceeded)
	reason := cmp.Or(r.timeUp, context.DeadlineExceeded) // it may be the caller's own cause
	if !late && (!expired || r.timeUp == nil) || expired && reason == context.DeadlineExceeded {
		return err
	}
	return fmt.Errorf("%w: %w", err, reason)
}

// withLastError keeps the failure that a pause was meant to outlive.
func (r *slot) withLastError(reason error) error {
	if r.err == nil {
		return reason
	}
	return errors.Join(reason, r.err)
}

// loggable is an error as the log may have it: what a panic says may be anything
// that the caller's own code had in hand.
func loggable(err error) any {
	if panicked, ok := errors.AsType[*messages.PanicError](err); ok {
		return "panic while " + panicked.Stage.String()
	}
	if _, tells := err.(slog.LogValuer); tells { // it has fields to tell, and nothing of the caller's besides
		return err
	}
	return messages.Discreet(err)
}
