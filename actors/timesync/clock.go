package timesync

import (
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
)

// Clock is the server's time as everyone reads it. The estimator belongs to
// timesync alone; the snapshot it publishes is written by timesync and read by
// everybody. Without a source of time it is the local clock, taken at its word.
type Clock struct {
	estimator *clock.Estimator // nil without a source of time
	guard     *clock.Guard     // timesync's, as the estimator is
	published clock.Published

	epoch time.Time
	// wall is the wall clock minus the monotonic one at the last sample, in ns;
	// zero without one. Written by timesync, read by whoever is to sign.
	wall atomic.Int64
}

// NewClock returns a clock of which nothing is known yet. source says whether
// there is a source of time at all, and trust is clock.NewGuard's.
func NewClock(config clock.Config, trust time.Duration, source bool) *Clock {
	if config.Epoch.IsZero() {
		config.Epoch = time.Now()
	}
	c := &Clock{epoch: config.Epoch}
	if source {
		c.estimator, c.guard = clock.NewEstimator(config), clock.NewGuard(trust)
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
	return auth.NoBound
}

// Range is part of auth.Ranger.
func (c *Clock) Range(local time.Time) (lo, hi time.Time) {
	if s := c.published.Load(); s != nil {
		return s.Range(local)
	}
	return local.Add(-auth.NoBound), local.Add(auth.NoBound)
}

// Known reports whether there has been a sample, and the machine has not slept
// since: its monotonic clock may have stood still, so that what was known of the
// server's is wrong by as long. Whoever signs waits for another sample then.
func (c *Clock) Known() bool { return c.sampled() && !c.slept(time.Now()) }

// mostDoubt is how wrong a time may be to serve: servers take timestamps that are as far ahead of
// their own.
const mostDoubt = time.Second

// serves reports whether what is known is good enough to go on with.
func (c *Clock) serves() bool { return c.Known() && c.Bound() < mostDoubt }

func (c *Clock) sampled() bool { return c.published.Load() != nil }

// nap is how much the wall clock must have gained on the monotonic one to be
// taken for a sleep. It may have been set instead, at the price of one sample.
const nap = time.Second

func (c *Clock) slept(now time.Time) bool {
	wall := c.wall.Load()
	return wall != 0 && now.UnixNano()-int64(now.Sub(c.epoch))-wall > int64(nap)
}

// Published is where snapshots of the clock appear.
func (c *Clock) Published() *clock.Published { return &c.published }

// ForSigners returns the clock that signers are handed.
func (c *Clock) ForSigners() auth.Clock {
	if c.estimator == nil {
		return auth.LocalClock(0)
	}
	return c
}

// news is what a sample, or the failure to get one, changed.
type news uint8

const (
	nothing    news = iota // the sample failed, or was refused
	undecided              // more samples will tell whether it is to be believed
	refined                // what was known is known better
	discovered             // the clock is known at last, or was seen to step
)

// add is timesync's: one more sample, or the failure to get one. The error says
// why nothing was learnt.
func (c *Clock) add(now time.Duration, sample clock.Sample, err error) (news, error) {
	if err == nil {
		err = sample.Validate()
	}
	if err != nil {
		c.estimator.Failed(now)
		return nothing, err
	}
	switch verdict, why := c.guard.Judge(sample, c.estimator); verdict {
	case clock.Refused:
		c.estimator.Failed(now)
		return nothing, &messages.SkewError{Server: unix(sample.Server), Local: unix(sample.Local), Why: why}
	case clock.Doubted:
		c.estimator.Doubted(now)
		return undecided, nil
	}
	stepped := c.estimator.Add(sample)
	first := !c.sampled()
	if sample.Local != 0 {
		c.wall.Store(int64(sample.Local - sample.Received))
	}
	c.published.Store(c.estimator.Snapshot(now))
	if first || stepped {
		return discovered, nil
	}
	return refined, nil
}

func unix(d time.Duration) time.Time { return time.Unix(0, int64(d)) }

// nextSample is timesync's.
func (c *Clock) nextSample(now time.Duration) time.Duration { return c.estimator.NextSample(now) }

// resample is timesync's.
func (c *Clock) resample() { c.estimator.Resample() }
