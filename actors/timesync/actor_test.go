package timesync

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listener notes what it is told.
type listener struct {
	mu    sync.Mutex
	noted []any
}

func (l *listener) Tell(message any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noted = append(l.noted, message)
}

func (l *listener) heard() []any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noted
}

// room is a time synchronizer that runs, and what it says.
type room struct {
	*Timesync
	mu   sync.Mutex
	log  strings.Builder // guarded by mu: it writes while the test reads
	told listener
}

// Write takes a line of the log.
func (r *room) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *room) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// start runs a time synchronizer in fake time until the test ends.
func start(t *testing.T, sample Sample) *room {
	r := &room{}
	address, epoch := mailbox.NewAddress(), time.Now()
	r.Timesync = New(Needs{
		Sample: sample, Clock: NewClock(clock.Config{Spacing: 250 * time.Millisecond, Epoch: epoch}, 0, true), Epoch: epoch,
		Logger: slog.New(slog.NewTextHandler(r, nil)), Address: address, Told: &r.told,
	})
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	pid := system.Root.Spawn(address.Props(r.Incarnate))
	t.Cleanup(func() {
		ended := system.Root.StopFuture(pid)
		address.Tell(protocol.CloseTimesync{})
		require.NoError(t, ended.Wait())
		system.Shutdown()
		time.Sleep(2 * time.Second) // the actor library's own timers
	})
	return r
}

func (r *room) ask() *listener { return r.askWithin(0) }

// askWithin asks for the time, by a deadline; zero means none.
func (r *room) askWithin(d time.Duration) *listener {
	l := new(listener)
	var deadline time.Duration
	if d > 0 {
		deadline = time.Since(r.needs.Epoch) + d
	}
	r.needs.Address.Tell(protocol.AwaitTime{Owner: l, Deadline: deadline})
	return l
}

// pass lets time pass, and everything end that happens until then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// lead is how far a server's clock is ahead; a test may change it.
type lead struct{ atomic.Int64 }

func (l *lead) sample(_ context.Context, epoch time.Time, _ Patience) (clock.Sample, error) {
	return reading(time.Duration(l.Load()), epoch)
}

// reading is an answer that takes 10 ms, from a server that is ahead.
func reading(ahead time.Duration, epoch time.Time) (clock.Sample, error) {
	sent := time.Now()
	time.Sleep(10 * time.Millisecond)
	now := time.Now()
	return clock.Sample{
		Sent: sent.Sub(epoch), Received: now.Sub(epoch), Local: time.Duration(now.UnixNano()),
		Server: time.Duration(now.Add(ahead).UnixNano()), Resolution: time.Millisecond,
	}, nil
}

func TestWhoeverLeavesIsLetGoOfWhileTheSourceHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := start(t, func(_ context.Context, epoch time.Time, _ Patience) (clock.Sample, error) {
			<-release
			return reading(0, epoch)
		})
		first := r.ask()
		for range 50_000 {
			l := r.ask()
			r.needs.Address.Tell(protocol.LeaveTime{Owner: l})
			require.Empty(t, l.heard())
		}
		last := r.ask()
		require.LessOrEqual(t, len(r.waiting.order), 50, "what it keeps follows from who waits, not from who has waited")
		r.needs.Address.Tell(protocol.LeaveTime{Owner: new(listener)}) // who never came
		close(release)
		pass(time.Second)
		require.Equal(t, []any{protocol.TimeReady{}}, first.heard())
		require.Equal(t, []any{protocol.TimeReady{}}, last.heard())
	})
}

func TestTheOrderOfThoseWhoStayIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []protocol.Recipient
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			if len(model) == 0 || rapid.IntRange(0, 2).Draw(t, "leave") == 0 {
				l := &listener{}
				q.add(waiter{owner: l})
				q.add(waiter{owner: l}) // twice is once
				model = append(model, l)
				continue
			}
			i := rapid.IntRange(0, len(model)-1).Draw(t, "who")
			q.remove(model[i])
			q.remove(model[i])
			model = append(model[:i:i], model[i+1:]...)
			require.Equal(t, len(model), q.len())
			require.LessOrEqual(t, len(q.order), 2*len(model)+17)
		}
		all := q.empty()
		require.Equal(t, len(model), len(all))
		for i := range all {
			require.Same(t, model[i], all[i].owner)
		}
		require.Zero(t, q.len())
	})
}

