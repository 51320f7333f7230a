package throttle

import "time"

// GrantedAt is when p was granted last; of use until it is acquired anew.
func (p *Permit) GrantedAt() time.Duration { return p.granted }

// Charged is what a granted permit is charged in. It is a value that nobody changes,
// for those who hold the permit while the ledger may be busy with it.
type Charged struct {
	path  *path // of which only what never changes is looked at; nil for the zero value
	table uint32
}

// Charged returns what p, which was granted, is charged in.
func (p *Permit) Charged() Charged {
	if p.path == nil {
		return Charged{}
	}
	return Charged{p.path, p.table}
}

// Paused reports whether any scope that the permit obeys is among those, which are
// paused until some instant after now. One without a limit obeys all of its origin that
// concern its account and egress.
func (c Charged) Paused(now time.Duration, until map[Scope]time.Duration) bool {
	switch {
	case c.path == nil:
		return false
	case c.path.route.id == NoLimit:
		for s, until := range until {
			if now < until && s.Origin == c.path.home.name && s.sector().concerns(c.path.route.by, &c.path.of) {
				return true
			}
		}
		return false
	}
	for _, s := range c.path.scopes {
		if now < until[s.Scope] {
			return true
		}
	}
	return false
}

// Limit returns the id of the limit that the permit names; "" for NoLimit.
func (c Charged) Limit() string {
	if c.path == nil || c.path.route.id == NoLimit {
		return ""
	}
	return c.path.route.id
}

// CountsOpen reports whether one of the limits counts what is open: a request
// whose answer is streamed is, until the stream ends.
func (c Charged) CountsOpen() bool {
	if c.path == nil {
		return false
	}
	for _, t := range c.path.route.tolls {
		if t.rule.Window == Concurrency {
			return true
		}
	}
	return false
}

// Stand returns the id of the limit that was charged in place of the one that the
// permit names, because that is a budget that was spent; otherwise "".
func (c Charged) Stand() string {
	if c.path == nil {
		return ""
	}
	return c.path.route.stand
}

// fell reports whether some budget was spent, so that a fallback was charged.
func (c Charged) fell() bool { return c.path != nil && c.path.route.from != nil }

// Table returns the number of the table that the permit was granted under; see
// Ledger.Table.
func (c Charged) Table() uint32 { return c.table }

// scopes returns the names of the scopes of a route's limits.
func (r *route) scopes() []string {
	var names []string
	seen := map[string]bool{}
	for _, c := range r.tolls {
		if name := c.rule.Scope; !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// Expire takes a queued permit out of the queue because its owner waits no
// longer, makes it Idle, and returns an error of ErrDeadline that says what it
// waited for. A permit that is not queued is left alone, and the error is nil.
func (l *Ledger) Expire(now time.Duration, p *Permit) error {
	if p.state != Queued {
		return nil
	}
	err := l.refusal(l.at(now), p, ErrDeadline)
	l.Cancel(now, p)
	return err
}
