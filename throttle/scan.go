package throttle

import "time"

// Next returns the next queued permit that has an answer at now, Granted,
// Expired or Refused, or nil. A permit whose room comes free at its deadline is
// still in time.
func (l *Ledger) Next(now time.Duration) *Permit {
	now = l.at(now)
	q := &l.queue
	if p := q.refused.head; p != nil {
		q.remove(p)
		p.state = Refused
		return p
	}
	// Those whose deadline is this very instant are granted if they can be, and
	// expire only then.
	if p := l.expired(now, now-1); p != nil {
		return p
	}
	if p := l.scan(now); p != nil {
		return p
	}
	return l.expired(now, now)
}

// expired returns a permit whose deadline is at or before last, if any.
func (l *Ledger) expired(now, last time.Duration) *Permit {
	q := &l.queue
	p := q.deadlines.first(last)
	if p == nil {
		return nil
	}
	p.err = l.refusal(now, p, ErrDeadline)
	q.remove(p)
	p.state = Expired
	return p
}

// scan looks at the lanes that are awake, best first, until one of them has a head
// that is granted or must be refused, which it returns.
//
// What it finds on the way holds to the end: nothing that a lane does changes
// anything for a better one. So whoever is woken meanwhile ranks behind whoever was
// looked at before.
func (l *Ledger) scan(now time.Duration) *Permit {
	q := &l.queue
	for q.n > 0 {
		attended := q.work.attended
		l.attendDue(now)
		if len(q.awake) == 0 {
			break
		}
		ln := q.awake[0].lane
		p := ln.head
		if p.path.route.falls && l.fallBack(now, ln) {
			continue
		}
		if err := p.hopeless(); err != nil {
			q.remove(p)
			p.state, p.err = Refused, err
			return p
		}
		if ln.woken <= attended && !l.passes(now, ln) {
			q.sleepOn(ln)
			continue
		}
		if l.examine(now, ln) > now {
			continue
		}
		q.take(ln)
		l.spreadAfter(now, p)
		l.grant(now, p)
		return p
	}
	return nil
}

// passes reports whether there still is a reason to look at a lane that is awake: a
// better one may have come to hold since what it was woken for.
func (l *Ledger) passes(now time.Duration, ln *lane) bool {
	switch at := ln.line; {
	case at == nil || ln.roused:
		return true
	case at.scope != nil:
		return at.scope.opens(now) <= now
	}
	c := ln.asleep()
	m := c.line.meter
	ahead := c.line.heldBefore(&l.queue, c.rank, c.seq)
	if c.mode == paced && l.opening(now, m, ln.head, ahead, c.weight) <= now {
		return true
	}
	room, want := m.window.room(now), behind(ahead, c.want)
	return c.mode == plain && want <= room && m.shutUntil(now) <= now || c.review <= now ||
		c.far && want <= m.terms.quota ||
		c.pend > 0 && m.holdsFrom(now, room, want, c.pend) <= now
}

// attendDue looks at every line of which something may have changed, and wakes whom
// they let pass.
func (l *Ledger) attendDue(now time.Duration) {
	q := &l.queue
	for q.alarms.next() <= now {
		ln := q.alarms.first.line
		q.alarms.clear(ln)
		q.touch(ln)
	}
	for len(q.touched) > 0 {
		last := len(q.touched) - 1
		ln := q.touched[last]
		q.touched[last] = nil
		q.touched = q.touched[:last]
		ln.touched = false
		q.work.attended++
		switch {
		case ln.meter != nil:
			l.attendLimit(now, ln)
		case ln.scope != nil:
			q.attendScope(now, ln)
		default:
			q.reuse(ln)
		}
	}
}

// attendScope wakes the best lane of a scope that lets it pass. Once that has been
// looked at, the line is touched again, and the next one's turn comes.
func (q *queue) attendScope(now time.Duration, ln *line) {
	switch at := ln.scope.opens(now); {
	case len(ln.lanes) == 0:
	case at > now:
		q.alarms.set(ln, at)
	default:
		q.wake(ln.lanes[0].lane)
	}
}

// attendLimit wakes the best lane that there is reason to look at, of each reason that
// there is, as attendScope does; if there is none, it sees to it that the line is
// looked at again when time may have brought one.
func (l *Ledger) attendLimit(now time.Duration, ln *line) {
	q, m := &l.queue, ln.meter
	if ln.root == nil {
		q.alarms.clear(ln)
		return
	}
	room := m.window.room(now)
	c, at := l.nextToPass(now, ln, room)
	found := q.wakeClaim(c)
	if m.rule.Window == Lifetime {
		found = q.wakeClaim(ln.firstHopeless(q)) || found
	}
	if ln.root.soonest <= now {
		found = q.wakeClaim(ln.firstToReview(q, now)) || found
	}
	at = min(at, ln.root.soonest)
	if ln.root.beyond <= m.terms.quota {
		found = q.wakeClaim(ln.firstWithin(q, m.terms.quota, isFar)) || found
	}
	if ln.root.pending != nothing {
		next := holdSearch{q: q, m: m, now: now, room: room, at: max(at, now+1)}
		next.within(ln.root, 0)
		found = next.at <= now && q.wakeClaim(next.claim) || found
		at = min(at, next.at)
	}
	if !found {
		q.alarms.set(ln, at)
	}
}

