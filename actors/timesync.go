package actors

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
)

// SampleTime reads the server's clock once. Its instants count from epoch, on
// the monotonic clock.
type SampleTime func(ctx context.Context, epoch time.Time) (clock.Sample, error)

// timesync keeps the server's time: it samples when the first request needs
// it, shares that sample among all who wait, refreshes by itself as the
// estimator advises, and publishes snapshots that signers read without asking.
type timesync struct {
	system *System
	book   *timesyncBook
	timer  *time.Timer // rings when the next sample is due; nil until first needed
}

// timesyncBook is what outlives a failure of the actor.
type timesyncBook struct {
	waiting  []messages.Recipient
	sampling bool // one sample is under way, and will be reported
	ctx      context.Context
	cancel   context.CancelFunc
}

// What timesync tells itself.
type (
	sampleDone struct {
		sample clock.Sample
		err    error
	}
	sampleDue struct{}
)

func newTimesync(s *System) actor.Producer {
	book := new(timesyncBook)
	book.ctx, book.cancel = context.WithCancel(context.Background())
	return func() actor.Actor { return &timesync{system: s, book: book} }
}

// Receive is part of actor.Actor.
func (t *timesync) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case messages.AwaitTime:
		t.await(m.Owner)
	case messages.AwaitSample:
		t.resample(m.Owner)
	case messages.ResampleTime:
		t.system.clock.resample()
		t.sample()
	case sampleDue:
		t.sample()
	case sampleDone:
		t.sampled(m)
	case messages.CloseTimesync:
		t.book.cancel()
		t.answer(messages.ErrClosed)
	case *actor.Started:
		if t.system.clock.known() || len(t.book.waiting) > 0 {
			t.sample() // a predecessor failed
		}
	case *actor.Restarting, *actor.Stopping:
		t.stopTimer()
		return
	case *actor.Stopped:
		return
	}
	if t.book.ctx.Err() != nil && !t.book.sampling {
		ctx.Stop(ctx.Self())
	}
}

func (t *timesync) await(owner messages.Recipient) {
	switch {
	case t.book.ctx.Err() != nil:
		owner.Tell(messages.TimeReady{Err: messages.ErrClosed})
	case t.system.clock.known():
		owner.Tell(messages.TimeReady{})
	default:
		t.book.waiting = append(t.book.waiting, owner)
		t.sample()
	}
}

// resample answers with the next sample. One that is under way may be older
// than the refusal it is wanted for, but the estimator takes either.
func (t *timesync) resample(owner messages.Recipient) {
	if t.book.ctx.Err() != nil {
		owner.Tell(messages.TimeReady{Err: messages.ErrClosed})
		return
	}
	t.book.waiting = append(t.book.waiting, owner)
	t.system.clock.resample()
	t.sample()
}

// sample begins a look-up unless one is under way.
func (t *timesync) sample() {
	if t.book.sampling || t.book.ctx.Err() != nil {
		return
	}
	t.book.sampling = true
	go func(ctx context.Context, read SampleTime, epoch time.Time, self address) {
		sample, err := read(ctx, epoch)
		self.Tell(sampleDone{sample, err})
	}(t.book.ctx, t.system.config.Sample, t.system.epoch, t.system.timesync)
}

func (t *timesync) sampled(m sampleDone) {
	t.book.sampling = false
	err := m.err
	if err == nil {
		err = m.sample.Validate()
	}
	now := t.system.now()
	t.system.clock.add(now, m.sample, err)
	if err != nil {
		err = errors.Join(messages.ErrNoTime, err)
		t.system.config.Logger.Warn("server time could not be read", "error", err)
	}
	t.answer(err)
	t.arm(t.system.clock.nextSample(now) - now)
}

func (t *timesync) answer(err error) {
	waiting := t.book.waiting
	t.book.waiting = nil
	for _, owner := range waiting {
		owner.Tell(messages.TimeReady{Err: err})
	}
}

func (t *timesync) arm(d time.Duration) {
	if t.timer != nil {
		t.timer.Reset(d)
		return
	}
	self := t.system.timesync
	t.timer = time.AfterFunc(d, func() { self.Tell(sampleDue{}) })
}

func (t *timesync) stopTimer() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// serverClock is the server's time as everyone reads it. The estimator belongs
// to timesync; the snapshot it publishes belongs to nobody.
type serverClock struct {
	estimator *clock.Estimator // nil without a source of time
	published clock.Published
}

func newServerClock(config clock.Config, source bool) *serverClock {
	c := new(serverClock)
	if source {
		c.estimator = clock.NewEstimator(config)
	}
	return c
}

// Now is part of auth.Clock: the server's time, or the local wall clock's as
// long as nothing better is known.
func (c *serverClock) Now() time.Time {
	if s := c.published.Load(); s != nil {
		return s.Now()
	}
	return time.Now()
}

// Bound is part of auth.Clock. Without a sample nothing is claimed.
func (c *serverClock) Bound() time.Duration {
	if s := c.published.Load(); s != nil {
		return s.Bound()
	}
	return unboundedError
}

// unboundedError is the bound of a clock that nobody has compared.
const unboundedError = 100 * 365 * 24 * time.Hour

// Range is part of auth.Ranger.
func (c *serverClock) Range(local time.Time) (lo, hi time.Time) {
	if s := c.published.Load(); s != nil {
		return s.Range(local)
	}
	return local.Add(-unboundedError), local.Add(unboundedError)
}

func (c *serverClock) known() bool { return c.published.Load() != nil }

// add is timesync's: one more sample, or the failure to get one.
func (c *serverClock) add(now time.Duration, sample clock.Sample, err error) {
	if err != nil {
		c.estimator.Failed(now)
		return
	}
	c.estimator.Add(sample)
	c.published.Store(c.estimator.Snapshot(now))
}

// nextSample is timesync's.
func (c *serverClock) nextSample(now time.Duration) time.Duration { return c.estimator.NextSample(now) }

// resample is timesync's.
func (c *serverClock) resample() { c.estimator.Resample() }
