package throttle

import (
	"math/bits"
	"time"
)

// idlers are all the paths that may be asked for, in lines: they wait there to be
// looked at, and those that are idle then are forgotten, together with the meters of
// their keys. Whoever stands in a line is looked at after a fixed span, which is a
// part of the time that what the path is charged takes to come back. One that is not
// idle then goes to the back, so that it costs the same few looks in every window,
// and each line is in the order of the instants.
//
// A meter that time alone never makes as good as new keeps its last path out of
// every line, so that nobody is woken for it. It comes back once it is asked for.
type idlers struct {
	n     int // paths, those in no line included
	lines [64]idleLine
	turn  int              // the line that is looked at first
	used  uint64           // a bit for each line that is not empty
	kept  map[*meter]*path // in no line; nil before the first

	scopes time.Duration // when the scopes were looked at last
}

// idleLine is the paths that are looked at again after 1<<k ns, for the k-th one.
type idleLine struct {
	first, last *path
	round       time.Duration // when nobody was left in it who was due
}

const (
	pathRest  = time.Minute // for which a path is kept after its last use, unless all its keys are idle before
	leastRest = time.Second // windows that are shorter are not worth a look each
	// sweepEvery is after how many look-ups paths that are due are swept, half as many
	// at most.
	sweepEvery = 64
	// fewAtOnce is how many paths are swept at most in one call of Forget, so that nobody
	// waits for long.
	fewAtOnce = 256
	// looksInRest is how often a path is looked at in its rest; or up to twice as often.
	looksInRest = 2
	// looksForOne is how many paths are swept for each new one, beside the two of any
	// look-up of a path that is not the last: until it is forgotten it needs as many looks
	// itself, or fewer.
	looksForOne = 4
)

func newIdlers() idlers {
	s := idlers{scopes: unset}
	for i := range s.lines {
		s.lines[i].round = unset
	}
	return s
}

// add takes a new path on.
func (s *idlers) add(now time.Duration, p *path) {
	s.n++
	s.push(now, p)
}

// push puts a path at the end of its line.
func (s *idlers) push(now time.Duration, p *path) { s.pushTo(p.line(), now, p) }

// pushTo is push for a path of which it is known which line is its own.
func (s *idlers) pushTo(k int, now time.Duration, p *path) {
	ln := &s.lines[k]
	p.looked, p.behind = now, nil
	if ln.first == nil {
		ln.first = p
	} else {
		ln.last.behind = p
	}
	ln.last = p
	s.used |= 1 << k
}

func (s *idlers) pop(k int) *path {
	ln := &s.lines[k]
	p := ln.first
	ln.first, p.behind = p.behind, nil
	if ln.first == nil {
		ln.last = nil
		s.used &^= 1 << k
	}
	return p
}

// keep leaves a path out of every line because of a meter that only it leads to.
func (s *idlers) keep(p *path, because *meter) {
	if s.kept == nil {
		s.kept = map[*meter]*path{}
	}
	s.kept[because], p.kept = p, true
	if p.route.last == p {
		p.route.last = nil // whoever asks for it next recalls it
	}
}

// recall puts a path that was kept in line again.
func (s *idlers) recall(now time.Duration, p *path) {
	for _, c := range p.charges {
		if s.kept[c.meter] == p {
			delete(s.kept, c.meter)
		}
	}
	p.kept = false
	s.push(now, p)
}

// each calls do for every path, which do may take out of its line.
func (s *idlers) each(do func(*path)) {
	for i := range s.lines {
		for p := s.lines[i].first; p != nil; {
			behind := p.behind
			do(p)
			p = behind
		}
	}
	for _, p := range s.kept {
		do(p)
	}
}

// line returns where a path is put. One that shares its keys with other paths goes
// once it has rested, however long their windows are.
func (p *path) line() int {
	rest := p.route.rest()
	for _, c := range p.charges {
		if c.meter.rule.By != 0 && c.meter.paths > 1 {
			rest = min(rest, pathRest)
		}
	}
	return bits.Len64(uint64(rest/looksInRest)) - 1
}

// staysInLine reports whether a path that was put in the k-th line belongs there for good: with
// windows so short it makes no difference who shares its keys.
func staysInLine(k int) bool { return 2<<k <= pathRest/looksInRest }

// rest is after what time a path that was asked for may be idle.
func (r *route) rest() time.Duration {
	var rest time.Duration
	for _, c := range r.tolls {
		switch {
		case c.rule.By == 0:
		case c.rule.Window.timed():
			rest = max(rest, leastRest, c.rule.terms.hold, c.rule.terms.emptying())
		default:
			rest = max(rest, pathRest)
		}
	}
	if rest == 0 { // no toll is told apart, and nobody waits for it to be forgotten
		return looksInRest * pathRest
	}
	return min(rest, maxPer)
}

// due returns when the first of the k-th line is to be looked at. Those that become
// due one after another are looked at together.
func (s *idlers) due(k int) time.Duration {
	span := time.Duration(1) << k
	return max(s.lines[k].first.looked+span, s.lines[k].round+span/2)
}

// ForgetAt returns when Forget is worth calling; ok is false if there is nothing that
// could be forgotten. It changes with few calls: an alarm that was set for the instant
// it returned before is early enough after any number of grants.
func (l *Ledger) ForgetAt() (at time.Duration, ok bool) {
	s := &l.idlers
	at = never
	for left := s.used; left != 0; left &= left - 1 {
		at = min(at, s.due(bits.TrailingZeros64(left)))
	}
	if !l.pauses.calm() {
		at = min(at, max(s.scopes, l.pauses.since)+pathRest)
	}
	return at, at != never
}