// wakeClaim wakes the lane of a claim, if there is one.
func (q *queue) wakeClaim(c *claim) bool {
	if c != nil {
		q.wake(c.lane)
	}
	return c != nil
}

// nextToPass returns the best-ranked sleeper that the limit lets pass; or nil, and when
// time alone may let one pass.
func (l *Ledger) nextToPass(now time.Duration, ln *line, room int64) (c *claim, at time.Duration) {
	q, m := &l.queue, ln.meter
	at = never
	switch least := ln.root.plain; {
	case least == nothing:
	case least > room:
		at = max(m.window.when(now, least, m.window.inFlight()), m.shutUntil(now), now+1)
	case m.shutUntil(now) > now:
		at = m.shutUntil(now)
	default:
		return ln.firstWithin(q, room, isPlain), now
	}
	if ln.root.paced != nothing {
		c := ln.firstPaced(q)
		opens := l.opening(now, m, c.lane.head, ln.heldBefore(q, c.rank, c.seq), c.weight)
		if opens <= now {
			return c, now
		}
		at = min(at, opens)
	}
	return nil, at
}

// firstHopeless returns the best-ranked claim on a lifetime budget that cannot pay for
// it any more.
func (ln *line) firstHopeless(q *queue) *claim {
	b, ok := ln.meter.window.(*lifetime)
	if !ok {
		return nil
	}
	return ln.find(q, func(c *claim) bool { return b.exhausted(c.most) }, func(c *claim) bool { return b.exhausted(c.want) })
}

// holdsFrom returns from when on a head that sleeps at m may hold limits of the cycle
// pend, if m has to have so much room for it, and has what it has now: once the wait
// is no longer than that cycle. It is never for a wait of which no end is known.
func (m *meter) holdsFrom(now time.Duration, room, want int64, pend time.Duration) time.Duration {
	if want <= room {
		return m.shutUntil(now) - pend
	}
	if at := m.window.when(now, want, m.window.inFlight()); at != never {
		return max(at, m.shutUntil(now), now+1) - pend
	}
	return never
}

// examine returns now if the head of a lane that is awake may be granted. Otherwise it
// has the lane sleep, and returns an instant after now.
func (l *Ledger) examine(now time.Duration, ln *lane) time.Duration {
	q, p := &l.queue, ln.head
	q.work.examined++
	if s := p.path.closedBy(now); s != nil {
		q.sleepAtScope(ln, s)
		return never
	}
	at := now
	for i := range ln.claims {
		c, m := &ln.claims[i], p.path.charges[i].meter
		c.weight = p.weight(i)
		c.ahead = c.line.heldBefore(q, p.rank, p.seq)
		c.opens = l.opening(now, m, p, c.ahead, c.weight)
		at = max(at, c.opens)
	}
	if at > now {
		l.reserve(now, ln)
	}
	return at
}

// sleepAtScope has a lane sleep at a scope. What is paused keeps nothing from others.
func (q *queue) sleepAtScope(ln *lane, s *scope) {
	for i := range ln.claims {
		c := &ln.claims[i]
		c.weight = ln.head.weight(i)
		q.amend(c, stance{review: never, want: c.needs(ln.priority)}, ln.head)
	}
	if s.line == nil {
		s.line = q.newLine()
		s.line.scope = s
	}
	s.line.needed++ // first, or else the line may be closed if it is the one that is left
	q.leave(ln)
	ln.line, ln.state = s.line, atScope
	s.line.lanes.push(ln)
	q.touch(s.line)
}

