package throttler

import (
	"cmp"
	"slices"
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
// for full, counts what is in flight again, and is asked again for whoever was
// queued. A failure may delay, but neither lets too much through nor loses a
// waiter. Without a failure it does nothing.
func (d *Desk) Recover(now time.Duration) {
	if !d.crashed {
		return
	}
	ledger, err := throttle.New(d.limits, d.options)
	if err != nil {
		panic(err) // a ledger was made of this very table before
	}
	d.ledger = ledger
	d.armed, d.told = 0, nil
	d.ledger.AssumeFull(now)
	d.dropFailed()
	d.countKept(now, ledger)
	d.readmit(now)
	d.crashed = false // last, so that a failure in here is recovered from as well
}

// dropFailed answers the ticket that the failure was about: to ask for it again
// might fail again. One that was passed on is answered by the pool. One that is
// not in the book was answered or closed before the failure, and is the request's.
func (d *Desk) dropFailed() {
	t := d.failed
	d.failed = nil
	if t == nil || t.Passed || t.Place == 0 {
		return
	}
	t.Permit.Reset() // the torn ledger has it queued, perhaps: it could never be used again
	d.dismiss(t, messages.ErrActorFailed)
}

// readmit counts what is in flight before it asks for anybody.
func (d *Desk) readmit(now time.Duration) {
	tickets := d.tickets.inOrder()
	for _, t := range tickets {
		if !t.Passed {
			continue
		}
		if err := d.ledger.Adopt(now, &t.Permit); err != nil {
			d.tickets.remove(t) // all it counted for is gone from the table
		}
	}
	for _, t := range tickets {
		if !t.Passed {
			t.Permit.Reset()
			d.ask(now, t)
		}
	}
}

// kept is what a torn ledger knew and the book does not: who may still arrive
// though its ticket is closed, and how long nobody may leave.
type kept struct {
	maxPause time.Duration
	lost     []lost                   // by when they were given up
	paused   map[string]time.Duration // by scope, until when
}

type lost struct {
	permit throttle.Permit // as it was in flight
	until  time.Duration   // by then it has arrived, or never will
}

func newKept(o throttle.Options) kept {
	return kept{maxPause: cmp.Or(o.MaxPause, throttle.DefaultMaxPause), paused: make(map[string]time.Duration)}
}

func (k *kept) keepPause(now time.Duration, scope string, until time.Duration) {
	k.paused[scope] = max(k.paused[scope], min(until, now+k.maxPause))
}

func (k *kept) keepLost(now time.Duration, p *throttle.Permit, limits []throttle.Limit) {
	if len(k.lost) == cap(k.lost) { // before it grows: then each costs little
		k.forgetLost(now)
	}
	k.lost = append(k.lost, lost{permit: *p, until: now + longestDelay(limits)})
}

// forgetLost drops whom nobody need count any more.
func (k *kept) forgetLost(now time.Duration) {
	k.lost = slices.DeleteFunc(k.lost, func(l lost) bool { return l.until <= now })
}

func longestDelay(limits []throttle.Limit) (longest time.Duration) {
	for _, l := range limits {
		longest = max(longest, cmp.Or(l.MaxDelay, throttle.DefaultMaxDelay))
	}
	return longest
}

// countKept tells a new ledger what the one before it knew. To it, they are lost
// only now: that delays, and is safe.
func (k *kept) countKept(now time.Duration, ledger *throttle.Ledger) {
	for scope, until := range k.paused {
		_ = ledger.PauseUntil(now, scope, until) // the scope may be gone from the table
	}
	k.forgetLost(now)
	for i := range k.lost {
		p := k.lost[i].permit
		if ledger.Adopt(now, &p) == nil { // otherwise all it counted for is gone from the table
			ledger.Settle(now, &p, throttle.Outcome{Fate: throttle.Lost})
		}
	}
}