func TestASourceThatEndsItsGoroutineIsAFailedSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		r := start(t, func(_ context.Context, epoch time.Time, _ Patience) (clock.Sample, error) {
			if calls.Add(1) == 1 {
				runtime.Goexit() // as t.FailNow does
			}
			return reading(0, epoch)
		})
		l := r.ask()
		synctest.Wait()
		require.Len(t, l.heard(), 1)
		require.ErrorIs(t, l.heard()[0].(protocol.TimeReady).Err, messages.ErrNoTime)
		pass(time.Second)
		require.True(t, r.needs.Clock.Known(), "it goes on")
	})
}

func TestADiscoveryOfTheClockIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead lead
		r := start(t, ahead.sample)
		r.ask()
		pass(time.Minute)
		require.Equal(t, []any{protocol.ClockKnown{}}, r.told.heard(), "once, at the first sample")
		ahead.Store(int64(time.Minute))
		pass(time.Minute)
		require.Equal(t, []any{protocol.ClockKnown{}, protocol.ClockKnown{}}, r.told.heard(), "and at a step")
	})
}

func TestWhoWaitsIsNotAnsweredBeforeAFarClockIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(_ context.Context, epoch time.Time, _ Patience) (clock.Sample, error) {
			return reading(3*time.Hour, epoch)
		})
		l := r.ask()
		pass(3 * time.Second)
		require.Empty(t, l.heard())
		require.False(t, r.needs.Clock.Known())
		pass(3 * time.Second)
		require.Equal(t, []any{protocol.TimeReady{}}, l.heard())
		require.Equal(t, 1, strings.Count(r.logged(), "\n"), "it says once why")
		require.Contains(t, r.logged(), "level=INFO")
	})
}

func TestWhoSignsAfterTheMachineSleptWaitsForANewSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var samples atomic.Int64
		r := start(t, func(_ context.Context, epoch time.Time, _ Patience) (clock.Sample, error) {
			samples.Add(1)
			return reading(0, epoch)
		})
		r.ask()
		pass(time.Minute)
		known := samples.Load()
		require.Equal(t, []any{protocol.TimeReady{}}, r.ask().heard(), "at once")
		require.Equal(t, known, samples.Load())

		r.needs.Clock.wall.Add(-int64(time.Hour)) // as if the wall clock had gone on for an hour
		require.False(t, r.needs.Clock.Known())
		l := r.ask()
		require.Empty(t, l.heard())
		pass(100 * time.Millisecond)
		require.Equal(t, []any{protocol.TimeReady{}}, l.heard())
		require.Equal(t, known+1, samples.Load())
		require.True(t, r.needs.Clock.Known())
	})
}

func TestATimeThatCannotBeBelievedIsRefusedLoudlyAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lie = 252 * 365 * 24 * time.Hour
		var ahead lead
		ahead.Store(int64(lie))
		r := start(t, ahead.sample)
		l := r.ask()
		pass(10 * time.Minute)
		require.Len(t, l.heard(), 1)
		err := l.heard()[0].(protocol.TimeReady).Err
		require.ErrorIs(t, err, messages.ErrNoTime)
		skew, ok := errors.AsType[*messages.SkewError](err)
		require.True(t, ok)
		require.InDelta(t, float64(lie), float64(skew.Server.Sub(skew.Local)), float64(time.Second))
		require.ErrorContains(t, err, "server's clock says 225")
		require.ErrorContains(t, err, "this machine's says 2000-01-01")
		require.ErrorContains(t, err, "Clock.Trust")
		require.Equal(t, 1, strings.Count(r.logged(), "level=WARN"), r.logged())
		require.False(t, r.needs.Clock.Known())

		ahead.Store(0)
		pass(time.Minute)
		require.True(t, r.needs.Clock.Known())
	})
}

func TestWhoeverTheFirstLookIsTooLateForIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why, opens := errors.New("limit is full"), time.Now().Add(time.Hour)
		looks := 0
		r := start(t, func(ctx context.Context, epoch time.Time, patience Patience) (clock.Sample, error) {
			looks++
			if patience.Until.Before(opens) {
				return clock.Sample{}, &Later{At: opens, Err: why}
			}
			time.Sleep(time.Until(opens))
			return reading(0, epoch)
		})
		patient, hurried := r.ask(), r.askWithin(time.Minute)
		pass(time.Second)
		require.Equal(t, 2, looks, "the second waits")
		require.Empty(t, patient.heard())
		require.Len(t, hurried.heard(), 1)
		require.ErrorIs(t, hurried.heard()[0].(protocol.TimeReady).Err, why)
		later, more := r.askWithin(time.Minute), r.askWithin(2*time.Hour)
		refused := new(listener)
		r.needs.Address.Tell(protocol.AwaitSample{Owner: refused})
		synctest.Wait()
		require.ErrorIs(t, later.heard()[0].(protocol.TimeReady).Err, why, "and who comes while it waits")
		require.ErrorIs(t, refused.heard()[0].(protocol.TimeReady).Err, why, "and who has an answer already")
		require.Empty(t, more.heard())
		pass(time.Hour)
		for _, l := range []*listener{patient, more} {
			require.Equal(t, []any{protocol.TimeReady{}}, l.heard())
		}
	})
}

