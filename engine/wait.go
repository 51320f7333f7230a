package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/internal/httpdate"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Wait returns when it makes sense to send a request again that ended in err: at the error's
// RetryAt, or when the Retry-After of a refusal has passed, or, if neither is known, after a
// pause of 100 to 200 ms, so that no loop around it that ends with its error can spin. It
// returns nil then, and the context's error as soon as that ends; with a context that ends
// before the instant, at once. A nil error is not waited for. One that no waiting mends, a
// mistake in the program, a closed engine, a dial that would only fail again (a host that no
// name server knows, a certificate that is not trusted) or a body that was read and can be read
// once (ErrBodyRead), is returned at once, so that no loop around it goes on for ever, or sends
// what is left of a body; and so is one whose methods panic, as those of a nil *Error do.
//
// A loop that drops what Wait returns does spin, for whatever Wait returns at once: the
// request fails again at once too, and nothing is left to wait for.
//
// Whether to send it again at all is not for Wait to say: see OutcomeOf.
//
//	for {
//		book, err := engine.Fetch[Book](ctx, eng, req)
//		if err == nil {
//			return book, nil
//		}
//		if outcome := engine.OutcomeOf(err); outcome != engine.NotSent && outcome != engine.Refused {
//			return book, err
//		}
//		if engine.Wait(ctx, err) != nil {
//			return book, err
//		}
//	}
func Wait(ctx context.Context, err error) error {
	switch {
	case ctx == nil:
		return fmt.Errorf("%w: the context is nil", ErrInvalidRequest)
	case ctx.Err() != nil:
		return messages.ContextError(ctx)
	case err == nil:
		return nil
	case lasting(err):
		return err
	}
	pause := pauseAfter(err)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return messages.ContextError(ctx)
	}
}

// lasting reports whether the same request ends in the same way however late it is
// sent again.
func lasting(err error) (is bool) {
	defer func() { // its methods may panic, as those of a nil *Error do: nothing is known, and no loop goes on for nothing
		is = recover() != nil || is
	}()
	return messages.Permanent(err) || slices.ContainsFunc([]error{
		ErrInvalidRequest, ErrNoLimit, ErrUnknownLimit, ErrNoKey, ErrUnknownKey, ErrLongName, ErrWeight, ErrNotCharged, ErrRouteWeight,
		ErrNoEngine, ErrInsideRequest, ErrClosed, ErrBodyRead, ErrUnknownAccount, ErrUnknownEgress,
	}, func(cause error) bool { return errors.Is(err, cause) })
}

// leastPause is what a loop waits that knows of no instant, and twice that at most.
const leastPause = 100 * time.Millisecond

func pauseAfter(err error) time.Duration {
	if pause, said := pauseSaid(err); said {
		return pause
	}
	return leastPause + rand.N(leastPause)
}

// pauseSaid is how long it is until the instant that an error names, if it names one.
func pauseSaid(err error) (pause time.Duration, said bool) {
	var at time.Time
	if failure, ok := errors.AsType[*Error](err); ok {
		at = failure.RetryAt
	}
	if refused, ok := errors.AsType[*StatusError](err); ok && at.IsZero() {
		at = endOfRefusal(&refused.Answer)
	}
	if at.IsZero() {
		return 0, false
	}
	return max(time.Millisecond, time.Until(at)), true // even one that is past lets no loop spin
}

// endOfRefusal is zero for an answer that does not say when to come back, or says at
// once: a loop would spin.
func endOfRefusal(a *messages.Answer) time.Time {
	pause, said := retryAfter(a)
	if !said || pause <= 0 { // "at once" is no instant to wait for
		return time.Time{}
	}
	return a.AnsweredAt.Add(pause)
}

// retryAfter is how long a refusal says to wait, which may be not at all; false for an answer that
// does not say when to come back.
func retryAfter(a *messages.Answer) (pause time.Duration, said bool) {
	switch a.StatusCode {
	case http.StatusTooManyRequests, http.StatusTeapot, http.StatusServiceUnavailable:
	default:
		return 0, false
	}
	pause, said = feedback.ParseRetryAfter(a.Header.Get("Retry-After"), answerClock{a})
	return pause, said && !a.AnsweredAt.IsZero()
}

// answerClock is the server's time when it answered, by the answer's own Date.
type answerClock struct{ *messages.Answer }

// Now is part of feedback.Clock.
func (c answerClock) Now() time.Time {
	if date, ok := httpdate.Parse(c.Header.Get("Date")); ok {
		return date
	}
	return c.AnsweredAt
}
