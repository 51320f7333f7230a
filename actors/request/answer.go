package request

import (
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/internal/jsontext"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// hearHead heeds a refusal at its head, if its body has not come with it: that may come late,
// or never, and nobody is to leave meanwhile. How long the pause is may stand in the body; so
// if the head does not say, it is the least there is for now.
func (r *slot) hearHead(head *messages.Response) {
	switch head.StatusCode {
	case http.StatusTooManyRequests, http.StatusTeapot, http.StatusServiceUnavailable:
	default: // what any other means, its body may say
		return
	}
	var said feedback.Feedback
	r.attempt.read(head, &said)
	if !pauses(&said) {
		return
	}
	said.Usage = nil // the body may say more
	if said.Refused && !r.attempt.statesPause(head, said.Pause) {
		said.Pause = 1 // not zero, at which a limit that is refused alone counts as full
	}
	r.attempt.tell(head, &said)
}

// statesPause reports whether the lines of a head say how long a pause is that was read there:
// without them the reader would guess, by the status.
func (a *attempt) statesPause(head *messages.Response, pause time.Duration) bool {
	if head.Header.Get("Retry-After") != "" {
		return true
	}
	bare := messages.Response{StatusCode: head.StatusCode, Header: messages.Header{}}
	var guessed feedback.Feedback
	a.read(&bare, &guessed)
	return guessed.Pause != pause
}

// read has an answer read by the engine's reader or, without one, by its status and
// Retry-After, and writes down what it says about limits and about the server's clock.
func (a *attempt) read(response *messages.Response, said *feedback.Feedback) {
	reader := a.needs.Plan.Feedback
	if reader == nil {
		reader = feedback.RetryAfter
	}
	*said = reader(feedback.Answer{
		Limit: messages.LimitName(a.limit), Key: a.asked.Key, Account: a.asked.Account, Egress: a.asked.Egress,
		Origin: a.target.name, Clock: a.needs.Clock,
		Status: response.StatusCode, Header: &response.Header, Body: jsontext.WithoutMark(response.Body),
	})
}

// heed has the answer read, and lays what it said into the ticket. Without a
// permit the throttler is told at once.
func (a *attempt) heed(response *messages.Response) (refused bool) {
	if response == nil || response.StatusCode < 400 && a.needs.Plan.Feedback == nil {
		return false // nearly every answer, without a look
	}
	var said feedback.Feedback
	a.read(response, &said)
	if saysNothing(&said) { // as nearly every success: the throttler need not hear of it
		return false
	}
	if pauses(&said) {
		a.pause, a.paused = said.Pause, said.Refused
	}
	if !a.permit {
		a.tell(response, &said)
		return said.TimestampRefused
	}
	a.ticket.Say(said)
	return said.TimestampRefused
}

// tell has the throttler heed an answer that is not told with a permit.
func (a *attempt) tell(response *messages.Response, said *feedback.Feedback) {
	if !pauses(said) && len(said.Usage) == 0 {
		return
	}
	word := protocol.HeedAnswer{
		Origin: a.target.name, Limit: a.limit,
		Of:   throttle.Parts{Account: a.asked.Account, Key: a.asked.Key, Egress: a.asked.Egress},
		Left: a.instant(response.SentAt), Signals: *said,
	}
	if charged := a.charged(); charged != nil {
		word.Charged = *charged
	}
	if !pauses(said) {
		a.needs.Throttler.Tell(word)
		return
	}
	heard := make(chan struct{})
	word.Heard = heard
	a.needs.Throttler.Tell(word)
	a.awaitHeard(heard)
}

// heardPatience is long, for a machine may be busy, and whoever waits for the
// connection meanwhile is not to have it.
const heardPatience = time.Second

func pauses(said *feedback.Feedback) bool { return said.Refused || said.Busy }

// saysNothing reports whether there is nothing in what was said that anybody heeds.
func saysNothing(said *feedback.Feedback) bool {
	return !pauses(said) && len(said.Usage) == 0 && len(said.Costs) == 0 && said.ServerTime.IsZero() && !said.TimestampRefused
}

// awaitHeard waits until the throttler has heard of a refusal. Before that, whoever
// waits for the connection or for the turn to sign must not have it: it would leave
// into a pause that it knows nothing of. The throttler never blocks, and so takes
// no time, unless it has just failed.
func (a *attempt) awaitHeard(heard <-chan struct{}) {
	timer := time.NewTimer(heardPatience)
	defer timer.Stop()
	select {
	case <-heard:
	case <-timer.C:
	}
}

// finish keeps the cookies of the answer, runs the post-processors in order, and
// checks the content type the caller asked for.
func (r *slot) finish(response *messages.Response) error {
	r.keepCookies(r.url, response.Header)
	for _, p := range r.needs.Plan.PostProcessors {
		if err := p.PostProcess(r.ctx, r.asked, response); err != nil {
			return err
		}
	}
	if r.asked.Accept == "" || response.StatusCode < 200 || response.StatusCode > 299 {
		return nil // what a refusal says, it says by its status
	}
	return response.Require(r.asked.Accept)
}
