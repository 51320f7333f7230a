package clock

import "time"

// coarse is the resolution from which on a request is worth aiming at the
// instant the server's figure changes: finer ones pass within any round trip.
const coarse = 100 * time.Millisecond

// Back-off after a sample that failed: doubled each time, up to the interval.
const firstRetry = 100 * time.Millisecond

// cadence decides when to sample next.
type cadence struct {
	burstLeft  int           // samples of the present burst that are still to come
	burstSize  int           // Config.Burst
	failures   int           // in a row
	failedAt   time.Duration // when the last of them was
	doubting   bool          // the last sample was doubted
	doubtedAt  time.Duration // when that was
	last       time.Duration // when the last sample came that counted
	any        bool          // there was a sample
	resolution time.Duration // of the last sample
	minTrip    time.Duration // the shortest round trip seen
}

func newCadence(cfg Config) cadence { return cadence{burstLeft: cfg.Burst, burstSize: cfg.Burst} }

func (c *cadence) burst() { c.burstLeft = c.burstSize }

// sampled counts a sample that changed the width between the bounds. A coarse
// one counts only if it taught something: a Date header read at a random moment
// says next to nothing.
func (c *cadence) sampled(s Sample, before, after time.Duration) {
	if trip := s.roundTrip(); !c.any || trip < c.minTrip {
		c.minTrip = trip
	}
	c.any, c.failures, c.resolution, c.doubting = true, 0, s.Resolution, false
	// Bounds as near as two round trips are not expected to improve much.
	taught := after <= before-before/4 || after <= 2*c.minTrip
	if s.Resolution >= coarse && !taught {
		return
	}
	c.burstLeft = max(c.burstLeft-1, 0)
	c.last = max(c.last, s.Received)
}

// NextSample returns when to sample next, not before now. It is to be asked
// again after every Add, Failed and Resample. A sample of coarse resolution is
// aimed: leaving at that very instant, it arrives when the server's figure is
// about to change, and halves the bound.
func (e *Estimator) NextSample(now time.Duration) time.Duration {
	at := max(e.due(now), now)
	if e.Ready() && e.cadence.resolution >= coarse {
		at = e.aim(at)
	}
	return at
}

func (e *Estimator) due(now time.Duration) time.Duration {
	c := &e.cadence
	switch {
	case c.failures > 0:
		return c.failedAt + e.retryAfter()
	case c.doubting:
		return c.doubtedAt + max(e.cfg.Spacing, doubtSpacing)
	case !e.Ready():
		return now
	case c.burstLeft > 0:
		return c.last + e.cfg.Spacing
	}
	return min(c.last+e.cfg.Interval, e.boundDue(now))
}

// boundDue is when the bound passes MaxBound.
func (e *Estimator) boundDue(now time.Duration) time.Duration {
	c := &e.cadence
	if e.cfg.MaxBound == 0 {
		return c.last + e.cfg.Interval
	}
	lo, hi := e.Bounds(now)
	left := float64(e.cfg.MaxBound - (hi-lo)/2) // below zero if it has passed already
	return max(c.last+e.cfg.MinInterval, now+time.Duration(left/e.cfg.MaxRate))
}

func (e *Estimator) retryAfter() time.Duration {
	return min(firstRetry<<min(e.cadence.failures-1, 20), e.cfg.Interval) // a shift by more would overflow
}

// aim returns the first instant from at on at which a request should leave to
// arrive when the server's figure changes. The outcome then halves the interval
// between the bounds, down to the round trip.
func (e *Estimator) aim(at time.Duration) time.Duration {
	lo, hi := e.Bounds(at)
	arrival := at + lo + (hi-lo)/2 + e.cadence.minTrip/2
	res := e.cadence.resolution
	if late := arrival % res; late > 0 {
		at += res - late
	}
	return at
}

// Failed says that a sample could not be had: the next one waits, longer each
// time, up to Config.Interval.
func (e *Estimator) Failed(now time.Duration) {
	e.cadence.failures++
	e.cadence.failedAt = now
	e.cadence.doubting = false
}

// Doubted says that a sample was neither believed nor refused by a Guard: the
// next one comes soon, for it decides. What is known stays known.
func (e *Estimator) Doubted(now time.Duration) {
	e.cadence.doubting, e.cadence.doubtedAt = true, now
	e.cadence.failures = 0
}

// Resample asks for a burst of samples at once, as after an answer that calls a
// timestamp wrong. What is known stays known.
func (e *Estimator) Resample() {
	e.cadence.burst()
	e.cadence.failures = 0
}
