package throttle

import "time"

// Adopt counts p, granted by a ledger that is lost, as granted now by this
// one, whether or not there is room, and whether or not it could be asked for
// still: of a limit that is gone from the table, what it was linked to counts. An
// error says that nothing is left to count. Use it before the first Acquire.
func (l *Ledger) Adopt(now time.Duration, p *Permit) error {
	now = l.at(now)
	was := p.path
	if l.recorder != nil && p.state == Granted {
		l.recorder.Settled(now, p, Outcome{Fate: NeverSent}) // it gets another number
	}
	p.Reset()
	if r := l.table.routes[p.Limit]; r != nil {
		_ = r.weigh(p) // it sets the weight; that it never fits any more is no matter
		of := p.parts()
		p.path = l.pathFor(now, r.like(was), &of, p.Origin)
	} else if p.path = l.remains(now, was); p.path == nil {
		return l.table.unknown(p.Limit)
	}
	p.parked = false
	l.grant(now, p)
	return nil
}

// remains returns what this table has of another's path; nil means nothing. Its
// own limit is not among it.
func (l *Ledger) remains(now time.Duration, was *path) *path {
	if was == nil {
		return nil
	}
	home := l.pauses.origin(now, was.home.name)
	left := &path{route: was.route, of: was.of, home: home, own: -1, gone: true}
	for _, c := range was.charges {
		r := l.table.rules[c.meter.rule.ID]
		if r == nil {
			continue
		}
		left.charges = append(left.charges, charge{l.usedMeter(now, r, *c.meter.of), c.weight, r.terms})
		l.joinScope(now, left, r.Scope)
	}
	if len(left.charges) == 0 {
		l.pauses.forget(now, home)
		return nil
	}
	l.joinScope(now, left, WholeOrigin)
	return left
}

// assumeFull takes every quota as fully used at now, until time disproves it,
// so that whatever a lost ledger granted is covered. A Lifetime budget counts
// as spent until Sync brings a number that the server read after now, by a
// clock that SetClock has made known. What is seen later, such as another key, is covered too.
// If unsure, what was in flight is not known, and may be as much as was answered.
func (l *Ledger) assumeFull(now time.Duration, unsure bool) {
	l.filled, l.filledAt, l.unsure = true, now, unsure
	for _, r := range l.table.rules {
		if r.By == 0 {
			l.meterFor(now, r, noParts) // one that nobody has asked for yet has to be full too
		}
		r.each(func(m *meter) { l.fill(now, m, m.window.room(now)) })
	}
	l.queue.touchAll()
	if l.recorder != nil {
		l.recordFull()
	}
}

// spentBy is the latest instant at which the server can have counted what a meter of r is
// taken for full of.
func (l *Ledger) spentBy(r *rule) time.Duration {
	if l.unsure {
		return l.filledAt + r.terms.maxDelay
	}
	return l.filledAt
}

// fill takes w of m, which has room for it, as spent by spentBy: as answered, or in flight
// until then. Neither a budget nor what is open goes by the instant of an arrival.
func (l *Ledger) fill(now time.Duration, m *meter, w int64) {
	by := l.spentBy(m.rule)
	switch {
	case !m.rule.Window.timed() || by <= l.filledAt:
		m.window.fill(l.filledAt)
	case by <= now:
		m.window.fill(by)
	case w > 0:
		l.holdLost(m, w, Lost, l.filledAt)
	}
}

// holdLost has m hold w that was given up at an instant, long after it was granted.
func (l *Ledger) holdLost(m *meter, w int64, fate Fate, at time.Duration) {
	t := m.terms
	m.window.grant(at-t.hold, w)
	heir := &path{route: &route{}, own: -1, charges: []charge{{m, w, t}}}
	l.lost.keep(&lostPermit{path: heir, fate: fate, granted: at - t.hold, lost: at})
}

// Successor returns the ledger that goes on after l, which a panic may have torn in the middle
// of a change. It has the limits that are given, the options of l, and of l what is plain data
// and does not break: what is paused, how often each scope was refused in a row, which limits
// are held for a refusal of their own, lost permits, and the order of the permits. Every window
// is taken for full, as by Options.StartFull. What is in flight is adopted by it, what was
// queued is Reset and asked for again. The error is that of New.
func (l *Ledger) Successor(now time.Duration, limits []Limit) (*Ledger, error) {
	next, err := New(limits, l.options)
	if err != nil {
		return nil, err
	}
	if l.now != unset {
		now = max(now, l.now)
	}
	next.now, next.seq, next.tables, next.recorder = now, l.seq, l.tables, l.recorder
	next.tariffs = l.tariffs
	whole(func() { next.inheritPauses(l.pauses) })
	for id, r := range next.table.rules {
		if old := l.table.rules[id]; old != nil {
			whole(func() { next.inheritAnnounced(r, old) })
		}
	}
	for _, s := range l.lost {
		whole(func() { next.inheritLost(s) })
	}
	whole(func() { next.inheritRefused(l.refused) })
	unsure := false
	whole(func() { unsure = l.doubts(now) })
	next.assumeFull(now, unsure)
	return next, nil
}

// doubts reports whether something may still arrive that was in flight when the windows
// were taken for full.
func (l *Ledger) doubts(now time.Duration) bool {
	for _, r := range l.table.rules {
		if l.unsure && now < l.spentBy(r) {
			return true
		}
	}
	return false
}

// whole does something with parts of a torn ledger, as far as it gets.
func whole(do func()) {
	defer func() { _ = recover() }()
	do()
}

func (l *Ledger) inheritPauses(old *pauses) {
	most := l.now + l.options.MaxPause
	for name := range old.names {
		l.pauses.names[name] = true
	}
	for at, until := range old.anywhere {
		l.pauses.anywhere[at] = min(until, most)
	}
	l.pauses.version = old.version + 1
	for _, o := range old.origins {
		for _, s := range o.scopes {
			if !s.paused(l.now) && s.refusals == 0 {
				continue
			}
			heir := l.pauses.origin(l.now, s.Origin).scope(l.now, s.sector())
			heir.until, heir.refusals = min(max(heir.until, s.until), most), max(0, s.refusals)
			heir.allowance, heir.grown = max(0, s.allowance), l.now
			heir.since, heir.byHand = s.since, s.byHand
			l.pauses.watch(l.now, heir)
		}
	}
}

// inheritLost counts a lost permit as lost on the limits that have not let go of
// it. Limits that are no longer there have nothing to count.
func (l *Ledger) inheritLost(s *lostPermit) {
	if s.fate != Lost && s.fate != Closed || s.lost > l.now {
		return
	}
	heir := &path{route: &route{}, own: -1}
	for i, c := range s.path.charges {
		r := l.table.rules[c.meter.rule.ID]
		w := s.weight(i)
		if r == nil || c.delay(s.fate) <= s.past || w <= 0 || w > maxWeight {
			continue
		}
		m := l.usedMeter(l.now, r, *c.meter.of)
		m.window.grant(l.now, w)
		heir.charges = append(heir.charges, charge{m, w, c.terms})
	}
	if len(heir.charges) > 0 {
		l.lost.keep(&lostPermit{path: heir, fate: s.fate, granted: s.granted, lost: s.lost, past: s.past})
	}
}
