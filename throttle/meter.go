package throttle

import (
	"slices"
	"time"
)

// meter is one quota in use: a limit, or its instance for some parts.
type meter struct {
	of    *Parts // what tells it from the others of its rule; the parts that By does not name are empty
	terms *terms // those of the rule, or of the quota that was announced for this one alone

	// What few meters need; nil until they do.
	lost *lostWeights
	pace *pace
	note *Note

	// What every decision touches; the window itself lies behind it, see piece.
	rule   *rule
	last   time.Duration // the latest arrival, if seen
	seen   bool
	paths  int32 // that lead to it
	line   *line // of the lanes in the queue that need it; nil if none does
	gate   *gate // nil for most
	window window
}

// cycle is how long what is granted now takes to be room again: the flight, and
// what the window keeps it for. An idle limit that is kept for as long has lost
// one turn of that room; a budget that never comes back loses nothing by waiting.
func (m *meter) cycle() time.Duration {
	t := m.terms
	switch m.rule.Window {
	case Leaky:
		return m.rule.flight + t.emptying()
	case Concurrency:
		return max(1, m.rule.flight) // it is no instant before the first answer either
	case Lifetime:
		return never
	}
	return m.rule.flight + t.hold
}

// exceed counts w more than was reserved for what is in flight on m, and is about to be settled.
// That is our own: it tells of no others who spend from the quota.
func (m *meter) exceed(now time.Duration, w int64) {
	if f, ok := m.window.(*fromFirst); ok {
		f.exceed(now, w)
		return
	}
	m.window.burden(now, w)
}

// suppose counts w that we have spent by now, or may have, and of which nothing was in flight.
// Likewise.
func (m *meter) suppose(now time.Duration, w int64) {
	if f, ok := m.window.(*fromFirst); ok {
		f.suppose(now, w)
		return
	}
	m.window.burden(now, w)
}

// flew takes a flight into the average. That is of a server, and not of a key: one
// that is forgotten does not take it along.
func (r *rule) flew(d time.Duration) { r.flight += (d - r.flight) / 8 }

// path is a route with the meters of what its parts name, at one origin. What it charges
// does not change, so that a granted permit finds what it was charged even after
// limits are replaced.
type path struct {
	// What every decision touches fills two cache lines: of many paths few are in a cache.
	of      Parts // those that tell the paths of the route apart; the others are empty
	home    *origin
	own     int32 // the charge of the limit that the route is named by, -1 for none
	kept    bool  // it is in no line, see idlers
	gone    bool  // it cannot be asked for any more, though what flies may still be on it
	route   *route
	used    time.Duration // when it was asked for last
	charges []charge
	scopes  []*scope // of its limits, and the whole origin; other paths may have the same ones

	lanes  []*lane       // in the queue, one for each priority that waits, the lowest first
	looked time.Duration // when it was put in line to be looked at again
	behind *path         // the next in that line; nil for the last
	sole   [1]charge     // where charges are, if they are no more
	rarest meter         // of what it is charged, if it was made together with the path, see piece.go
}

type charge struct {
	meter  *meter
	weight int64
	terms  *terms // of the limit as it was then: its delays count for what was lost
}

// pathFor returns the path of a route, parts and origin, made on first use. Parts that
// nothing on the route looks at make no difference: they are empty in of afterwards, which
// is the caller's own copy, and not kept. (One copy less is on the stack of who waits.)
func (l *Ledger) pathFor(now time.Duration, r *route, of *Parts, origin string) *path {
	l.lookups++
	if l.lookups%sweepEvery == 0 { // or else those who use one path alone would keep all others
		l.sweep(now, sweepEvery/2)
	}
	p := r.last
	if r.by == 0 {
		if p == nil || p.home.name != origin {
			p = l.findPath(now, r, noParts, origin)
		}
	} else if r.by.narrow(of); p == nil || p.home.name != origin || p.of != *of {
		p = l.findPath(now, r, of, origin)
	}
	p.used = now
	return p
}

// findPath finds or makes the path of parts that the route looks at. It does not keep
// the pointer.
func (l *Ledger) findPath(now time.Duration, r *route, of *Parts, origin string) *path {
	l.sweep(now, 2) // before the look-up, so that it cannot forget what is found
	home := l.homeOf(now, r, origin)
	hash := l.hasher.at(of, home)
	p := r.path(hash, of, home)
	if p == nil {
		home.paths++ // first, so that it is not forgotten now
		l.sweep(now, looksForOne)
		home.paths--
		p = l.makePath(now, r, of, home)
		r.paths.put(hash, p)
		l.idlers.add(now, p)
	} else if p.kept {
		l.idlers.recall(now, p)
	}
	r.last = p
	return p
}

// path returns the path of parts at an origin, or nil.
func (r *route) path(hash uint64, of *Parts, home *origin) *path {
	i := uint64(0)
	p := r.paths.next(hash, &i)
	for p != nil && (p.home != home || p.of != *of) {
		p = r.paths.next(hash, &i)
	}
	return p
}

