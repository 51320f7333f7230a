package permit_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/permit"
	"github.com/sluice-engine/sluice/actors/throttler"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is an issuer with a real throttler, whose last look can be made to say something
// else.
type bench struct {
	*permit.Issuer
	throttler mailbox.Address
	held      func(said bool) bool // what Needs.Held answers, given what the throttler says; nil leaves it
	outdated  func() bool          // the same for Needs.Outdated
	closing   chan struct{}
	returned  atomic.Int64
	log       strings.Builder
	mu        sync.Mutex // guards log
}

func (b *bench) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *bench) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

var system = sync.OnceValue(func() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
})

func newBench(t *testing.T, limits ...throttle.Limit) *bench {
	ledger, err := throttle.New(limits, throttle.Options{ClockRate: 1e-9})
	require.NoError(t, err)
	b := &bench{throttler: mailbox.NewAddress(), closing: make(chan struct{})}
	logger := slog.New(slog.NewTextHandler(b, nil))
	epoch := time.Now()
	actual := throttler.New(throttler.Needs{
		DeskNeeds: throttler.DeskNeeds{Ledger: ledger, Limits: limits}, Epoch: epoch, Clock: new(clock.Published), Logger: logger, Address: b.throttler,
	})
	pid, err := system().Root.SpawnNamed(b.throttler.Props(actual.Incarnate), t.Name())
	require.NoError(t, err)
	b.Issuer = permit.NewIssuer(permit.Needs{
		Throttler: b.throttler, Epoch: epoch, Closing: b.closing, Logger: logger,
		Held: func(origin string, charged *throttle.Charged) bool {
			said := actual.Held(origin, charged)
			if b.held != nil {
				return b.held(said)
			}
			return said
		},
		Outdated: func(charged *throttle.Charged) bool {
			return actual.Outdated(charged) || b.outdated != nil && b.outdated()
		},
		Returned: func() { b.returned.Add(1) },
	})
	t.Cleanup(func() {
		b.Issuer.Close()
		b.throttler.Tell(protocol.CloseThrottler{})
		system().Root.Stop(pid)
	})
	return b
}

func (b *bench) snapshot() throttle.Snapshot {
	reply := mailbox.NewReply()
	b.throttler.Tell(protocol.DescribeLimits{Owner: reply})
	return (<-reply).(protocol.LimitsDescribed).Snapshot
}

func (b *bench) acquire(t *testing.T) *permit.Permit {
	p := new(permit.Permit)
	require.NoError(t, b.Acquire(t.Context(), &permit.Ask{Limit: "calls"}, p))
	return p
}

func calls(n int64) throttle.Limit {
	return throttle.Limit{ID: "calls", Quota: n, Per: time.Second}
}

// blocker is told something on the throttler's turn, and keeps it there until it is let go.
type blocker struct{ entered, let chan struct{} }

func (b blocker) Tell(any) {
	close(b.entered)
	<-b.let
}

func TestATryLeavesABusyThrottlerAMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, calls(1))
		busy := blocker{make(chan struct{}), make(chan struct{})}
		go b.throttler.Tell(protocol.DescribeLimits{Owner: busy})
		<-busy.entered
		start := time.Now()
		err := b.TryAcquire(&permit.Ask{Limit: "calls"}, new(permit.Permit))
		require.Equal(t, time.Millisecond, time.Since(start))
		require.ErrorIs(t, err, throttle.ErrNoRoom)
		require.ErrorContains(t, err, "the throttler was busy")
		close(busy.let)
		synctest.Wait()
		b.acquire(t).Done(throttle.Answered) // the grant that nobody waited for was given back
		require.Zero(t, time.Since(start)-time.Millisecond)
		require.EqualValues(t, 1, b.returned.Load(), "of the one that was handed over")
	})
}

