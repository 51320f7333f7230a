package throttler

import (
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
)

// Try sends a ticket on at once, or refuses it: unlike that of Acquire it is not queued.
func (d *Desk) Try(now time.Duration, t *ticket.Ticket) {
	t.Passed = false
	d.tickets.add(t)
	if d.closed {
		d.dismiss(t, messages.ErrClosed)
		return
	}
	if err := d.halted(t); err != nil {
		d.dismiss(t, err)
		return
	}
	d.readClock(now)
	t.Permit.Owner = t
	d.proceed(now, t, d.ledger.TryAcquire(now, &t.Permit))
}
