package throttle

import (
	"slices"
	"time"
)

// Hold says what keeps a queued permit.
type Hold struct {
	// Limit is the one that lets it go last, and Account, Key and Egress are what its
	// instance is for; all are empty if that is a pause of a scope that none of its
	// limits is in.
	Limit                string
	Account, Key, Egress string
	// Kept is what that limit keeps from the permit for more urgent ones, if it has no room for
	// both; it may be full for everybody. It is zero if a pause holds the permit.
	Kept Kept
	// Scope is the one that is paused or recovering, if Paused.
	Scope Scope
	// Paused says that no limit holds the permit as long as that scope does.
	Paused bool
	// Until is when it may be granted if nothing else happens before, those who
	// rank before it apart; 0 means that no instant is known, as in a slow start, where
	// the next answer may let it go. A Fixed limit opens when the server's clock is likely to
	// have its window turn. Sure that is a little later; for a wait of a day, and clocks that
	// may drift apart by 200 ppm, by 17 s, if nobody looks at that clock meanwhile.
	Until time.Duration
}

// Holding explains what keeps p, which is queued; any other permit is kept by
// nothing. It is worked out when asked for.
func (l *Ledger) Holding(now time.Duration, p *Permit) Hold {
	now = l.at(now)
	if p.state != Queued || p.lane == nil {
		return Hold{}
	}
	return l.holding(now, p, likely)
}

// holding finds what holds p the longest. A limit that waits for an answer holds
// longer than any instant, but a pause is named before it: answers will come
// while it lasts. Where all limits have room, those ahead hold p, in the limit
// that has least to spare of those in which they hold anything. Windows turn so surely.
func (l *Ledger) holding(now time.Duration, p *Permit, how sureness) Hold {
	var h Hold
	latest, least := now, int64(maxWeight)
	for i, c := range p.path.charges {
		w := p.weight(i)
		if w == 0 {
			continue
		}
		at := l.opens(now, c.meter, p, w, how)
		if spare := c.meter.window.room(now) - w; at > latest || latest == now && spare < least && l.heldBefore(c.meter, p) > 0 {
			latest, least = at, spare
			h.name(c.meter)
			h.Kept = l.keeps(now, c.meter, p, w)
		}
	}
	paused, slow := now, false
	var by Scope
	p.path.obeyed(func(s *scope) {
		if at := s.opens(now); at > paused {
			paused, by, slow = at, s.Scope, now >= s.until
		}
	})
	if paused > now && (paused >= latest || latest == never) {
		h = Hold{Scope: by, Paused: true}
		if m := p.path.inScope(by.Name); m != nil {
			h.name(m)
		}
		latest = paused
	}
	if latest > now && latest != never && !(h.Paused && slow) { // in a slow start the next answer may let p go
		h.Until = latest
	}
	return h
}

// refusal is the error for p, which would have to wait, or has waited too long.
// It is made only when it is wanted: to admit costs nothing for it.
func (l *Ledger) refusal(now time.Duration, p *Permit, reason error) *LimitError {
	h := l.holding(now, p, atBest)
	e := &LimitError{ID: p.Limit, Err: reason, Full: h.Limit, Account: h.Account, Key: h.Key, Egress: h.Egress, Kept: h.Kept, Paused: h.Paused, RetryAt: h.Until}
	switch at := l.soonest(now, p); {
	case at == never:
	case at > now:
		e.RetryAt = max(e.RetryAt, at)
	case !h.Paused && l.counts(p, h, Concurrency):
		e.RetryAt = 0 // any answer may let p go, before what was lost is over
	}
	return e
}

// counts reports whether the limit that holds p counts in such a window.
func (l *Ledger) counts(p *Permit, h Hold, of Window) bool {
	return slices.ContainsFunc(p.path.charges, func(c charge) bool { return c.meter.rule.ID == h.Limit && c.meter.rule.Window == of })
}

// name says that m holds.
func (h *Hold) name(m *meter) {
	h.Limit, h.Account, h.Key, h.Egress = m.rule.ID, m.of.Account, m.of.Key, m.of.Egress
}

// inScope returns the meter of a limit of p that pauses with a scope of that name, or nil.
func (p *path) inScope(name string) *meter {
	for _, c := range p.charges {
		if c.meter.rule.Scope == name || name == WholeOrigin {
			return c.meter
		}
	}
	return nil
}
