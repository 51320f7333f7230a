package throttle

import "time"

// A long sliding window that is spent in a burst comes back in a burst: between
// the two nothing leaves, and a heavy request that meets that pause waits for all
// of it, minute after minute. Where one had to wait for long, the light ones of
// that limit are let go a little faster than the window gives room back, but no
// longer all at once, until the window has turned twice. So the bursts flow apart,
// and the heavy ones after it find some room at any time. Once they have, that
// costs nothing: what was spread out comes back spread out.
const (
	spreadFrom   = 10 * time.Second // the shortest window that is worth it
	spreadHeavy  = 64               // a request is heavy from that part of the quota on
	spreadWait   = 8                // it has waited for long after that part of the window
	spreadFaster = 20               // than the window gives back, by about that part
	spreadSlack  = 32               // what was not used of that part of the window is not lost
)

// spread is when a meter may grant next while it spreads its grants out. Zero is one that
// does not.
type spread struct{ until, next time.Duration }

// idle reports whether nothing is spread out, nor would be otherwise than at first.
func (s *spread) idle(now time.Duration, t *terms) bool {
	return now >= s.until && (s.until == 0 || now >= s.next+t.hold/spreadSlack)
}

// spreadAfter notes that p, which waited in the queue, is granted.
func (l *Ledger) spreadAfter(now time.Duration, p *Permit) {
	for i, c := range p.path.charges {
		m := c.meter
		if t := m.terms; m.rule.Window == Sliding && t.hold >= spreadFrom &&
			m.heavy(p.weight(i)) && now-p.granted >= t.hold/spreadWait {
			m.gated().spread.until = now + 2*t.hold
		}
	}
}

// lasts returns when the next may go if they are spread out; an instant that is not
// after now if they are not.
func (s *spread) lasts(now time.Duration) time.Duration {
	if now >= s.until {
		return now
	}
	return min(s.next, s.until)
}

func (m *meter) heavy(w int64) bool { return w > m.terms.quota/spreadHeavy }

// spreadOut moves the next grant away by what a light one of w takes to come back.
func (m *meter) spreadOut(now time.Duration, w int64) {
	if m.heavy(w) {
		return
	}
	t := m.terms
	step := mulDivDown(t.hold, w, t.quota)
	s := &m.gate.spread
	s.next = max(s.next, now-t.hold/spreadSlack) + step - step/(spreadFaster+1)
}
