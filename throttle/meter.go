package throttle

import (
	"slices"
	"time"
)

// meter is one quota in use: a limit, or one key's instance of it.
type meter struct {
	rule   *rule
	window window

	key string

	last  time.Duration // the latest arrival, if seen
	seen  bool
	paths int32 // that lead to it
	line  *line // of the lanes in the queue that need it; nil if none does

	// What few meters need; nil until they do.
	lost   *lostWeights
	spread *spread
	pace   *pace
}

// cycle is how long what is granted now takes to be room again: the flight, and
// what the window keeps it for. An idle limit that is kept for as long has lost
// one turn of that room; a budget that never comes back loses nothing by waiting.
func (m *meter) cycle() time.Duration {
	t := m.rule.terms
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

// flew takes a flight into the average. That is of a server, and not of a key: one
// that is forgotten does not take it along.
func (r *rule) flew(d time.Duration) { r.flight += (d - r.flight) / 8 }

// path is a route with the meters of one key, at one origin. What it charges
// does not change, so that a granted permit finds what it was charged even after
// limits are replaced.
type path struct {
	route   *route
	key     string // "" if no limit on the way is keyed
	home    *origin
	charges []charge
	own     int
	scopes  []*scope      // of its limits, and the whole origin; other paths may have the same ones
	lanes   []*lane       // in the queue, one for each priority that waits, the lowest first
	used    time.Duration // when it was asked for last

	looked time.Duration // when it was put in line to be looked at again
	behind *path         // the next in that line; nil for the last
	kept   bool          // it is in no line, see idlers
}

type charge struct {
	meter      *meter
	weight     int64
	maxDelay   time.Duration
	closeDelay time.Duration
}

// pathFor returns the path of a route, key and origin, made on first use.
func (l *Ledger) pathFor(now time.Duration, r *route, key, origin string) *path {
	if !r.keyed {
		key = ""
	}
	l.lookups++
	if l.lookups%sweepEvery == 0 { // or else those who use one path alone would keep all others
		l.sweep(now, sweepEvery/2)
	}
	p := r.last
	if p == nil || p.home.name != origin || p.key != key {
		p = l.findPath(now, r, key, origin)
	}
	p.used = now
	return p
}

// way tells the paths of a route apart.
type way struct {
	key  string
	home *origin
}

func (l *Ledger) findPath(now time.Duration, r *route, key, origin string) *path {
	l.sweep(now, 2) // before the look-up, so that it cannot forget what is found
	home := l.homeOf(now, r, origin)
	at := way{key, home}
	p := r.paths[at]
	if p == nil {
		home.paths++ // first, so that it is not forgotten now
		l.sweep(now, looksForOne)
		home.paths--
		p = l.makePath(now, r, at)
		if r.paths == nil {
			r.paths = make(map[way]*path)
		}
		r.paths[at] = p
		l.idlers.add(now, p)
	} else if p.kept {
		l.idlers.recall(now, p)
	}
	r.last = p
	return p
}

// homeOf returns an origin. Most often it is that of the path before.
func (l *Ledger) homeOf(now time.Duration, r *route, origin string) *origin {
	if r.last != nil && r.last.home.name == origin {
		return r.last.home
	}
	return l.pauses.origin(now, origin)
}

func (l *Ledger) makePath(now time.Duration, r *route, at way) *path {
	home := at.home
	home.paths++
	p := &path{route: r, key: at.key, home: home, own: r.own, charges: make([]charge, len(r.tolls))}
	for i, c := range r.tolls {
		m := l.meterFor(now, c.rule, at.key)
		m.paths++
		p.charges[i] = charge{m, c.weight, c.rule.terms.maxDelay, c.rule.terms.closeDelay}
	}
	p.scopes = r.obeys(now, home)
	return p
}

// obeys returns the scopes of a new path. Those of a path are never changed, so that
// the one before may share its own.
func (r *route) obeys(now time.Duration, home *origin) []*scope {
	if r.last != nil && r.last.home == home {
		return r.last.scopes
	}
	var p path
	for _, c := range r.tolls {
		p.join(home.scope(now, c.rule.Scope))
	}
	p.join(home.whole)
	return p.scopes
}

// join has a path obey a scope.
func (p *path) join(s *scope) {
	if !slices.Contains(p.scopes, s) {
		p.scopes = append(p.scopes, s)
	}
}

func (l *Ledger) meterFor(now time.Duration, r *rule, key string) *meter {
	if !r.Keyed {
		key = ""
	}
	m := r.meters[key]
	if m == nil {
		m = &meter{rule: r, key: key, window: newWindow(r.Window, r.terms)}
		if f, ok := m.window.(*fixed); ok {
			f.unseen = r.unseen
		}
		// A key that is seen for the first time may have been used before the crash.
		if l.fillsNew(now, r) {
			m.window.fill(l.filledAt)
		}
		if r.meters == nil {
			r.meters = make(map[string]*meter)
		}
		r.meters[key] = m
	}
	return m
}

// fillsNew reports whether a meter that is made now begins as full.
func (l *Ledger) fillsNew(now time.Duration, r *rule) bool {
	return l.filled && now < l.filledAt+max(r.terms.hold, r.terms.maxDelay, r.terms.emptying())
}

// emptying is how long a full leaky counter takes to empty.
func (t *terms) emptying() time.Duration {
	if t.rate == 0 { // not a leaky one
		return 0
	}
	return mulDivUp(time.Duration(t.top), int64(t.drain), t.rate)
}
