package throttler

import (
	"errors"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// Failed takes note that a call for a ticket did not return: the ledger may be
// torn. A nil ticket means that the call was for none. Nothing else may be
// called before Recover.
func (d *Desk) Failed(t *ticket.Ticket) { d.crashed, d.failed = true, t }

// Recover goes on after a failure: with a new ledger, which takes every window
// for full, keeps what is paused and what is lost, counts what is in flight again,
// and is asked again for whoever was queued. A failure may delay, but neither lets
// too much through nor loses a waiter. Without a failure it does nothing.
func (d *Desk) Recover(now time.Duration) {
	if !d.crashed {
		return
	}
	ledger, err := d.ledger.Successor(now, d.limits)
	if err != nil {
		panic(err) // a ledger was made of this very table before
	}
	d.ledger = ledger
	d.ledger.WeighBy(d.tariffs) // it may have failed while they were replaced
	d.armed, d.told = 0, nil
	d.dropFailed(now)
	d.readmit(now)
	d.arm()
	d.post(now)       // perhaps it failed between a pause and the word of it
	d.crashed = false // last, so that a failure in here is recovered from as well
}

// dropFailed answers the ticket that the failure was about: to ask for it again
// might fail again. One that was passed on is answered by the pool. One that is
// not in the book was answered or closed before the failure, and is the request's.
func (d *Desk) dropFailed(now time.Duration) {
	t := d.failed
	d.failed = nil
	if t == nil || t.Passed || t.Place == 0 {
		return
	}
	d.keepLost(now, t)
	t.Permit.Reset() // the torn ledger has it queued, perhaps: it could never be used again
	d.dismiss(t, messages.ErrActorFailed)
}

// keepLost counts a request that may still arrive, and whose permit was being
// settled when the ledger was torn.
func (d *Desk) keepLost(now time.Duration, t *ticket.Ticket) {
	fate := t.Fate
	if t.Permit.State() != throttle.Granted || fate != throttle.Lost && fate != throttle.Closed {
		return
	}
	if d.ledger.Adopt(now, &t.Permit) == nil {
		d.ledger.Settle(now, &t.Permit, t.Outcome())
	}
}

// readmit counts what is in flight before it asks for anybody.
func (d *Desk) readmit(now time.Duration) {
	tickets := d.tickets.inOrder()
	for _, t := range tickets {
		if !t.Passed || t.Permit.State() != throttle.Granted { // one that is parked holds nothing
			continue
		}
		if err := d.ledger.Adopt(now, &t.Permit); err != nil {
			d.tickets.remove(t) // its limit is gone from the table, and so is what it counted for
		}
	}
	for _, t := range tickets {
		if !t.Passed {
			d.askAgain(now, t)
		}
	}
}

// askAgain puts a ticket before the ledger that the lost one had in its queue:
// with the rank it had, if it came so far as to get one.
func (d *Desk) askAgain(now time.Duration, t *ticket.Ticket) {
	t.Permit.Reset()
	if d.closed { // it failed while it closed
		d.dismiss(t, messages.ErrClosed)
		return
	}
	if err := d.halted(t); err != nil {
		d.dismiss(t, err)
		return
	}
	err := d.ledger.Requeue(now, &t.Permit)
	if errors.Is(err, throttle.ErrPermitUnused) {
		err = d.ledger.Acquire(now, &t.Permit)
	}
	d.proceed(now, t, err)
}
