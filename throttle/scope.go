package throttle

import "time"

// scope is a set of limits that pause together: an address, an account.
//
// After a pause it starts slowly: one request in flight, and one more for each
// answer, so twice as many every round trip. It is back to normal once the
// allowance no longer holds anybody up.
type scope struct {
	name      string
	until     time.Duration // paused before that
	flying    int
	allowance int // in flight after a pause; 0 means no bound
}

// fullSpeed is the allowance from which on a scope counts as recovered.
const fullSpeed = 64

func scopeNamed(scopes map[string]*scope, name string) *scope {
	s := scopes[name]
	if s == nil {
		s = &scope{name: name, until: -never} // before any instant there is
		scopes[name] = s
	}
	return s
}

// opens returns now if a request may leave, or when it may, or never if that
// takes an answer.
func (s *scope) opens(now time.Duration) time.Duration {
	switch {
	case now < s.until:
		return s.until
	case s.allowance > 0 && s.flying >= s.allowance:
		return never
	}
	return now
}

// land takes one request out of flight and reports whether that may let
// others leave. Answers that come during the pause prove nothing.
func (s *scope) land(now time.Duration, f Fate) bool {
	s.flying--
	if s.allowance == 0 {
		return false
	}
	if f == Answered && now >= s.until {
		s.allowance++
	}
	if s.allowance >= fullSpeed {
		s.allowance = 0
	}
	return true
}

// PauseUntil lets nothing leave that any limit of a scope is charged for,
// queued requests included, before until. It never shortens a pause; one
// longer than Options.MaxPause is cut to that. Afterwards the scope starts
// with a single request in flight, and doubles that with every round trip.
func (l *Ledger) PauseUntil(now time.Duration, scopeName string, until time.Duration) error {
	now = l.at(now)
	s := l.scopes[scopeName]
	if s == nil {
		return &LimitError{scopeName, ErrUnknownScope}
	}
	until = min(until, now+l.options.MaxPause)
	if until > now && until > s.until { // of two pauses the longer counts
		s.until, s.allowance = until, 1
		l.queue.stale = true
	}
	return nil
}

// Resume ends a pause, and the slow start after it, at once.
func (l *Ledger) Resume(now time.Duration, scopeName string) error {
	now = l.at(now)
	s := l.scopes[scopeName]
	if s == nil {
		return &LimitError{scopeName, ErrUnknownScope}
	}
	s.until, s.allowance = min(s.until, now), 0
	l.queue.stale = true
	return nil
}

// Scopes returns the names of the scopes of all limits that a request naming
// limit is charged to, or nil if there is no such limit.
func (l *Ledger) Scopes(limit string) []string {
	r := l.table.routes[limit]
	if r == nil {
		return nil
	}
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
