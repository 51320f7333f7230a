package throttler

import (
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
)

// A halt is in three places. Halts has those that stand, for everybody to look at. The
// desk takes the lanes it may select out of the queue, at once; and whoever runs the
// engine has it answer the tickets in them a few at a time, so that nobody waits for the
// throttler meanwhile.

// atOnce is how many tickets of a halted lane are answered in one turn of the throttler:
// each wakes somebody.
const atOnce = 64

// Halt takes what a halt may select out of the queue: none of it can be granted from now
// on. Drain answers it.
func (d *Desk) Halt(now time.Duration, h *throttle.Halt) {
	d.ledger.Detach(now, h)
	d.grant(now) // who stood behind may fit
}

// Drain answers some of those that halts have taken out of the queue, puts those back
// that none selects, and returns how many are left.
func (d *Desk) Drain(now time.Duration) (left int) {
	for range atOnce {
		p, h := d.ledger.NextDetached()
		if p == nil {
			break
		}
		t := p.Owner.(*ticket.Ticket)
		switch about := subject(t); { // its lane may have been taken for others in it
		case t.Errand:
			h = nil
		case !h.Selects(about):
			h = d.halts.Of(about)
		}
		if h != nil {
			if d.dismiss(t, h.Err()) {
				h.Count()
			}
			continue
		}
		switch err := d.ledger.Requeue(now, p); {
		case err != nil:
			d.dismiss(t, err)
		case p.State() == throttle.Granted:
			d.pass(t)
		}
	}
	d.grant(now)
	return d.ledger.Detached()
}

// halted returns the error of a ticket that is halted; nil if it may be asked for.
func (d *Desk) halted(t *ticket.Ticket) error {
	if !d.halts.Any() || t.Errand {
		return nil
	}
	return d.refusedByHalt(t)
}

// refusedByHalt is apart, because of the room that it takes on the stacks of callers.
//
//go:noinline
func (d *Desk) refusedByHalt(t *ticket.Ticket) error { return d.halts.Refuse(subject(t)) }

// subject is what a halt looks at.
func subject(t *ticket.Ticket) throttle.Subject {
	p := &t.Permit
	return throttle.Subject{
		Parts:   throttle.Parts{Account: p.Account, Key: p.Key, Egress: p.Egress},
		LimitID: p.Limit, Priority: p.Priority, Method: t.Method, Path: t.Path,
	}
}
