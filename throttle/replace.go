package throttle

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Replace goes over to other limits. What is in flight, what was answered, and
// what is paused carries over for every limit whose id stays, and is found
// again if the id comes back. Queued permits keep their places; those whose
// limit is gone, or can no longer fit them, are answered Refused by Next. If
// the error is not nil nothing has changed. What tells the meters of a limit apart
// cannot change: give it another id.
func (l *Ledger) Replace(now time.Duration, limits []Limit) error {
	now = l.at(now)
	table, err := compile(limits, l.options, l.clock, l.zones())
	if err := errors.Join(err, l.otherBy(limits)); err != nil {
		return err
	}
	// First, because the lanes count on the meters as they hang on the old rules.
	waiting := l.drainQueue()
	l.adoptRules(now, table)
	l.table = table
	l.tables++
	l.pauses.name(table)
	l.dropPaths()
	l.reindex(now)
	l.requeue(now, waiting)
	for _, o := range l.pauses.origins {
		for _, s := range o.scopes {
			l.pauses.forgetPart(now, s)
		}
		l.pauses.forget(now, o)
	}
	return nil
}

// WeighBy says by what tariffs permits are weighed from now on, nil standing for none, and returns
// those before. It comes before the Replace that brings their table. A permit whose Weights come
// from others, which do not agree about its limit, is refused with ErrReweigh, by Acquire,
// Requeue, and Next for those that Replace has found in the queue: what it would be charged is
// not what its request costs any more.
func (l *Ledger) WeighBy(t *Tariffs) (before *Tariffs) {
	before, l.tariffs = l.tariffs, cmp.Or(t, NoTariffs)
	return before
}

// checkTariffs returns ErrReweigh for a permit whose weights come from tariffs that are no longer
// those of its limit.
func (l *Ledger) checkTariffs(p *Permit) error {
	if p.WeighedBy == nil || l.tariffs == nil || p.WeighedBy == l.tariffs {
		return nil
	}
	if !p.WeighedBy.agree(l.tariffs, p.Limit) {
		return &LimitError{ID: p.Limit, Err: ErrReweigh}
	}
	p.WeighedBy = l.tariffs
	return nil
}

// Table returns the number of the present table, which is one more after every
// Replace. A permit that was granted under an earlier one, and whose request has not
// left yet, is best taken back by Requeue: the table may admit less now.
func (l *Ledger) Table() uint32 { return l.tables }

