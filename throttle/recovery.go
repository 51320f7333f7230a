package throttle

import "time"

// Adopt counts p, granted by a ledger that is lost, as granted now by this
// one, whether or not there is room, and whether or not it could be asked for
// still: of a limit that is gone from the table, what it was linked to counts. An
// error says that nothing is left to count. Use it before the first Acquire.
func (l *Ledger) Adopt(now time.Duration, p *Permit) error {
	now = l.at(now)
	was := p.path
	p.Reset()
	if r := l.table.routes[p.Limit]; r != nil {
		_ = r.weigh(p) // it sets the weight; that it never fits any more is no matter
		p.path = l.pathFor(now, r, p.Key)
	} else if p.path = l.remains(now, was); len(p.path.charges) == 0 {
		p.Reset()
		return &LimitError{p.Limit, ErrUnknownLimit}
	}
	l.grant(now, p)
	return nil
}

// remains returns what this table has of another's path. Its own limit is not
// among it.
func (l *Ledger) remains(now time.Duration, was *path) *path {
	left := &path{own: -1}
	if was == nil {
		return left
	}
	left.route, left.key = was.route, was.key
	for _, c := range was.charges {
		if r := l.table.rules[c.meter.rule.ID]; r != nil {
			left.charges = append(left.charges, charge{l.meterFor(now, r, was.key), c.weight, r.terms.maxDelay})
			left.join(r.scope)
		}
	}
	return left
}

// AssumeFull takes every quota as fully used at now, until time disproves it,
// so that whatever a lost ledger granted is covered. A Lifetime budget counts
// as spent until Sync brings a number that the server read after now, by a
// clock that SetClock has made known. Keys seen later are covered too.
func (l *Ledger) AssumeFull(now time.Duration) {
	now = l.at(now)
	l.filled, l.filledAt = true, now
	for _, r := range l.table.rules {
		if !r.Keyed {
			l.meterFor(now, r, "")
		}
		for _, m := range r.meters {
			m.window.fill(now)
		}
	}
	l.queue.stale = true
}
