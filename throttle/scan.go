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

// scan goes on with the scan, or begins a new one if there is reason to, and
// returns the first permit it grants or must refuse.
func (l *Ledger) scan(now time.Duration) *Permit {
	q := &l.queue
	if q.n == 0 {
		return nil
	}
	if q.stale || now >= q.wake {
		q.restart()
	}
	for len(q.ready) > 0 && !q.done {
		ln := q.ready[0]
		p := ln.head
		if err := p.hopeless(); err != nil {
			q.remove(p)
			p.state, p.err = Refused, err
			return p
		}
		if at := l.examine(now, p); at > now {
			q.wake = min(q.wake, at)
			q.pass(ln)
			q.done = q.exhausted(now, ln)
			continue
		}
		q.take(ln)
		l.spreadAfter(now, p)
		l.grant(now, p)
		return p
	}
	return nil
}

func (q *queue) restart() {
	for _, ln := range q.passed {
		q.ready.push(ln)
	}
	clear(q.passed)
	q.passed = q.passed[:0]
	q.epoch++
	q.stale, q.done, q.wake = false, false, never
}

func (q *queue) pass(ln *lane) {
	q.ready.remove(0)
	ln.slot = -1
	q.passed = append(q.passed, ln)
}

// take removes the head of a ready lane, which is about to be granted. What
// the scan has found so far still holds: the heads that were passed are better,
// and their reservations were respected.
func (q *queue) take(ln *lane) {
	p := ln.head
	q.n--
	q.drop(ln, p)
	q.reorder(ln)
}

// examine returns now if p, a head, may be granted. Otherwise it reserves what
// p needs, and returns the instant from which p may be granted if nothing else
// happens before, or never.
func (l *Ledger) examine(now time.Duration, p *Permit) time.Duration {
	q := &l.queue
	opens := p.path.opens(now)
	at := opens
	for i, c := range p.path.charges {
		m := c.meter
		if m.epoch != q.epoch { // what is reserved is from an earlier scan
			m.epoch, m.reserved = q.epoch, 0
		}
		m.opens = l.opening(now, m, p, m.reserved, p.weight(i))
		at = max(at, m.opens)
	}
	if at > now && opens <= now { // what is paused keeps nothing from others
		l.reserve(now, p)
	}
	return at
}

// reserve keeps what p, a blocked head, needs from all heads that rank below it:
// room where there is room for it, and whatever there is where there is not. It
// does so in the limits that p waits for longest, and in those whose own cycle is
// no shorter than that wait.
//
// Of any two limits, then, the one with the longer cycle is kept while p waits
// for the other. Let p be the best-ranked head that needs any of its limits, and
// let C1 >= C2 >= ... be their cycles. No limit lets p wait for more than its own
// cycle, so the first is kept at all times, and has room for p within C1 and from
// then on. After that p waits for C2 at most, so the second is kept at all times,
// and so on: p is granted within the sum of the cycles, however much others want
// that rank below it, and no limit stands idle for p for longer than its cycle.
func (l *Ledger) reserve(now time.Duration, p *Permit) {
	longest := now
	for i, c := range p.path.charges {
		m := c.meter
		if m.opens == never {
			m.opens = l.expected(now, m, p, p.weight(i))
		}
		longest = max(longest, m.opens)
	}
	for i, c := range p.path.charges {
		m := c.meter
		if m.opens == longest || longest-now <= m.cycle() {
			m.reserved = min(m.reserved+p.weight(i), maxReserved)
		}
	}
}

// maxReserved is more than any limit has, and far from overflow.
const maxReserved = 1 << 50

// expected is when m may have room for p that only an answer can bring: within a
// cycle, or when lost permits let go; never if those ahead of p need all there is.
func (l *Ledger) expected(now time.Duration, m *meter, p *Permit, w int64) time.Duration {
	need := m.reserved + w + m.rule.kept(p.Priority)
	if need > m.rule.terms.quota {
		return never
	}
	if lost := m.lost.sum(); lost > 0 {
		if at := m.clears(now, need, m.window.inFlight()-lost); at != never {
			return at
		}
	}
	return now + min(m.cycle(), never/2)
}

// exhausted reports whether a limit of ln, a lane that was just passed, has
// nothing left and is needed by every lane that is still to come. Then the
// scan need go on only once there is more.
func (q *queue) exhausted(now time.Duration, ln *lane) bool {
	for _, c := range ln.path.charges {
		m := c.meter
		if m.waiting == len(q.ready)+len(q.passed) && m.window.room(now) <= m.reserved {
			q.wake = min(q.wake, m.window.when(now, m.reserved+1, m.window.inFlight()))
			return true
		}
	}
	return false
}

// Wake returns the instant at which Next should be called again if nothing
// else happens before; ok is false if only another call can bring anything.
func (l *Ledger) Wake() (at time.Duration, ok bool) {
	q := &l.queue
	at = never
	if q.n > 0 {
		at = q.wake
		if q.stale || q.refused.head != nil {
			return l.now, true
		}
		at = min(at, l.lost.next())
		if p := q.deadlines.first(at); p != nil {
			at = p.Deadline
		}
	}
	return at, at != never
}
