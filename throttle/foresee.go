package throttle

import (
	"slices"
	"time"
)

// Forecast is what would become of a permit that was asked for now. It shares nothing
// with the ledger.
type Forecast struct {
	// AtOnce says that it would be granted now.
	AtOnce bool
	// Hold is what would hold it longest, if it would have to wait.
	Hold Hold
	// RetryAt is that of the error which it would be refused with, if it was not to wait.
	RetryAt time.Duration
	// Soonest is an instant before which it cannot leave, even if nobody was queued and all that
	// is in flight, and not lost, came back: whoever has a deadline up to then is refused at
	// once. It is not after now if it may leave at any moment.
	Soonest time.Duration
	Charges []ForeseenCharge // in the order of the route: its own limit first
	Paused  []PausedScope    // that would hold it, or that it would start slowly in
	// Ahead is who is queued for one of its limits, or waits for a scope that holds it or
	// that it would start slowly in, and ranks before it; the most urgent first.
	Ahead []Class
	// More says that so many rank before it that they were not all counted.
	More bool
}

// ForeseenCharge is what a permit would be charged with for one limit.
type ForeseenCharge struct {
	ID     string
	Of     Parts // which of the limit's meters, as far as they are told apart
	Weight int64
	Quota  int64
	Room   int64 // what its window has room for now, the queue apart, and that it may be refused alone
	Kept   int64 // of that, and of the quota, what Limit.Reserve keeps for more urgent ones
	// KeptFor is the least urgent priority that has any of Kept to take; of no meaning if that is zero.
	KeptFor Priority
	Opens   time.Duration // when Weight fits, as for Hold.Until, the queue apart: now or before if it does, and Never if an answer must come
}

// Foresee returns what would become of p if it was asked for now, and changes nothing:
// neither the ledger, nor p. The error is what Acquire would refuse it with at once,
// a full queue and a deadline apart.
func (l *Ledger) Foresee(now time.Duration, asked Permit) (Forecast, error) {
	now = l.at(now)
	p := &asked
	p.state, p.Deadline = Idle, 0
	if err := l.admit(now, p, true); err != nil {
		return Forecast{}, err
	}
	f := Forecast{AtOnce: l.wouldGo(now, p)}
	if !f.AtOnce {
		f.Hold, f.Soonest = l.holding(now, p, likely), l.soonest(now, p)
		f.RetryAt = l.refusal(now, p, ErrNoRoom).RetryAt
	}
	for i, c := range p.path.charges {
		kept := c.meter.rule.reserved(p.Priority)
		f.Charges = append(f.Charges, ForeseenCharge{
			ID: c.meter.rule.ID, Of: *c.meter.of, Weight: p.weight(i), Quota: c.meter.terms.quota, Room: c.meter.window.room(now),
			Kept: kept.Weight, KeptFor: kept.For, Opens: l.opens(now, c.meter, p, p.weight(i), likely),
		})
	}
	p.path.obeyed(func(s *scope) {
		if s.paused(now) {
			f.Paused = append(f.Paused, PausedScope{Scope: s.Scope, Until: s.until, Recovering: now >= s.until})
		}
	})
	if !f.AtOnce { // or those who share a limit with it wait for others, and it goes before them
		f.Ahead, f.More = l.ahead(now, p)
	}
	return f, nil
}

// wouldGo is grantAtOnce without the grant. Between two calls of Next nobody is awake, so
// that of those who wait only its own lane and the slow starts need a look.
func (l *Ledger) wouldGo(now time.Duration, p *Permit) bool {
	if ln := p.path.lane(p.Priority); ln != nil && !p.before(ln.head) {
		return false
	}
	first := true
	p.path.obeyed(func(s *scope) {
		first = first && s.opens(now) <= now && (s.line == nil || len(s.line.lanes) == 0 || p.before(s.line.lanes[0].lane.head))
	})
	return first && l.fits(now, p)
}

// glimpse returns the path that a permit would take, or one that is like it and in no
// list: nothing is kept of what was only asked about. It goes around budgets that are
// spent as pathOf does.
func (l *Ledger) glimpse(now time.Duration, r *route, p *Permit) *path {
	return l.glimpseOf(now, r, p).aroundSpent(p, func(r *route) *path { return l.glimpseOf(now, r, p) })
}

