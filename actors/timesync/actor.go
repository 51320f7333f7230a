// Package timesync keeps the server's time.
//
//	actor.go  the actor: when to look at the server's clock, and who waits for it
//	clock.go  what is known of that clock, as everyone reads it without asking
//	queue.go  who waits for it
//
// The arithmetic is internal/clock's.
package timesync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Sample reads the server's clock once. Its instants count from epoch, on
// the monotonic clock. A look that its limit does not let go at once waits in the limit's
// queue as Patience says, and else fails with a *Later.
type Sample func(ctx context.Context, epoch time.Time, patience Patience) (clock.Sample, error)

// Patience is how long a look may wait for its limit.
type Patience struct {
	Until time.Time // when that was to open; in the past, it is not waited for
	// Waits is to be called when a look has come into the queue, with when its limit opens and
	// why, as far as that is known: a look that waits for as long as it may is waited for as well.
	// It returns at once.
	Waits func(until time.Time, why error)
	// Left is to be called when a look that has waited is let go: the limit may have opened
	// earlier than it was to. It returns at once.
	Left func()
}

// Later is why a look was not taken that can be taken later: there was no room for it.
type Later struct {
	At  time.Time // when its limit opens, as far as is known; zero, if it is not
	Err error     // which says so
}

// Error is part of error.
func (l *Later) Error() string { return l.Err.Error() }

// Unwrap returns the cause.
func (l *Later) Unwrap() error { return l.Err }

// Needs are what a time synchronizer is handed.
type Needs struct {
	Sample  Sample
	Clock   *Clock
	Epoch   time.Time
	Logger  *slog.Logger
	Address mailbox.Address    // where the time synchronizer is told things
	Told    protocol.Recipient // of every discovery of the clock; may be nil
}

// Timesync is what outlives the failures of the actor. It samples when the
// first request needs it, shares that sample among all who wait, refreshes by
// itself as the estimator advises, and publishes snapshots that signers read
// without asking.
type Timesync struct {
	needs    Needs
	alarm    mailbox.Alarm   // rings when the next sample is due
	waiting  queue           // who has asked, and was not answered yet
	sampling bool            // one sample is under way, and will be reported
	delay    delay           // of the look that is under way, for whoever comes beside it
	warned   bool            // a failure to learn the time was logged, and nothing was learnt since
	doubted  bool            // likewise, that a time is still to be confirmed
	ctx      context.Context // ends the samples when the engine closes
	cancel   context.CancelFunc
}

// delay is what is known of a first look that waits for its limit. The zero value is of one that
// does not.
type delay struct {
	until time.Duration // when the limit opens
	why   error
	turns int  // looks that were refused for it though it was to be open, one after the other
	rests bool // until the alarm rings there is no other: the source does not wait for the limit itself
}

// mostTurns bounds them: a source of time may say whatever it likes.
const mostTurns = 16

// mostRest is how long a source that does not wait for its limit is left alone: that may open
// earlier than it was to, as when a pause is lifted, and nobody would say so.
const mostRest = 5 * time.Second

// What timesync tells itself.
type (
	sampleDone struct {
		sample clock.Sample
		err    error
		later  *Later // the same, if it is one
		closed bool   // err is that of an engine that has ended
	}
	sampleWaits struct { // the look waits for its limit
		until time.Time
		why   error
	}
	sampleLeft struct{} // it does so no more
	sampleDue  struct{}
)