// Dropped returns the ids, in order, of the limits that a table of these would not have, and of
// which something is in flight or counts as spent: Replace keeps it only for when the id comes back.
func (l *Ledger) Dropped(now time.Duration, limits []Limit) (ids []string) {
	now = l.at(now)
	stays := make(map[string]bool, len(limits))
	for i := range limits {
		stays[limits[i].ID] = stays[limits[i].ID] || limits[i].Quota > 0
	}
	for id, r := range l.table.rules {
		spent := false
		r.each(func(m *meter) { spent = spent || m.window.room(now) < m.terms.quota })
		if spent && !stays[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// otherBy complains about limits whose meters would be told apart by something else.
func (l *Ledger) otherBy(limits []Limit) error {
	var errs []error
	for i := range limits {
		old := l.known(limits[i].ID)
		if old != nil && limits[i].Quota > 0 && old.By != limits[i].apart() {
			errs = append(errs, &LimitError{ID: limits[i].ID, Err: fmt.Errorf("was by %v, and cannot be by %v: give it another id", old.By, limits[i].apart())})
		}
	}
	return errors.Join(errs...)
}

func (l *Ledger) known(id string) *rule {
	if r := l.table.rules[id]; r != nil {
		return r
	}
	return l.retired[id]
}

// adoptRules hands the meters of the present rules to those of the same id in
// the new table, and keeps the meters of the others until they are idle.
func (l *Ledger) adoptRules(now time.Duration, table *table) {
	for id, r := range l.table.rules {
		l.retired[id] = r
	}
	for id, old := range l.retired {
		if r := table.rules[id]; r != nil {
			r.flight, r.unseen, r.formers = old.flight, old.unseen || old.Window != r.Window, old.formers
			r.meters, old.meters = old.meters, index[meter]{}
			l.inheritAnnounced(r, old)
			r.each(func(m *meter) { m.move(now, r, l.termsOf(r, *m.of)) })
			delete(l.retired, id)
		} else if old.idle(now) {
			delete(l.retired, id)
		} else {
			old.each(func(m *meter) { m.paths = 0 }) // which are dropped below
		}
	}
}

func (r *rule) idle(now time.Duration) bool {
	idle := r.formers.over(now, r)
	r.each(func(m *meter) { idle = idle && m.idle(now) == fresh })
	return idle
}

// move puts m under a new rule, of which these terms are its own. A window of another kind
// begins with what was in flight, and with what is known of what was answered: never with less
// than either kind would count of it.
//
// Sliding, Fixed and FixedFromFirst ones all keep the log of the last span, and
// hand it on; beyond it what the server told counts as answered now. A counter
// and a number of open requests keep no log: whatever was answered in the last
// span of the new window may still count there, up to all of it, and so all of it
// is taken as used, unless nothing was answered for that long. So it is with a
// counter that falls more slowly than the log let through, for what the log has
// forgotten may be in it still. What an older window was too short to remember, a
// longer one does not know of either.
func (m *meter) move(now time.Duration, r *rule, t *terms) {
	was, quota, span := m.window, m.terms.quota, m.terms.hold
	kind := m.rule.Window
	m.rule, m.terms, m.paths, m.note = r, t, 0, nil
	if kind == r.Window {
		was.resize(now, t)
		return
	}
	flying := was.inFlight()
	m.window = newWindow(r.Window, t)
	used := quota - was.room(now) - flying
	switch log := logOf(was); {
	case log != nil && r.Window == Leaky && log.fasterThan(t):
		m.window.fill(now)
	case log != nil:
		used = max(used, log.strictlyUsed(now, was))
		m.window.burden(now, used-m.inherit(log))
	case r.Window.timed() && kind != Lifetime && m.seen && now-m.last < max(t.hold, t.emptying()):
		m.window.fill(now)
	default:
		m.window.burden(now, used)
	}
	if f, ok := m.window.(*fromFirst); ok {
		f.others = false // what it was told of is what the window before counted, and no spell knows of that
		f.doubt(now + max(f.hold, span))
	}
	m.window.grant(now, flying) // on top: what was answered may be as much without it
}

// logOf returns the sliding log that a window keeps, or nil.
func logOf(w window) *sliding {
	switch w := w.(type) {
	case *sliding:
		return w
	case *fixed:
		return &w.sliding
	case *fromFirst:
		return &w.sliding
	}
	return nil
}

// strictlyUsed returns what the stricter of a window and its log counts as
// answered.
func (s *sliding) strictlyUsed(now time.Duration, w window) int64 {
	s.log.expire(now)
	used := s.log.sum
	if f, ok := w.(*fixed); ok && f.advance(now) {
		used = max(used, f.worst())
	}
	return used
}

// fasterThan reports whether s lets more through in the long run than falls off
// a counter of these terms.
func (s *sliding) fasterThan(t *terms) bool {
	return float64(s.quota)*float64(t.drain) > float64(t.rate)*float64(s.hold)
}

// inherit has m's window begin with a log, entry by entry, if it keeps one, and
// returns the weight that it took over.
func (m *meter) inherit(from *sliding) int64 {
	to := logOf(m.window)
	if to == nil {
		return 0
	}
	to.log = from.log
	to.log.delay(from.later(to.terms))
	if w, ok := m.window.(*fixed); ok {
		w.unseen, w.dated = true, true // by a timestamp it may end, as far as one knows
	}
	return to.log.sum
}

// dropPaths forgets all paths, which are those of another table. What still flies
// on one keeps its origin.
func (l *Ledger) dropPaths() {
	l.idlers.each(func(p *path) {
		p.gone, p.behind = true, nil
		p.route.paths, p.route.last = index[path]{}, nil // or a meter that is in one piece with its path would keep all others
		p.home.paths--
		for _, s := range p.scopes {
			s.paths--
		}
	})
	scopes := l.idlers.scopes
	l.idlers = newIdlers()
	l.idlers.scopes = scopes
}

// reindex makes paths for the meters that carried over and are told apart, and for those of
// limits that are gone, so that they are forgotten when idle like all others.
func (l *Ledger) reindex(now time.Duration) {
	for _, rules := range []map[string]*rule{l.table.rules, l.retired} {
		for _, r := range rules { // of those that are gone one may go for good meanwhile
			if r.By != 0 {
				l.reindexRule(now, r)
			}
		}
	}
}

func (l *Ledger) reindexRule(now time.Duration, r *rule) {
	var carried []*meter // a copy: pathFor may forget some
	r.each(func(m *meter) { carried = append(carried, m) })
	for _, m := range carried {
		of := *m.of
		l.pathFor(now, r.byItself(), &of, "")
	}
}

// drainQueue empties the queue and returns its permits in the order in which
// they were queued.
func (l *Ledger) drainQueue() []*Permit {
	q := &l.queue
	waiting := make([]*Permit, 0, q.n)
	for p := q.refused.head; p != nil; p = p.next {
		waiting = append(waiting, p)
	}
	for _, ln := range q.lanes {
		for p := ln.head; p != nil; p = p.next {
			waiting = append(waiting, p)
		}
		for _, c := range ln.path.charges {
			c.meter.line = nil
		}
		if ln.line != nil && ln.line.scope != nil {
			ln.line.scope.line = nil
		}
		ln.path.lanes = nil
	}
	slices.SortFunc(waiting, func(a, b *Permit) int { return cmp.Compare(a.seq, b.seq) })
	for _, ln := range q.detached.lanes { // they stay so; the places among the deadlines are gone
		for p := ln.head; p != nil; p = p.next {
			p.seat = 0
		}
	}
	*q = queue{chance: q.chance, work: q.work, detached: q.detached}
	return waiting
}

func (l *Ledger) requeue(now time.Duration, waiting []*Permit) {
	for _, p := range waiting {
		p.prev, p.next, p.lane, p.seat = nil, nil, nil, 0
		if err := l.reroute(now, p); err != nil {
			p.err = err
			l.queue.refuse(p)
			continue
		}
		l.queue.push(l, p)
	}
}

func (l *Ledger) reroute(now time.Duration, p *Permit) error {
	if p.err != nil {
		return p.err // refused already
	}
	r := l.table.routes[p.Limit]
	if r == nil {
		return l.table.unknown(p.Limit)
	}
	if r.falls { // the fallback may be new, and look at a key that was no matter before
		if err := r.checkKey(p.Key); err != nil {
			return err
		}
	}
	if err := cmp.Or(l.checkTariffs(p), r.weigh(p)); err != nil {
		return err
	}
	p.path = l.pathOf(now, r, p)
	return l.fitsEver(p)
}

// refuse has Next return p, whose error is set.
func (q *queue) refuse(p *Permit) {
	p.state = Queued
	q.n++
	q.refused.push(p)
}