// Forget lets go of keys and origins that are idle, which changes nothing but the
// memory in use: a key that comes back finds what it would have found. A key is idle
// once all it spent has come back, and is forgotten within two of its windows after
// its last answer, if the owner calls Forget whenever ForgetAt says so; otherwise, by
// and by, as others are asked for. Few are looked at in one call: if more are due
// ForgetAt returns an instant that is past.
//
// Kept for good are keys of Lifetime budgets that were spent from, of limits that are
// Shared, and FixedFromFirst ones that others are known to spend from. Those of a limit that
// Replace took out of the table go as all others do.
func (l *Ledger) Forget(now time.Duration) {
	now = l.at(now)
	l.idlers.scopes = now
	l.sweep(now, fewAtOnce)
}

// sweep looks at up to so many paths that are due, and at as many scopes.
func (l *Ledger) sweep(now time.Duration, few int) {
	s := &l.idlers
	l.pauses.settle(now, few)
	l.refused.settle(now, few)
	for left := bits.RotateLeft64(s.used, -s.turn); left != 0; left &= left - 1 {
		k := (bits.TrailingZeros64(left) + s.turn) % len(s.lines)
		span := time.Duration(1) << k
		for s.lines[k].first != nil && s.lines[k].first.looked+span <= now {
			if few == 0 {
				s.turn = (k + 1) % len(s.lines) // or else one that has always somebody due would keep the others out
				return
			}
			few--
			l.look(now, s.pop(k), k)
		}
		s.lines[k].round = now
	}
}

// look forgets a path that was in the k-th line, or puts it into one again.
func (l *Ledger) look(now time.Duration, p *path, k int) {
	if len(p.lanes) > 0 && staysInLine(k) { // it is busy: where many wait, of most no more is read than this
		l.idlers.pushTo(k, now, p)
		return
	}
	switch state, because := l.idle(now, p); state {
	case fresh:
		l.forget(now, p)
	case lasting:
		l.idlers.keep(p, because)
	default:
		l.idlers.push(now, p)
	}
}

// idleness says whether something can be told from a new one.
type idleness uint8

const (
	busy    idleness = iota // it can, for a time
	fresh                   // it cannot
	lasting                 // it can, and time alone does not change that
)

// idle reports whether a path may be forgotten; if it never may, because of which
// meter.
func (l *Ledger) idle(now time.Duration, p *path) (state idleness, because *meter) {
	rested := now-p.used >= pathRest
	if len(p.lanes) > 0 || !p.route.apart && !rested {
		return busy, nil
	}
	state = fresh
	for _, c := range p.charges {
		// A meter that is not told apart outlives every path that leads to it, and one
		// that is all but the last.
		m := c.meter
		if m.rule.By == 0 || rested && m.paths > 1 {
			continue
		}
		switch s := m.idle(now); {
		case s == lasting && m.paths == 1:
			state, because = lasting, m // whatever becomes of the others
		case (s != fresh || l.fillsNew(now, m.rule)) && state != lasting:
			state = busy
		}
	}
	return state, because
}

// idle reports whether a new meter would do as well.
func (m *meter) idle(now time.Duration) idleness {
	t := m.terms
	if m.line != nil || m.lost != nil || m.window.inFlight() != 0 || !m.pace.idle(now, t.memory()) || !m.gate.idle(now, t) {
		return busy
	}
	if !m.rule.Window.timed() && m.seen && now-m.last < leastRest {
		return busy // that nothing is open for a moment means little
	}
	return m.window.idle(now)
}

func (l *Ledger) forget(now time.Duration, p *path) {
	l.idlers.n--
	p.route.paths.remove(l.hasher.at(&p.of, p.home), p)
	if p.route.last == p {
		p.route.last = nil
	}
	l.pauses.left(now, p)
	for _, c := range p.charges {
		m := c.meter
		m.paths--
		if m.rule.By != 0 && m.paths == 0 {
			m.rule.remember(m)
			m.rule.announced.meterGone(*m.of)
			m.rule.meters.remove(l.hasher.of(m.of), m)
			if m.rule.meters.n == 0 && l.retired[m.rule.ID] == m.rule {
				delete(l.retired, m.rule.ID)
			}
		}
	}
}

// remember has new meters know what one that is forgotten knew of all: that
// something was answered while the server's clock was unknown.
func (r *rule) remember(m *meter) {
	if f, ok := m.window.(*fixed); ok {
		r.unseen = r.unseen || f.unseen
	}
}

// idle is part of window, as everywhere below.
func (s *sliding) idle(now time.Duration) idleness { return freshIf(s.room(now) == s.quota) }

// idle looks at the windows too: the log may be empty before they are over.
func (f *fixed) idle(now time.Duration) idleness {
	if f.others.rate > 0 { // what is known of others is worth keeping
		return lasting
	}
	f.told.Forget(now - f.hold)
	return freshIf(f.sliding.room(now) == f.quota && now >= f.blind && len(f.told) == 0 && (!f.advance(now) || f.worst() == 0))
}

func (f *fromFirst) idle(now time.Duration) idleness {
	if f.others {
		return lasting
	}
	f.advance(now)
	return freshIf(!f.open && f.sliding.room(now) == f.quota)
}

func (l *leaky) idle(now time.Duration) idleness { return freshIf(l.room(now) == l.quota) }

func (c *concurrency) idle(now time.Duration) idleness { return freshIf(c.room(now) == c.quota) }

func (l *lifetime) idle(now time.Duration) idleness {
	if l.spent != 0 {
		return lasting
	}
	return freshIf(l.flying == 0 && !l.restless(now))
}

func freshIf(as bool) idleness {
	if as {
		return fresh
	}
	return busy
}