// New makes a time synchronizer that is still to be spawned.
func New(needs Needs) *Timesync {
	t := &Timesync{needs: needs, alarm: mailbox.NewAlarm(needs.Address, sampleDue{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Incarnate makes the actor, at first and after each failure.
func (t *Timesync) Incarnate() actor.Actor { return incarnation{t} }

// Failed is part of protocol.Survivor. Whoever asked in the word it failed on
// waits with the others, if that is not so already.
func (t *Timesync) Failed(message any) {
	switch m := message.(type) {
	case protocol.AwaitTime:
		t.waiting.add(waiter{m.Owner, m.Deadline})
	case protocol.AwaitSample:
		t.waiting.add(waiter{m.Owner, atOnce})
	}
}

// atOnce is the deadline of those who wait for a look that is taken at once, and for no other: they
// have an answer already.
const atOnce = time.Duration(1)

// incarnation is the actor between two failures. It has no state of its own.
type incarnation struct{ *Timesync }

// Receive is part of actor.Actor.
func (t incarnation) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case protocol.AwaitTime:
		t.await(waiter{m.Owner, m.Deadline})
	case protocol.AwaitSample:
		t.resample(m.Owner)
	case protocol.LeaveTime:
		t.waiting.remove(m.Owner)
	case protocol.ResampleTime:
		t.needs.Clock.resample()
		t.sample()
	case sampleDue:
		t.delay.rests = false
		t.sample()
	case sampleWaits:
		if t.sampling && !t.needs.Clock.Known() { // who knows the time has it at once
			t.refuseInVain(m.until, &noTime{m.why})
		}
	case sampleLeft:
		t.delay.until, t.delay.why = 0, nil
	case sampleDone:
		t.sampled(m)
	case protocol.CloseTimesync:
		t.cancel()
		t.answer(messages.ErrClosed)
	case *actor.Started:
		if t.needs.Clock.sampled() || t.waiting.len() > 0 {
			t.sample() // an incarnation before failed, and its alarm with it
		}
	case *actor.Restarting, *actor.Stopping:
		t.alarm.Stop()
		t.delay.rests = false
		return
	case *actor.Stopped:
		return
	default:
		t.needs.Logger.Error("timesync was told a word it does not know", "word", fmt.Sprintf("%T", m))
	}
	if t.closing() && !t.sampling {
		ctx.Stop(ctx.Self()) // more than once does no harm
	}
}

func (t *Timesync) closing() bool { return t.ctx.Err() != nil }

func (t *Timesync) await(w waiter) {
	switch {
	case t.closing():
		w.owner.Tell(protocol.TimeReady{Err: messages.ErrClosed})
	case t.needs.Clock.Known():
		w.owner.Tell(protocol.TimeReady{})
	case w.inVain(t.delay.until):
		w.owner.Tell(protocol.TimeReady{Err: t.delay.why})
	default:
		t.waiting.add(w)
		t.sample()
	}
}

// resample answers with the next sample. One that is under way may be older
// than the refusal it is wanted for, but the estimator takes either.
func (t *Timesync) resample(owner protocol.Recipient) {
	w := waiter{owner, atOnce}
	switch {
	case t.closing():
		owner.Tell(protocol.TimeReady{Err: messages.ErrClosed})
	case w.inVain(t.delay.until):
		owner.Tell(protocol.TimeReady{Err: t.delay.why})
	default:
		t.waiting.add(w)
		t.needs.Clock.resample()
		t.sample()
	}
}

// sample begins a look-up unless one is under way. The goroutine is given
// copies, and reports back once, even if the caller's code ends it.
func (t *Timesync) sample() {
	if t.sampling || t.closing() || t.delay.rests {
		return
	}
	t.sampling = true
	until := t.needs.Epoch.Add(t.delay.until)
	go func(ctx context.Context, read Sample, epoch time.Time, self mailbox.Address) {
		done := sampleDone{err: errGoexit}
		defer func() { self.Tell(done) }()
		done.sample, done.err = read(ctx, epoch, Patience{
			Until: until,
			Waits: func(until time.Time, why error) { self.Tell(sampleWaits{until, why}) },
			Left:  func() { self.Tell(sampleLeft{}) },
		})
		done.later, _ = done.err.(*Later)
		done.closed = isClosed(done.err)
	}(t.ctx, t.needs.Sample, t.needs.Epoch, t.needs.Address)
}

// isClosed reports whether a look-up failed because the engine ends. The error may be of the
// caller's own making, whose methods panic: they are called here, and not on the actor's turn.
func isClosed(err error) (is bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, messages.ErrClosed)
}

// errGoexit is how a look-up fails whose code called runtime.Goexit, as t.FailNow
// does.
var errGoexit = errors.New("time source ended its goroutine")

// sampled answers who waits, unless it takes more samples to know.
func (t *Timesync) sampled(m sampleDone) {
	t.sampling = false
	now := time.Since(t.needs.Epoch)
	learnt, err := t.needs.Clock.add(now, m.sample, m.err)
	switch learnt {
	case nothing:
		err = &noTime{err}
		if m.later != nil && !m.later.At.IsZero() && t.postpone(now, m.later, err) {
			return
		}
		t.warn(err, m.closed || m.later != nil && t.needs.Clock.serves())
		t.answer(err)
	case undecided:
		t.doubt(m.sample)
	case discovered:
		t.tell(protocol.ClockKnown{})
		fallthrough
	case refined:
		t.warned, t.doubted = false, false
		t.answer(nil)
	}
	t.delay = delay{}
	t.alarm.RingIn(t.needs.Clock.nextSample(now) - now)
}

// postpone has a first look wait for its limit, as the requests behind it would have, and
// answers those who would wait for it in vain. A source that was told to wait and has not is asked
// again when the limit opens, and every mostRest until then. It reports false if nobody is left, or
// if it has waited often enough.
func (t *Timesync) postpone(now time.Duration, later *Later, err error) bool {
	first := t.delay.turns == 0
	if now >= t.delay.until {
		t.delay.turns++
	}
	t.refuseInVain(later.At, err)
	switch {
	case t.waiting.len() == 0, t.delay.turns > mostTurns, t.closing():
		return false
	case first:
		t.sample()
	default:
		t.delay.rests = true
		t.alarm.RingIn(min(t.delay.until-now, mostRest))
	}
	return true
}

// refuseInVain answers who would wait in vain for a look whose limit opens then, from now on too.
func (t *Timesync) refuseInVain(opens time.Time, why error) {
	t.delay.until, t.delay.why = opens.Sub(t.needs.Epoch), why
	for _, w := range t.waiting.takeInVain(t.delay.until) {
		w.owner.Tell(protocol.TimeReady{Err: why})
	}
}

// noTime is messages.ErrNoTime with its reason, in one line. The reason may be an error of the
// caller's own making: so its text is asked for by whoever reads it, and not on the actor's turn.
type noTime struct{ why error }

// Error is part of error.
func (e *noTime) Error() string {
	return messages.ErrNoTime.Error() + ": " + messages.Discreet(e.why).Error()
}

// Unwrap returns both.
func (e *noTime) Unwrap() []error { return []error{messages.ErrNoTime, e.why} }

// warn says once that nothing is learnt, and then holds its peace until something is. It is no
// alarm if there was no room for a look and what is known serves, nor in an engine that ends and
// needs no time: that is harmless, and said quietly.
func (t *Timesync) warn(err error, harmless bool) {
	level := slog.LevelWarn
	if t.warned || t.closing() || harmless {
		level = slog.LevelDebug
	}
	t.warned = t.warned || !harmless // or nothing would be said once it is an alarm
	t.needs.Logger.Log(context.Background(), level, "server time could not be learnt", "error", messages.Discreet(err))
}

// doubt says once why who waits has to wait longer.
func (t *Timesync) doubt(s clock.Sample) {
	if !t.doubted {
		t.needs.Logger.Info("server time is far from this machine's: it is used once it is confirmed",
			"server", unix(s.Server).UTC(), "local", unix(s.Local).UTC())
	}
	t.doubted = true
}

func (t *Timesync) tell(word any) {
	if t.needs.Told != nil {
		t.needs.Told.Tell(word)
	}
}

func (t *Timesync) answer(err error) {
	for _, w := range t.waiting.empty() { // first: whoever is told may ask again
		w.owner.Tell(protocol.TimeReady{Err: err})
	}
}
