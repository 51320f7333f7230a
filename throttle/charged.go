package throttle

import "time"

// GrantedAt is when p was granted last; of use until it is acquired anew.
func (p *Permit) GrantedAt() time.Duration { return p.granted }

// Scopes returns the names of the scopes that p, which was granted, is charged
// in; none for NoLimit. It does not change while p is granted, and may be called
// by whoever holds p.
func (p *Permit) Scopes() []string {
	if p.path == nil {
		return nil
	}
	return p.path.route.scopes()
}

// CountsOpen reports whether a limit of p, which was granted, counts what is
// open: a request whose answer is streamed is, until the stream ends.
func (p *Permit) CountsOpen() bool {
	if p.path == nil {
		return false
	}
	for _, t := range p.path.route.tolls {
		if t.rule.Window == Concurrency {
			return true
		}
	}
	return false
}

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
