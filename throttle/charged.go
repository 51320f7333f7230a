package throttle

import "time"

// GrantedAt is when p was granted last; of use until it is acquired anew.
func (p *Permit) GrantedAt() time.Duration { return p.granted }

// Charged is what a granted permit is charged in. It is a value that nobody changes,
// for those who hold the permit while the ledger may be busy with it.
type Charged struct {
	route *route // nil for the zero value
	table uint32
}

// Charged returns what p, which was granted, is charged in.
func (p *Permit) Charged() Charged {
	if p.path == nil {
		return Charged{}
	}
	return Charged{p.path.route, p.table}
}

// Scopes returns the names of the scopes; none for NoLimit.
func (c Charged) Scopes() []string {
	if c.route == nil {
		return nil
	}
	return c.route.scopes()
}

// CountsOpen reports whether one of the limits counts what is open: a request
// whose answer is streamed is, until the stream ends.
func (c Charged) CountsOpen() bool {
	if c.route == nil {
		return false
	}
	for _, t := range c.route.tolls {
		if t.rule.Window == Concurrency {
			return true
		}
	}
	return false
}

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
