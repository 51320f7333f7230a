package throttle

import "time"

// meter is one quota in use: a limit, or one key's instance of it.
type meter struct {
	rule    *rule
	key     string
	window  window
	pace    pace
	waiting int // lanes in the queue that need it
	paths   int // keyed paths that lead to it

	// reserved is what better-ranked heads need, in the scan numbered epoch.
	reserved int64
	epoch    uint64
}

// path is a route with the meters of one key. It does not change, so that a
// granted permit finds what it was charged even after limits are replaced.
type path struct {
	route   *route
	key     string
	charges []charge
	own     int
	scopes  []*scope
	lanes   []*lane // in the queue, one for each priority that waits
}

type charge struct {
	meter    *meter
	weight   int64
	maxDelay time.Duration
}

// pathFor returns the path of a route and key, made on first use.
func (l *Ledger) pathFor(now time.Duration, r *route, key string) *path {
	if r.path != nil {
		return r.path
	}
	if !r.keyed {
		r.path = l.makePath(now, r, "")
		return r.path
	}
	l.sweep(now) // before the look-up, so that it cannot forget what is found
	p := r.paths[key]
	if p == nil {
		p = l.makePath(now, r, key)
		r.paths[key] = p
		l.keyed = append(l.keyed, p)
	}
	return p
}

func (l *Ledger) makePath(now time.Duration, r *route, key string) *path {
	p := &path{route: r, key: key, own: r.own, charges: make([]charge, len(r.tolls))}
	for i, c := range r.tolls {
		m := l.meterFor(now, c.rule, key)
		m.paths++
		p.charges[i] = charge{m, c.weight, c.rule.terms.maxDelay}
		p.join(c.rule.scope)
	}
	return p
}

func (p *path) join(s *scope) {
	for _, have := range p.scopes {
		if have == s {
			return
		}
	}
	p.scopes = append(p.scopes, s)
}

func (l *Ledger) meterFor(now time.Duration, r *rule, key string) *meter {
	if !r.Keyed {
		key = ""
	}
	m := r.meters[key]
	if m == nil {
		m = &meter{rule: r, key: key, window: newWindow(r.Window, r.terms)}
		// A key that is seen for the first time may have been used before the crash.
		if l.filled && now < l.filledAt+max(r.terms.hold, r.terms.maxDelay, r.terms.emptying()) {
			m.window.fill(l.filledAt)
		}
		r.meters[key] = m
	}
	return m
}

// emptying is how long a full leaky counter takes to empty.
func (t *terms) emptying() time.Duration {
	if t.rate == 0 { // not a leaky one
		return 0
	}
	return mulDivUp(time.Duration(t.quota), int64(t.drain), t.rate)
}

// sweep looks at a few keyed paths and forgets the idle ones, so that a
// ledger that is used holds no more than about twice the keys in use.
func (l *Ledger) sweep(now time.Duration) {
	for range min(2, len(l.keyed)) {
		l.cursor = (l.cursor + 1) % len(l.keyed)
		p := l.keyed[l.cursor]
		if !p.idle(now) {
			continue
		}
		l.forget(p)
		// The last path moves into the gap, and is looked at in the next round.
		last := len(l.keyed) - 1
		l.keyed[l.cursor] = l.keyed[last]
		l.keyed[last] = nil
		l.keyed = l.keyed[:last]
		if last == 0 {
			return // a second step would divide by zero
		}
	}
}

func (p *path) idle(now time.Duration) bool {
	if len(p.lanes) > 0 {
		return false
	}
	for _, c := range p.charges {
		// A meter without a key outlives every path that leads to it.
		if c.meter.rule.Keyed && !c.meter.idle(now) {
			return false
		}
	}
	return true
}

// idle reports whether a new meter would do as well.
func (m *meter) idle(now time.Duration) bool {
	return m.waiting == 0 && m.window.inFlight() == 0 && m.window.room(now) == m.rule.terms.quota && m.pace.idle(now)
}

func (l *Ledger) forget(p *path) {
	delete(p.route.paths, p.key)
	for _, c := range p.charges {
		m := c.meter
		m.paths--
		if m.rule.Keyed && m.paths == 0 {
			delete(m.rule.meters, m.key)
		}
	}
}
