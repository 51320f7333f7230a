package throttle

import (
	"slices"
	"time"
)

// A budget that is spent hands over to its fallback by another path: the same tolls,
// with that of the budget replaced. A queued permit stands on exactly one path, and is
// moved to another with its rank and the time it has waited, never with its place alone.
//
// Invariant, between calls of Next, with Next called until it returns nil: the head of
// a lane stands on the path that goes around those of its budgets that have a fallback
// and cannot pay for it, whatever becomes of what is in flight, and around no other.

// named returns the route that a detour was made of, and any other itself.
func (r *route) named() *route {
	if r.from != nil {
		return r.from
	}
	return r
}

// detour returns the route around the i-th toll, which has a fallback. Of several that
// are spent the first is always gone around first, so that there is one detour for all
// of them.
func (r *route) detour(i int) *route {
	if r.detours == nil {
		r.detours = make([]*route, len(r.tolls))
	}
	if r.detours[i] == nil {
		r.detours[i] = r.around(i)
	}
	return r.detours[i]
}

func (r *route) around(i int) *route {
	spent := r.tolls[i].rule
	instead := toll{spent.fallback, spent.fallback.Weight}
	d := &route{id: r.id, place: r.place, own: r.own, from: r.named(), spent: append(slices.Clip(r.spent), spent.ID), stand: r.stand}
	if r.own == i || r.own < 0 && r.stand == spent.ID {
		d.own, d.stand = -1, instead.rule.ID
	}
	d.tolls = slices.Clone(r.tolls)
	if at := slices.IndexFunc(r.tolls, func(t toll) bool { return t.rule == instead.rule }); at < 0 {
		d.tolls[i] = instead
	} else {
		d.tolls[at].weight = min(d.tolls[at].weight+instead.weight, maxWeight)
		d.tolls = slices.Delete(d.tolls, i, i+1)
		if d.own > i {
			d.own--
		}
	}
	d.look()
	d.by |= r.by // so that its paths know whose budget they go around
	d.paused = r.paused
	return d
}

// like returns the detour of r that goes around the budgets that another path went
// around, as far as they are still on the way.
func (r *route) like(was *path) *route {
	if was == nil {
		return r
	}
	for _, id := range was.route.spent {
		i := slices.IndexFunc(r.tolls, func(t toll) bool { return t.rule.ID == id && t.rule.fallback != nil })
		if i < 0 {
			break
		}
		r = r.detour(i)
	}
	return r
}

// pathOf returns the path that p is to take by now. Its weights are those of the route
// that it names. The caller uses the path before it asks for another, which might have
// it forgotten.
func (l *Ledger) pathOf(now time.Duration, r *route, p *Permit) *path {
	if was := p.path; was != nil && was.route == r && !was.gone && !was.kept {
		r.last = was // a permit that is used again mostly goes where it went, which need not be looked up
	}
	of := Parts{p.Account, p.Key, p.Egress} // parts() would take as much room again
	at := l.pathFor(now, r, &of, p.Origin)
	if !r.falls {
		return at
	}
	return l.pathAround(now, at, p)
}

// pathAround is apart, so that a request without such a budget has no room for it on its
// stack.
//
//go:noinline
func (l *Ledger) pathAround(now time.Duration, at *path, p *Permit) *path {
	return at.aroundSpent(p, func(r *route) *path { of := p.parts(); return l.pathFor(now, r, &of, p.Origin) })
}

// aroundSpent returns the path that p is to take instead of one with budgets that may be
// spent; find finds that of a route.
func (at *path) aroundSpent(p *Permit, find func(*route) *path) *path {
	for i := 0; i < len(at.charges); i++ {
		if at.isSpentFor(p, i) {
			at, i = find(at.route.detour(i)), -1
		}
	}
	return at
}

