package throttler

import (
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
)

// Try sends a ticket on at once, or refuses it: unlike that of Acquire it is not queued.
func (d *Desk) Try(now time.Duration, t *ticket.Ticket) {
	t.Passed, t.Since = false, now
	d.tickets.add(t)
	if d.mayAsk(now, t) {
		d.proceed(now, t, d.ledger.TryAcquire(now, &t.Permit))
	}
}
