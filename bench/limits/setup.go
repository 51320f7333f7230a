package limits

import (
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// setup is all that a run depends on but its client and its seed.
type setup struct {
	rules   []rule
	flows   []flow
	network network
	losses  losses

	ppb        int64         // rate of the server's clock against ours
	clockError time.Duration // bound of what clients know of the server's clock
	stamp      time.Duration // resolution of the timestamp in answers; 0: there is none
	headers    bool          // answers say how much of rule 0 is used

	warmUp time.Duration // at least this much is left out of the figures
	length time.Duration // of what is measured

	rttFloor time.Duration // what Sluice is told of the network
	maxDelay time.Duration // what Sluice is told of lost requests
	shared   float64       // and of others who spend from the limits
	options  throttle.Options
}

// flow is one kind of demand.
type flow struct {
	name     string
	charges  []charge
	key      string
	priority throttle.Priority
	backlog  int           // wishes that always wait; or else ...
	gap      time.Duration // ... the time between two wishes, exponential, ...
	steady   bool          // ... or always the same
	foreign  bool          // somebody else's, who has no limiter
}

// losses says how often the network fails, and how.
type losses struct {
	unsent  float64       // part of the granted requests that never leave, as the client knows
	out     float64       // part of the requests that never arrive
	home    float64       // part of the answers that never arrive
	late    float64       // part of the requests that arrive after they were given up ...
	latest  time.Duration // ... by at most this
	timeout time.Duration // when the client gives a request up; 0: never
}

// measured returns how long a run lasts, and what of it counts.
func (s *setup) measured(clock serverClock) (horizon time.Duration, m span) {
	per := s.rules[0].per
	begins := clock.read(s.warmUp)
	m.from = (floorDiv(begins, per) + 1) * per
	m.to = m.from + s.length
	if s.rules[0].counting != Fixed {
		m.ramp = per
	}
	rest := m.to + m.ramp - clock.read(0)
	return rest + rest/1000, m // the server's clock may be the slower one
}
