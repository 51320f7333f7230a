package throttler

import (
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
)

// Who is told that a ticket queues: those who are still to come, if many wait, its request, if
// that wants to know, and whoever runs the engine, if the wait is worth a word.

// tellQueued counts a ticket that queues, and tells a request that wants to know.
func (d *Desk) tellQueued(t *ticket.Ticket) {
	if t.Place == 0 || t.Passed { // it has been answered, and may be its request's
		return
	}
	d.tickets.countIn(t)
	if t.TellsQueue {
		t.Queue() // first: whoever is told may ask at once
		t.Owner.Tell(ticket.PermitQueued{Ticket: t})
	}
}

const (
	longWait   = time.Second      // from which on waiting for a limit is worth a word
	tellsEvery = 30 * time.Second // how often the word is said, for each limit
)

// tellWaiting warns that a limit is reached and requests wait for it, unless the wait
// is a brief one.
func (d *Desk) tellWaiting(now time.Duration, t *ticket.Ticket) {
	if t.Place == 0 { // it has been answered, and is its request's
		return
	}
	if at, told := d.waits[t.Permit.Limit]; told && now < at+tellsEvery || t.Permit.State() != throttle.Queued {
		return
	}
	d.warnOfWait(now, t)
}

// warnOfWait is apart from tellWaiting, because nearly nobody needs the room it takes.
func (d *Desk) warnOfWait(now time.Duration, t *ticket.Ticket) {
	hold := d.ledger.Holding(now, &t.Permit)
	if d.isBrief(now, hold) {
		return
	}
	d.waits[t.Permit.Limit] = now
	next := "once an answer comes, or one ahead leaves"
	if hold.Until != 0 && hold.Until != throttle.Never {
		next = (hold.Until - now).String()
	}
	about := []any{"route", t.Permit.Limit, "limit", hold.Limit, "paused", hold.Paused, "queued", d.ledger.Len(), "next opening in", next}
	if kept := hold.Kept.String(); kept != "" {
		about = append(about, "kept", kept)
	}
	d.out.Warn("a limit is reached, and requests wait for it", about...)
}

// isBrief reports whether a wait is not worth a word. Where no instant is known, an
// answer is waited for. That is how a Concurrency limit works, and says nothing of how
// full it is; a window that is shorter than a long wait opens soon after.
func (d *Desk) isBrief(now time.Duration, hold throttle.Hold) bool {
	switch {
	case hold.Until != 0:
		return hold.Until < now+longWait
	case hold.Paused: // it starts slowly: of the pause before that a word was said
		return true
	}
	window, per, known := d.ledger.WindowOf(hold.Limit)
	return known && (window == throttle.Concurrency || per > 0 && per < longWait)
}
