package request

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// A repetition after an answer: what is kept of it, and what is known of the request
// from then on.

// noteExchange notes that an exchange has ended. Of one that the server says it did not
// process all is known that an answer would tell.
func (r *slot) noteExchange(sent messages.Sent, err error) {
	r.tried++
	switch {
	case errors.Is(err, messages.ErrUnprocessed):
		r.untouched = r.untouched || r.sent == messages.SentNo
		sent = messages.SentYes
	case sent != messages.SentNo:
		r.untouched = false
	}
	if r.doubted { // this answer may be about what the one before has done
		r.sent, r.doubted = messages.SentMaybe, false
	}
	r.lastAnswer = nil
	r.sent = r.sent.Worst(sent)
}

// doubt notes that another attempt is to follow a response; nil means that there was
// none, and then the attempt itself was in doubt or was not sent.
func (r *slot) doubt(response *messages.Response) {
	r.doubted = r.doubted || response != nil && !messages.NotCarriedOut(response.StatusCode)
}

// label says what a response is the answer to.
func (r *slot) label(response *messages.Response) {
	response.Method = r.call.Method
	response.URL = r.url
	response.Attempts, response.Sent, response.BodySpent = r.tried, r.sent, r.spent()
}

// pauseForStatus pauses before another attempt if the status of an answer is one of
// Retry.Statuses, repeating it does no harm, and there are time and budget for it.
// The answer is kept, without its connection.
func (r *slot) pauseForStatus(response *messages.Response) bool {
	if !slices.Contains(r.needs.Plan.Retry.Statuses, response.StatusCode) || !r.asked.IsIdempotent() || !r.upload.repeats() {
		return false
	}
	told := r.attempt.told(response)
	if r.pastDeadline(told) {
		return false // it would be waited for in vain
	}
	r.failures++
	pause, again := r.retries.pause(r.failures)
	// What is paused is waited for in the throttler's queue, which knows best for how
	// long, and at once if there is no time for it.
	if !r.attempt.paused || !r.needs.Held(r.target.name, nil) {
		pause = max(pause, told)
	}
	if !again || r.pastDeadline(pause) || !r.upload.retire() {
		return false
	}
	until := time.Now().Add(pause) // before the body is read, which may take a while
	r.repeatWithCookies(response)
	r.doubt(response)
	r.label(response)
	r.detach(response)
	r.lastAnswer = response
	r.enterPausing(until, response.Err())
	return true
}

// repeatWithCookies keeps the cookies of an answer, and has the attempt that follows it send them.
func (r *slot) repeatWithCookies(response *messages.Response) {
	r.keepCookies(r.url, response.Header)
	r.buildFields(r.contentType)
}

// told is how long an answer says to wait, to the reader of answers or in its
// Retry-After.
func (a *attempt) told(response *messages.Response) time.Duration {
	said, _ := feedback.ParseRetryAfter(response.Header.Get("Retry-After"), a.needs.Clock)
	return max(a.pause, said)
}

// leftNoRoom reports whether a repetition ended before it was sent because there was
// no time for it, or no room: then the answer that is at hand is worth more.
func (r *slot) leftNoRoom(err error) bool {
	var panicked *messages.PanicError
	if errors.As(err, &panicked) {
		return false
	}
	for _, full := range []error{throttle.ErrDeadline, throttle.ErrQueueFull, throttle.ErrSpent, messages.ErrTooManyWaiters} {
		if errors.Is(err, full) {
			return true
		}
	}
	return errors.Is(err, context.DeadlineExceeded) && r.pastDeadline(0)
}