func (l *Ledger) glimpseOf(now time.Duration, r *route, p *Permit) *path {
	of := r.by.of(p.parts())
	home := l.pauses.origins[p.Origin]
	if home == nil {
		home = l.pauses.glimpse(p.Origin)
	} else {
		if known := r.path(l.hasher.at(&of, home), &of, home); known != nil {
			return known
		}
	}
	seen := &path{route: r, of: of, home: home, own: int32(r.own)}
	for _, c := range r.tolls {
		m := l.meterAt(c.rule, of)
		if m == nil {
			own := c.rule.By.of(of)
			m = l.makeMeter(nil, c.rule, &own)
			c.rule.formers.remind(now, m, func(w int64, _ Fate, _ time.Duration) { m.window.grant(now, w) })
			if l.fillsNew(now, c.rule) {
				m.window.fill(min(l.spentBy(c.rule), now)) // nothing of it is kept, and so nothing is lost
			}
		}
		seen.charges = append(seen.charges, charge{meter: m, weight: c.weight})
		l.glimpseScope(seen, c.rule.Scope)
	}
	l.glimpseScope(seen, WholeOrigin)
	return seen
}

// glimpseScope is joinScope that keeps nothing.
func (l *Ledger) glimpseScope(seen *path, name string) {
	by := l.pauses.apart[name]
	by.sectors(name, &seen.of, func(at sector) { seen.join(seen.home.glimpse(at)) })
	for _, s := range l.pauses.troubled {
		if s.home == seen.home && s.Name == name && s.sector().concerns(by, &seen.of) {
			seen.join(s)
		}
	}
}

// glimpse returns an origin that is like one which has yet to be met.
func (ps *pauses) glimpse(name string) *origin {
	o := &origin{all: ps, name: name, scopes: map[sector]*scope{}}
	o.whole = o.glimpse(sector{name: WholeOrigin})
	o.scopes[sector{name: WholeOrigin}] = o.whole
	o.plain = append(o.plain, o.whole)
	for at := range ps.anywhere {
		if o.scopes[at] != nil {
			continue
		}
		s := o.glimpse(at)
		o.scopes[at] = s
		if !s.isPart() {
			o.plain = append(o.plain, s)
		}
	}
	return o
}

// glimpse returns a scope, or one that is like it and that nobody keeps.
func (o *origin) glimpse(at sector) *scope {
	if s := o.scopes[at]; s != nil {
		return s
	}
	s := &scope{Scope: Scope{o.name, at.name, at.account, at.egress}, home: o, until: -never}
	if until, paused := o.all.anywhere[at]; paused {
		s.until = until
	}
	return s
}

// mostAhead is how many of a lane are counted one by one.
const mostAhead = 1024

// contends reports whether who takes another path needs a meter of p's, or is in one of the
// scopes in trouble: after a pause those go one by one.
func (p *path) contends(with *path, troubled []*scope) (so bool) {
	if slices.ContainsFunc(with.charges, func(c charge) bool {
		return slices.ContainsFunc(p.charges, func(own charge) bool { return own.meter == c.meter })
	}) {
		return true
	}
	if len(troubled) > 0 {
		with.obeyed(func(s *scope) { so = so || slices.Contains(troubled, s) })
	}
	return so
}

// troubled returns the scopes of p that are paused, or start slowly.
func (p *path) troubled(now time.Duration) (all []*scope) {
	if !p.home.all.calm() {
		p.obeyed(func(s *scope) {
			if s.paused(now) {
				all = append(all, s)
			}
		})
	}
	return all
}

// ahead counts who ranks before p, and is queued for a limit of p's or for its scope.
func (l *Ledger) ahead(now time.Duration, p *Permit) (classes []Class, more bool) {
	troubled := p.path.troubled(now)
	for _, ln := range l.queue.lanes {
		if !p.path.contends(ln.path, troubled) {
			continue
		}
		n := ln.n
		if !ln.tail.before(p) {
			n = 0
			for q := ln.head; q != nil && n < mostAhead && q.before(p); q = q.next {
				n++
			}
			more = more || n == mostAhead
		}
		if n > 0 {
			classes = count(classes, ln.priority, n)
		}
	}
	return classes, more
}