func TestALookThatQueuesInItsOwnTimeRefusesThoseAloneWhoseTimeIsUpBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why, begun := errors.New("limit is full"), time.Now()
		var quick atomic.Bool
		r := start(t, func(_ context.Context, epoch time.Time, patience Patience) (clock.Sample, error) {
			if quick.Load() {
				return reading(0, epoch)
			}
			patience.Waits(time.Now().Add(4*time.Second), why)
			time.Sleep(2 * time.Second) // it opens earlier than it was to
			patience.Left()
			time.Sleep(2 * time.Second)
			return reading(0, epoch)
		})
		patient, hurried := r.ask(), r.askWithin(3*time.Second)
		synctest.Wait()
		require.ErrorIs(t, hurried.heard()[0].(protocol.TimeReady).Err, why)
		require.ErrorIs(t, hurried.heard()[0].(protocol.TimeReady).Err, messages.ErrNoTime)
		beside := r.askWithin(3 * time.Second)
		synctest.Wait()
		require.ErrorIs(t, beside.heard()[0].(protocol.TimeReady).Err, why)
		pass(3500 * time.Millisecond)
		behind := r.askWithin(time.Second) // for a look that is let go by now
		pass(time.Second)
		for _, l := range []*listener{patient, behind} {
			require.Equal(t, []any{protocol.TimeReady{}}, l.heard())
		}

		refused := new(listener) // of a request that has an answer: the look that it asks for may queue for a moment
		r.needs.Address.Tell(protocol.AwaitSample{Owner: refused})
		synctest.Wait()
		require.Empty(t, refused.heard(), "the time is known")
		pass(5 * time.Second)
		require.Equal(t, []any{protocol.TimeReady{}}, refused.heard())
		require.Less(t, time.Since(begun), time.Minute)
		quick.Store(true)
		pass(5 * time.Second) // what is under way ends
	})
}

func TestALookWithoutRoomIsNoAlarmAsLongAsWhatIsKnownServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Pointer[error]
		r := start(t, func(_ context.Context, epoch time.Time, _ Patience) (clock.Sample, error) {
			if err := fails.Load(); err != nil {
				return clock.Sample{}, *err
			}
			return reading(0, epoch)
		})
		warned := func() int { return strings.Count(r.logged(), "level=WARN") }
		r.ask()
		pass(time.Minute)
		for _, full := range []error{&Later{At: time.Now().Add(time.Second), Err: errors.New("full")}, &Later{Err: errors.New("full")}} {
			fails.Store(&full)
			pass(time.Minute)
			require.Zero(t, warned(), r.logged())
		}
		pass(time.Hour)
		require.Greater(t, r.needs.Clock.Bound(), mostDoubt)
		require.Equal(t, 1, warned(), "it is not known well enough any more")
		fails.Store(nil)
		pass(time.Minute)

		broken := errors.New("broken")
		fails.Store(&broken)
		pass(time.Minute)
		require.Equal(t, 2, warned(), "it is no lack of room")
	})
}

func TestALookWithoutRoomIsAnAlarmWhereNoTimeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(context.Context, time.Time, Patience) (clock.Sample, error) {
			return clock.Sample{}, &Later{Err: errors.New("full")}
		})
		l := r.ask()
		pass(time.Minute)
		require.ErrorContains(t, l.heard()[0].(protocol.TimeReady).Err, "full")
		require.Equal(t, 1, strings.Count(r.logged(), "level=WARN"), r.logged())
	})
}

func TestASourceThatIsAlwaysTooLateIsAskedSoOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int64
		r := start(t, func(context.Context, time.Time, Patience) (clock.Sample, error) {
			looks.Add(1)
			return clock.Sample{}, &Later{At: time.Now().Add(time.Millisecond), Err: errors.New("later")}
		})
		l := r.ask()
		synctest.Wait()
		require.EqualValues(t, 2, looks.Load(), "and then when it said")
		pass(time.Second)
		require.ErrorContains(t, l.heard()[0].(protocol.TimeReady).Err, "later")
		require.EqualValues(t, mostTurns+2, looks.Load(), "the first time it was not told to wait, and the second its limit was not to be open yet")
		l = r.askWithin(time.Hour)
		pass(time.Second)
		require.Len(t, l.heard(), 1, "with as many turns again")
	})
}
