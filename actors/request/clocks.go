package request

import (
	"errors"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// clocks are how long a life was at what. Nearly all of it is told by instants that
// somebody else has taken: the mailbox, while it waited; throttler and pool, by the ticket;
// the connection, around its exchange.
type clocks struct {
	timing messages.Timing // over all attempts; Total is the answer's
	parked time.Duration   // of Turn.Parked, what has been counted
	waits  bool            // for a permit and a connection
	wait   time.Duration   // how long this wait has lasted
}

// sinceParked is how long the life has been parked since it was last called.
func (r *slot) sinceParked() time.Duration {
	since := r.Parked - r.parked
	r.parked = r.Parked
	return since
}

// endWait ends a wait for permit and connection that the ticket was answered in, after it
// had been with the throttler for so long: by the throttler's instants, which are a little
// apart from those by which the wait was measured.
func (r *slot) endWait(queued time.Duration, err error) {
	wait := r.wait
	r.wait, r.waits = 0, false
	queued = min(queued, wait)
	r.timing.Queued += queued
	r.timing.Leased += wait - queued
	if r.observed && r.needs.Observers.waits {
		r.tellWait(queued, wait-queued, err)
	}
}

// queuedUntilRefused is how long a ticket was with the throttler that was refused. It must
// be the request's still.
func (r *slot) queuedUntilRefused(t *ticket.Ticket) time.Duration {
	if t.Stage != messages.Throttled {
		return t.Queued
	}
	return t.Queued + max(0, r.now()-t.Since)
}

// leaveWait ends a wait whose ticket was taken back, and is somebody else's still.
func (r *slot) leaveWait(err error) {
	queued := r.wait
	if r.stage == messages.Leasing {
		queued = 0
	}
	r.endWait(queued, err)
}

// timeFailure adds what an exchange took that has just failed.
func (a *attempt) timeFailure(response *messages.Response, err error) {
	at := a.lease.UsedAt
	a.ended = at
	switch {
	case response != nil: // while its body was read
		a.timing.Body += max(0, at-response.AnsweredAt.Sub(a.needs.Epoch))
	case errors.Is(err, wire.ErrCrowded), errors.Is(err, wire.ErrRecalled):
		a.timing.Leased += max(0, at-a.began) // it waited for others on its connection
	default:
		a.timing.FirstByte += max(0, at-a.began)
	}
}

// total is how long the life has lasted. If the answer has come at once that is until then,
// without a look at the clock.
func (r *slot) total(response *messages.Response, atOnce bool) time.Duration {
	if atOnce && !response.AnsweredAt.IsZero() {
		return response.AnsweredAt.Sub(r.needs.Epoch) - r.terms.Begun
	}
	return r.now() - r.terms.Begun
}