// isSpentFor reports whether the i-th toll is one on a budget that cannot pay for p, and
// has a fallback.
func (at *path) isSpentFor(p *Permit, i int) bool {
	c := &at.charges[i]
	if c.meter.rule.fallback == nil {
		return false
	}
	w := p.weightOn(at, i)
	b, ok := c.meter.window.(*lifetime)
	return ok && w > 0 && b.exhausted(w+c.meter.rule.kept(p.Priority))
}

// relocate has all of a lane wait on the paths that are theirs by now, and reports
// whether its head has left it for one. The head goes last, so that the lane is looked
// at anew but once.
func (l *Ledger) relocate(now time.Duration, ln *lane) bool {
	q, r, head := &l.queue, ln.path.route.named(), ln.head
	for p := head.next; p != nil; {
		next := p.next
		if to := l.pathOf(now, r, p); to != ln.path {
			q.drop(ln, p)
			l.moveTo(to, p)
		}
		p = next
	}
	to := l.pathOf(now, r, head)
	if to == ln.path {
		return false
	}
	q.withdraw(ln)
	q.succeed(ln, head)
	l.moveTo(to, head)
	return true
}

// moveTo has p, which has left its lane, wait on another path as long as it has waited.
func (l *Ledger) moveTo(to *path, p *Permit) {
	since := p.granted
	p.path = to
	l.queue.n--
	if err := l.fitsEver(p); err != nil {
		p.err = err
		l.queue.refuse(p)
		return
	}
	l.queue.push(l, p)
	p.granted = since
}

// fallBack goes on with a lane whose head may wait for a budget that is spent, and
// reports whether there is another head to be looked at.
func (l *Ledger) fallBack(now time.Duration, ln *lane) bool {
	for i := range ln.path.charges {
		if ln.path.isSpentFor(ln.head, i) {
			return l.relocate(now, ln)
		}
	}
	return false
}

// comeBack has those who wait at the fallback of m go back to m, as far as it can pay
// for them again.
func (l *Ledger) comeBack(now time.Duration, m *meter) {
	if m.rule.fallback == nil {
		return
	}
	for _, ln := range slices.Clone(l.queue.lanes) {
		if ln.head != nil && slices.Contains(ln.path.route.spent, m.rule.ID) { // it may have been closed, or even used again, on the way
			l.relocate(now, ln)
		}
	}
}

// A request that is charged a fallback may count at the budget all the same: if the
// server has given that room by the time it arrives, of which we hear later. So while it
// is in flight its weight is left free there, should there be room; and where room was
// given after it left, or within newsWithin of its answer, it counts at both.

// setAside is told of a permit that was granted on a detour.
func (l *Ledger) setAside(now time.Duration, p *Permit) {
	for _, id := range p.path.route.spent {
		if r := l.table.rules[id]; r != nil {
			if b, ok := l.usedMeter(now, r, p.path.of).window.(*lifetime); ok {
				b.aside += p.path.wouldCost(id, p.cost, p.Weights)
			}
		}
	}
}

// landed is told that what was set aside is in flight no longer, and whether it arrived.
// The limits may have been replaced meanwhile. Meters of which something is set aside are
// not forgotten.
func (l *Ledger) landed(now time.Duration, at *path, cost int64, weights []Cost, granted time.Duration, arrived bool) {
	for _, id := range at.route.spent {
		r := l.known(id)
		if r == nil {
			continue
		}
		m := l.meterAt(r, at.of)
		if m == nil {
			continue
		}
		if b, ok := m.window.(*lifetime); ok {
			w := at.wouldCost(id, cost, weights)
			b.aside = max(0, b.aside-w)
			if arrived {
				b.fellBack(now, granted, w)
				if l.recorder != nil {
					l.recordBudget(m, b)
				}
			}
			l.queue.freed(m, now, now)
		}
	}
}

// wouldCost returns what a request on a detour would be charged for a budget that it goes
// around, were it not for that: cost is what it is charged for the limit that it names,
// and weights are its overrides.
func (at *path) wouldCost(id string, cost int64, weights []Cost) int64 {
	r := at.route.named()
	for i, t := range r.tolls {
		switch {
		case t.rule.ID == id && i == r.own:
			return cost
		case t.rule.ID == id:
			return overridden(weights, id, t.weight)
		}
		for f := t.rule.fallback; f != nil; f = f.fallback {
			if f.ID == id {
				return overridden(weights, id, f.Weight)
			}
		}
	}
	return 0
}

