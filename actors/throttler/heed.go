package throttler

import (
	"slices"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// heed takes note of what an answer said. A pause stops every scope of the
// request's limits unless it names one; usage corrects counters upwards only,
// so answers that overtake one another loosen nothing.
func (d *Desk) heed(now time.Duration, t *ticket.Ticket) {
	f := &t.Signals
	if f.Pause > 0 {
		d.pause(now, t.Permit.Limit, f)
	}
	for _, u := range f.Usage {
		d.correct(now, u)
	}
}

func (d *Desk) pause(now time.Duration, limit string, f *feedback.Feedback) {
	scopes := []string{f.Scope}
	if f.Scope == "" {
		scopes = d.ledger.Scopes(limit)
	}
	for _, scope := range scopes {
		if err := d.stop(now, scope, now+f.Pause); err != nil {
			d.warnOnce(scope, "feedback names an unknown scope", "scope", scope)
			continue
		}
		d.out.Warn("pausing a scope of limits", "scope", scope, "pause", f.Pause)
	}
}

// correct passes on what the server counts. With a share of the quota the
// server's count says nothing about ours.
func (d *Desk) correct(now time.Duration, u feedback.Usage) {
	i := slices.IndexFunc(d.limits, func(l throttle.Limit) bool { return l.ID == u.Limit })
	if i < 0 {
		d.warnOnce(u.Limit, "feedback names an unknown limit", "limit", u.Limit)
		return
	}
	quota := d.limits[i].Quota
	if u.Quota > 0 && u.Quota != quota {
		d.warnOnce(u.Limit, "server's quota is not the table's", "limit", u.Limit, "server", u.Quota, "table", quota)
		quota = u.Quota
	}
	if share := d.options.Share; share != 0 && share != 1 {
		return
	}
	used := u.Used
	if used < 0 {
		used = quota - u.Remaining
	}
	var window time.Duration
	if !u.At.IsZero() {
		window = time.Duration(u.At.UnixNano())
	}
	if err := d.ledger.Sync(now, u.Limit, u.Key, used, window); err != nil {
		d.warnOnce(u.Limit, "feedback could not be used", "limit", u.Limit, "error", err)
	}
}

// warnOnce says a thing about a name once in the life of the engine.
func (d *Desk) warnOnce(name, text string, args ...any) {
	if key := name + ": " + text; !d.warned[key] {
		d.warned[key] = true
		d.out.Warn(text, args...)
	}
}
