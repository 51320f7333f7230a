package timesync

import (
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/clock"
)

// Clock is the server's time as everyone reads it. The estimator belongs to
// timesync alone; the snapshot it publishes is written by timesync and read by
// everybody. Without a source of time it is the local clock, taken at its word.
type Clock struct {
	estimator *clock.Estimator // nil without a source of time
	published clock.Published
}

// NewClock returns a clock of which nothing is known yet. source says whether
// there is a source of time at all.
func NewClock(config clock.Config, source bool) *Clock {
	c := new(Clock)
	if source {
		c.estimator = clock.NewEstimator(config)
	}
	return c
}

// Now is part of auth.Clock: the server's time, or the local wall clock's as
// long as nothing better is known.
func (c *Clock) Now() time.Time {
	if s := c.published.Load(); s != nil {
		return s.Now()
	}
	return time.Now()
}

// Bound is part of auth.Clock. Before the first sample nothing is claimed.
func (c *Clock) Bound() time.Duration {
	if s := c.published.Load(); s != nil {
		return s.Bound()
	}
	return unboundedError
}

// unboundedError is the bound of a clock that nobody has compared.
const unboundedError = 100 * 365 * 24 * time.Hour

// Range is part of auth.Ranger.
func (c *Clock) Range(local time.Time) (lo, hi time.Time) {
	if s := c.published.Load(); s != nil {
		return s.Range(local)
	}
	return local.Add(-unboundedError), local.Add(unboundedError)
}

// Known reports whether there has been a sample.
func (c *Clock) Known() bool { return c.published.Load() != nil }

// Published is where snapshots of the clock appear.
func (c *Clock) Published() *clock.Published { return &c.published }

// ForSigners returns the clock that signers are handed.
func (c *Clock) ForSigners() auth.Clock {
	if c.estimator == nil {
		return auth.LocalClock(0)
	}
	return c
}

// add is timesync's: one more sample, or the failure to get one.
func (c *Clock) add(now time.Duration, sample clock.Sample, err error) {
	if err != nil {
		c.estimator.Failed(now)
		return
	}
	c.estimator.Add(sample)
	c.published.Store(c.estimator.Snapshot(now))
}

// nextSample is timesync's.
func (c *Clock) nextSample(now time.Duration) time.Duration { return c.estimator.NextSample(now) }

// resample is timesync's.
func (c *Clock) resample() { c.estimator.Resample() }
