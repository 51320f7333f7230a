package throttle

import "time"

// Adopt counts p, granted by a ledger that is lost, as granted now by this
// one, whether or not there is room. Use it before the first Acquire.
func (l *Ledger) Adopt(now time.Duration, p *Permit) error {
	now = l.at(now)
	p.Reset()
	r := l.table.routes[p.Limit]
	if r == nil {
		return &LimitError{p.Limit, ErrUnknownLimit}
	}
	if err := r.weigh(p); err != nil {
		return err
	}
	p.path = l.pathFor(now, r, p.Key)
	l.grant(now, p)
	return nil
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
			l.meterFor(now, r, "") // one that nobody has asked for yet has to be full too
		}
		for _, m := range r.meters {
			m.window.fill(now)
		}
	}
	l.queue.stale = true
}