// homeOf returns an origin. Most often it is that of the path before.
func (l *Ledger) homeOf(now time.Duration, r *route, origin string) *origin {
	if r.nowhere {
		return l.pauses.nowhere
	}
	if r.last != nil && r.last.home.name == origin {
		return r.last.home
	}
	return l.pauses.origin(now, origin)
}

func (l *Ledger) makePath(now time.Duration, r *route, of *Parts, home *origin) *path {
	home.paths++
	p, room := l.newPath(r, of)
	p.route, p.of, p.home, p.own = r, *of, home, int32(r.own)
	if r.last != nil && r.last.of.Account == of.Account { // in another copy of the text, which need not be kept too
		p.of.Account = r.last.of.Account
	}
	for i, c := range r.tolls {
		var own *meter
		if i == r.rarest {
			own = room
		}
		m := l.meterIn(own, now, c.rule, &p.of)
		m.paths++
		p.charges[i] = charge{m, c.weight, c.rule.terms}
	}
	if !r.nowhere {
		l.obey(now, p)
	}
	return p
}

// obey has a new path obey its scopes. Those of a path are never changed, so that others
// share the list.
func (l *Ledger) obey(now time.Duration, p *path) {
	r := p.route
	if last := r.last; last != nil && last.home == p.home && r.paused.of(last.of) == r.paused.of(p.of) {
		p.scopes = last.scopes
	} else {
		for _, c := range r.tolls {
			l.joinScope(now, p, c.rule.Scope)
		}
		l.joinScope(now, p, WholeOrigin)
		p.share()
	}
	for _, s := range p.scopes {
		s.paths++
	}
}

// joinScope has a path obey all of a scope, the part of it that is its own, and what lies
// between them. What is still paused since the scope was told apart by something else
// counts as well.
func (l *Ledger) joinScope(now time.Duration, p *path, name string) {
	by := l.pauses.apart[name]
	by.sectors(name, &p.of, func(at sector) { p.join(p.home.scope(now, at)) })
	for _, s := range l.pauses.troubled {
		if s.home == p.home && s.Name == name && s.sector().concerns(by, &p.of) {
			p.join(s)
		}
	}
}

// join has a path obey a scope.
func (p *path) join(s *scope) {
	if !slices.Contains(p.scopes, s) {
		p.scopes = append(p.scopes, s)
	}
}

// share has the path use the list of another one that obeys the same.
func (p *path) share() {
	own := p.scopes[0]
	for _, s := range p.scopes {
		if s.isPart() {
			own = s
		}
	}
	if !slices.Equal(own.obeyed, p.scopes) {
		own.obeyed = slices.Clip(p.scopes)
	}
	p.scopes = own.obeyed
}

// meterFor returns the meter of a rule for parts, made on first use. It keeps the pointer
// then if it looks at all of them: mostly they are those of its first path, and 48 bytes.
func (l *Ledger) meterFor(now time.Duration, r *rule, parts *Parts) *meter {
	return l.meterIn(nil, now, r, parts)
}

// meterIn is meterFor that makes a new one in a room that was kept for it, if that is
// not nil.
func (l *Ledger) meterIn(room *meter, now time.Duration, r *rule, parts *Parts) *meter {
	if r.By == 0 {
		parts = noParts
	} else if own := r.By.of(*parts); own != *parts {
		parts = &own
	}
	hash := l.hasher.of(parts)
	m := r.meter(hash, parts)
	if m == nil {
		m = l.makeMeter(room, r, parts)
		r.meters.put(hash, m)
		r.announced.meterMade(*parts)
		l.remindNew(now, m)
		l.fillNew(now, m)
	}
	return m
}

// fillNew has a meter that is seen for the first time begin as full if it may have been
// used before a crash.
func (l *Ledger) fillNew(now time.Duration, m *meter) {
	if !l.fillsNew(now, m.rule) {
		return
	}
	l.fill(now, m, m.window.room(now))
	if b, ok := m.window.(*lifetime); ok && l.recorder != nil {
		l.recordBudget(m, b)
	}
}

// makeMeter makes one in a room that was kept for it, or in one of its own.
func (l *Ledger) makeMeter(room *meter, r *rule, of *Parts) *meter {
	if room == nil {
		_, room = newPiece(r.Window, 0)
	}
	m := room
	m.rule, m.terms, m.of = r, l.termsOf(r, *of), of
	m.window.begin(m.terms)
	if f, ok := m.window.(*fixed); ok {
		f.unseen = r.unseen
	}
	return m
}

// each calls do for every meter of a rule; do must not make or forget any.
func (r *rule) each(do func(*meter)) { r.meters.each(do) }

// fillsNew reports whether a meter that is made now begins as full.
func (l *Ledger) fillsNew(now time.Duration, r *rule) bool {
	return l.filled && now < max(l.spentBy(r)+max(r.terms.hold, r.terms.emptying()), l.filledAt+r.terms.maxDelay)
}

// emptying is how long a full leaky counter takes to empty.
func (t *terms) emptying() time.Duration {
	if t.rate == 0 { // not a leaky one
		return 0
	}
	return mulDivUp(t.drain, t.top, t.rate)
}