// checkFallback finds the limit that takes over from one that is spent.
func (b *builder) checkFallback(place int) {
	d := &b.declared[place]
	if d.Fallback == "" || d.isRoute() {
		return // a route has none, and checkRoute says so
	}
	if d.Window != Lifetime {
		b.complain(d.Limit, "has a fallback, which is for lifetime windows only: any other has room again by itself")
	}
	r := b.routes[d.Fallback]
	switch {
	case r == nil:
		b.complain(d.Limit, "falls back on unknown limit %q", d.Fallback)
	case b.declared[r.place].isRoute():
		b.complain(d.Limit, "falls back on %q, which is a route without a quota", d.Fallback)
	case len(b.declared[r.place].Linked) > 0:
		b.complain(d.Limit, "falls back on %q, which has links: give them to the routes that charge %q", d.Fallback, d.ID)
	default:
		d.fallBackOn(&b.declared[r.place])
	}
}

// fallBackOn has another limit take over from one, or none.
func (d *declared) fallBackOn(other *declared) {
	d.fallback = other
	if d.rule == nil {
		return
	}
	d.rule.fallback = nil
	if other != nil {
		d.rule.fallback = other.rule // nil for one with a mistake of its own
	}
}

// checkFallbackCycle complains about a limit that takes over from itself in the end, and
// about one behind which more wait to take over than a request may be charged. Neither has
// a fallback then, so that whoever follows them next finds an end.
func (b *builder) checkFallbackCycle(place int) {
	d := &b.declared[place]
	if d.fallback == nil {
		d.ends = true
		return
	}
	b.sums++
	var way []*declared
	for ; d != nil && !d.ends && d.sum != b.sums; d = d.fallback {
		d.sum = b.sums
		way = append(way, d)
	}
	if d != nil && !d.ends {
		b.complain(d.Limit, "falls back on itself in the end")
		d.fallBackOn(nil) // once is enough
	}
	for _, d := range slices.Backward(way) {
		d.ends = true
		if d.fallback == nil {
			continue
		}
		if d.inARow = d.fallback.inARow + 1; d.inARow <= MostCharged {
			continue
		}
		if d.inARow == MostCharged+1 { // and not of each before it
			b.complain(d.Limit, "has %d fallbacks, one behind the other, and %d is the most", d.inARow, MostCharged)
		}
		d.fallBackOn(nil)
	}
}

// checkDetours complains about a route that charges more to a fallback than it has: if
// all budgets on the way are spent that fall back on it, it is charged for each.
func (b *builder) checkDetours(l *Limit, r *route) {
	if !r.falls {
		return
	}
	sums := map[*rule]int64{}
	for _, t := range r.tolls {
		sums[t.rule] = min(sums[t.rule]+t.weight, maxWeight)
		for f := t.rule.fallback; f != nil; f = f.fallback {
			sums[f] = min(sums[f]+f.Weight, maxWeight)
		}
	}
	for _, t := range r.tolls {
		for f := t.rule.fallback; f != nil; f = f.fallback {
			f.bears(sums[f], r.id)
			if f.neverFits(sums[f]) {
				b.complain(l, "charges %d to the fallback %q, which never fits into %d", sums[f], f.ID, f.terms.quota)
			}
		}
	}
}

// bears notes the most that any route is charged for a limit.
func (r *rule) bears(w int64, route string) {
	if w > r.heaviest {
		r.heaviest, r.heaviestOf = w, route
	}
}

// mayCharge reports whether a toll is one for a limit, or falls back on it.
func (t toll) mayCharge(id string) bool {
	for r := t.rule; r != nil; r = r.fallback {
		if r.ID == id {
			return true
		}
	}
	return false
}