// reserve has a lane sleep, whose head is blocked, and hold what the head needs from
// all heads that rank below it: room where there is room for it, and whatever there
// is where there is not. It does so in the limits that the head waits for longest, one
// of which it sleeps at, and in those whose own cycle is no shorter than that wait. It
// holds more as the end of the wait comes nearer, see holdSearch, and when
// it has not come when it should have, all is looked at anew.
//
// Of any two limits, then, the one with the longer cycle is held while the head waits
// for the other. Let p be the best-ranked head that needs any of its limits, and
// let C1 >= C2 >= ... be their cycles. No limit lets p wait for more than its own
// cycle, so the first is held at all times, and has room for p within C1 and from
// then on. If p sleeps there it is woken by that; wherever else it sleeps it waits for
// C2 at most, so that the second is held already, or will be when p is woken. From
// then on the second is held at all times, and so on: p is granted within the sum of
// the cycles, however much others want that rank below it, and no limit stands idle
// for p for longer than its cycle.
func (l *Ledger) reserve(now time.Duration, ln *lane) {
	longest, at, known := now, 0, false
	for i := range ln.claims {
		c := &ln.claims[i]
		byTime := c.opens != never
		if !byTime {
			c.opens = l.expected(now, c, ln.head)
		}
		if c.opens > longest {
			longest, at, known = c.opens, i, byTime
		}
	}
	var pend time.Duration
	review := never
	refused := ln.claims[at].line.meter.refusedUntil()
	for i := range ln.claims {
		c := &ln.claims[i]
		next := stance{review: never, want: c.needs(ln.priority)}
		switch cycle := c.line.meter.cycle(); {
		case c.weight == 0: // there is nothing to wait for, or to hold
		case refused > now: // what a server refuses keeps nothing from others
		case c.opens == longest || longest-now <= cycle:
			next.held = c.weight
			if i != at && known {
				review = longest
			}
		default:
			pend = max(pend, cycle)
		}
		if i != at { // that one's is given below, once all is known that it says
			l.queue.amend(c, next, ln.head)
		}
	}
	next := stance{pend: pend, review: review, far: longest == never && pend > 0}
	if refused > now {
		next.review = refused // what it holds of others from then on is decided then
	}
	l.sleepAtLimit(now, ln, at, next, known)
}

// sleepAtLimit has a lane sleep at its i-th limit, where it holds what it needs; known
// says that it is known when there will be room for it.
func (l *Ledger) sleepAtLimit(now time.Duration, ln *lane, i int, next stance, known bool) {
	q, c := &l.queue, &ln.claims[i]
	m := c.line.meter
	next.held, next.want, next.mode = c.weight, c.needs(ln.priority), plain
	// One that pacing may keep does not know when its wait is over, and holds no more of
	// others for it: nearer than it seems, it would be looked at again and again.
	if m.window.room(now)-c.ahead >= next.want && (m.shutUntil(now) <= now || l.paced(ln.head)) {
		next.mode, next.pend, next.far = paced, 0, false
	}
	q.amend(c, next, ln.head)
	q.leave(ln)
	ln.line, ln.state = c.line, atLimit
	switch {
	case next.pend > 0 || next.mode == paced:
		q.touch(c.line)
	case known:
		q.alarms.advance(c.line, min(c.opens, next.review))
	case next.review != never:
		q.alarms.advance(c.line, next.review)
	}
}

// needs is what the limit must have room for: the weight, and what it keeps for more
// urgent ones; nothing for what weighs nothing.
func (c *claim) needs(priority Priority) int64 {
	if c.weight == 0 {
		return 0
	}
	return c.weight + c.line.meter.rule.kept(priority)
}

// amend gives a claim another stance.
func (q *queue) amend(c *claim, next stance, head *Permit) {
	if c.held > next.held {
		q.touch(c.line)
	}
	// A lifetime budget knows of whoever waits for it, since it may be spent.
	if next.held == 0 && next.mode == elsewhere && (next.want == 0 || c.line.meter.rule.Window != Lifetime) {
		q.detach(c)
		return
	}
	same := c.stance == next
	c.stance = next
	switch {
	case !c.rooted:
		q.attach(c, head)
	case !same:
		q.resum(c)
	}
}

// expected is when a limit may have room for p that only an answer can bring: within a
// cycle, or when lost permits let go; never if those ahead of p need all there is.
func (l *Ledger) expected(now time.Duration, c *claim, p *Permit) time.Duration {
	m := c.line.meter
	need := c.ahead + c.weight + m.rule.kept(p.Priority)
	if need > m.terms.quota {
		return never
	}
	if lost := m.lost.sum(); lost > 0 {
		if at := m.clears(now, need, m.window.inFlight()-lost, surely); at != never {
			return max(at, now+1)
		}
	}
	return now + min(m.cycle(), never/2)
}

// Wake returns the instant at which Next should be called again if nothing
// else happens before; ok is false if only another call can bring anything.
func (l *Ledger) Wake() (at time.Duration, ok bool) {
	q := &l.queue
	at = never
	if q.n > 0 {
		if len(q.awake) > 0 || len(q.touched) > 0 || q.refused.head != nil {
			return l.now, true
		}
		at = min(q.alarms.next(), l.lost.next())
		if p := q.deadlines.first(at); p != nil {
			at = p.Deadline
		}
	}
	return at, at != never
}