func TestAWaitBehindABusyThrottlerEndsWithItsContextAndWithTheEngine(t *testing.T) {
	for _, closes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, calls(1))
			busy := blocker{make(chan struct{}), make(chan struct{})}
			go b.throttler.Tell(protocol.DescribeLimits{Owner: busy})
			<-busy.entered
			ctx, cancel := context.WithCancel(t.Context())
			want := context.Canceled
			if closes {
				want = messages.ErrClosed
				time.AfterFunc(time.Second, func() { close(b.closing) })
			} else {
				time.AfterFunc(time.Second, cancel)
			}
			start := time.Now()
			require.ErrorIs(t, b.Acquire(ctx, &permit.Ask{Limit: "calls"}, new(permit.Permit)), want)
			require.Equal(t, time.Second, time.Since(start))
			cancel()
			close(busy.let)
			synctest.Wait()
			require.Zero(t, b.snapshot().Limits[0].Used)
		})
	}
}

// Paused between the grant and the look in the last moment: it keeps its rank, and
// waits for the end of the pause before others who came later.
func TestAGrantThatCrossesAPauseIsNotHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, calls(1))
		looks := 0
		b.held = func(said bool) bool {
			if looks++; looks == 1 {
				b.throttler.Tell(protocol.PauseScope{Scope: throttle.Scope{Name: throttle.WholeOrigin}, For: 3 * time.Second, Owner: mailbox.NewReply()})
				return true
			}
			return said
		}
		start := time.Now()
		p := b.acquire(t)
		require.Equal(t, 3*time.Second, time.Since(start))
		require.Equal(t, 2, looks)
		require.False(t, p.Paused())
		p.Done(throttle.Answered)
		require.EqualValues(t, 1, b.snapshot().Limits[0].Used)
	})
}

func TestATryThatCrossesAPauseIsRefusedByIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, calls(1))
		looks := 0
		b.held = func(said bool) bool {
			if looks++; looks == 1 {
				b.throttler.Tell(protocol.PauseScope{Scope: throttle.Scope{Name: throttle.WholeOrigin}, For: 3 * time.Second, Owner: mailbox.NewReply()})
				return true
			}
			return said
		}
		start := time.Now()
		err := b.TryAcquire(&permit.Ask{Limit: "calls"}, new(permit.Permit))
		require.ErrorIs(t, err, throttle.ErrNoRoom)
		require.Equal(t, 1, looks)
		require.Equal(t, start.Add(3*time.Second), err.(*messages.Error).RetryAt)

		b.held = func(bool) bool { return true } // and one that is paused again and again
		time.Sleep(3 * time.Second)
		require.ErrorIs(t, b.TryAcquire(&permit.Ask{Limit: "calls"}, new(permit.Permit)), throttle.ErrNoRoom)
		require.Zero(t, b.snapshot().Limits[0].Used)
		require.Zero(t, b.returned.Load())
	})
}

func TestLimitsThatAreReplacedAgainAndAgainHoldNobodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, calls(100))
		looks := 0
		b.outdated = func() bool {
			looks++
			b.throttler.Tell(protocol.ReplaceLimits{Limits: []throttle.Limit{calls(100)}, Owner: mailbox.NewReply()})
			return true
		}
		p := b.acquire(t)
		require.Equal(t, 9, looks)
		b.outdated = nil
		require.True(t, p.Paused(), "and it says so")
		p.Done(throttle.NeverSent)
		require.Zero(t, b.snapshot().Limits[0].Used)
	})
}

// watchTime is between two looks for forgotten permits.
const watchTime = 5 * time.Second

func TestAForgottenPermitIsSettledInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, calls(10))
		p := b.acquire(t)
		p.Forgotten()
		p.Forgotten()
		require.Zero(t, b.snapshot().Lost, "the collector touches no actor")
		time.Sleep(watchTime)
		synctest.Wait()
		require.Equal(t, 1, b.snapshot().Lost)
		require.EqualValues(t, 1, b.returned.Load())
		require.Contains(t, b.logged(), "a permit was forgotten without Done, and is taken for lost")
		require.Contains(t, b.logged(), `limit=calls`)
		require.Contains(t, b.logged(), `"issued ago"=5s`)
		require.Contains(t, b.logged(), "Config.TracePermits")
		p.Done(throttle.NeverSent)
		require.Equal(t, 1, b.snapshot().Lost)

		// Nobody looks for ever.
		time.Sleep(time.Hour)
		again := b.acquire(t)
		time.Sleep(time.Hour)
		again.Forgotten()
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, b.returned.Load())
		b.acquire(t).Done(throttle.Answered) // and whoever asks has it settled
		require.EqualValues(t, 3, b.returned.Load())
	})
}
