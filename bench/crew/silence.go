package crew

import "time"

// mostHeld is how much of the time between two ticks counts as silence at most.
const mostHeld = 4 * tickEvery

// silence is for how long somebody has said nothing while this process listened. A tick that
// comes late says that this process did not run, or that its machine did not: what the other
// said meanwhile waits behind the tick, and is no silence.
//
// Invariant: it is no more than the time since the last word, and no more than mostHeld for
// each tick since.
type silence struct {
	so   time.Duration
	last time.Time // tick
}

// heard ends it.
func (s *silence) heard() { s.so = 0 }

// tick counts, and returns how long it has been.
func (s *silence) tick(now time.Time) time.Duration {
	if !s.last.IsZero() {
		s.so += min(max(now.Sub(s.last), 0), mostHeld)
	}
	s.last = now
	return s.so
}
