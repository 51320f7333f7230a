package referee

import (
	"fmt"
	"time"
)

// wholeOrigin is the scope of everything that goes to an origin.
const wholeOrigin = "*"

// pause is a span in which nothing may be written that a scope holds.
//
// A refusal stops what is written after its head was read: what was written before,
// or in that same instant, may be on its way, and arrives one way later at most,
// which with the refusal's own way home is the round trip that nobody can save.
type pause struct {
	host  *host
	scope string
	from  time.Duration // read, or told: what is written later is an offence
	until time.Duration
	why   string
}

// pauses are those that were not over when they were last looked at.
type pauses struct{ list []pause }

func (ps *pauses) add(p pause) {
	ps.list = append(ps.list, p)
}

// resume ends the pauses of a scope.
func (ps *pauses) resume(h *host, scope string, now time.Duration) {
	for i := range ps.list {
		if p := &ps.list[i]; p.host == h && p.scope == scope {
			p.until = min(p.until, now)
		}
	}
}

// broken returns the pause that writing to a host under these scopes breaks; why is
// empty if it breaks none. A request that names no limit obeys all of its origin.
func (ps *pauses) broken(now time.Duration, h *host, free bool, scopes []string) (found pause, broken bool) {
	kept := ps.list[:0]
	for _, p := range ps.list {
		if now >= p.until {
			continue
		}
		kept = append(kept, p)
		if p.host == h && now > p.from && (free || p.scope == wholeOrigin || contains(scopes, p.scope)) {
			found, broken = p, true
		}
	}
	ps.list = kept
	return found, broken
}

// String says what the pause is.
func (p pause) String() string {
	return fmt.Sprintf("%s of %s from %v to %v (%s)", p.scope, p.host.name, p.from, p.until, p.why)
}
