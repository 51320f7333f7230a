package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// calls is a limit of n a second.
func calls(n int64) []throttle.Limit {
	return []throttle.Limit{{ID: "calls", Quota: n, Per: time.Second, MaxDelay: 10 * time.Second}}
}

// roughly leaves out what the clocks of engine and server may have drifted apart.
func roughly(d time.Duration) time.Duration { return d.Truncate(10 * time.Millisecond) }

const drift = 10 * time.Millisecond

var oneCall = engine.Charge{LimitID: "calls"}

// limit returns the picture of the limit "calls", and everything zero if nobody has used it.
func limitOf(eng *engine.Engine) (one engine.LimitStats) {
	for _, l := range eng.Stats().Limits.Limits {
		if l.ID == "calls" {
			return l
		}
	}
	return one
}

func acquire(t *testing.T, eng *engine.Engine, charge engine.Charge) *engine.Permit {
	t.Helper()
	permit, err := eng.Acquire(t.Context(), charge)
	require.NoError(t, err)
	return permit
}

func TestPermitsAndRequestsShareOneBudgetExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: calls(10)})
		start := time.Now()
		var mu sync.Mutex
		var granted []time.Duration
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				if i%2 == 0 {
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
					require.NoError(t, err)
					return
				}
				permit, err := eng.Acquire(t.Context(), oneCall)
				require.NoError(t, err)
				mu.Lock()
				granted = append(granted, time.Since(start))
				mu.Unlock()
				permit.Done(engine.Done)
			})
			synctest.Wait()
		}
		all.Wait()
		at := map[time.Duration]int{}
		for _, instant := range append(s.seen(), granted...) {
			at[roughly(instant)]++
		}
		require.Len(t, granted, 20)
		require.Equal(t, map[time.Duration]int{0: 10, time.Second: 10, 2 * time.Second: 10, 3 * time.Second: 10}, at)
		wantNothingHeld(t, eng)
	})
}

func TestTheMoreUrgentGoesFirstWhetherRequestOrPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: calls(1)})
		acquire(t, eng, oneCall).Done(engine.Done)
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		went := func(name string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
		}
		request := func(name string, priority engine.Priority) {
			all.Go(func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls", Priority: priority})
				require.NoError(t, err)
				went(name)
			})
			synctest.Wait()
		}
		permit := func(name string, priority engine.Priority) {
			all.Go(func() {
				one, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "calls", Priority: priority})
				require.NoError(t, err)
				one.Done(engine.Done)
				went(name)
			})
			synctest.Wait()
		}
		request("a normal request", engine.Normal)
		permit("a background permit", engine.Background)
		permit("an urgent permit", engine.Urgent)
		request("a high request", engine.High)
		permit("a normal permit", engine.Normal)
		stats := eng.Stats()
		require.Equal(t, 5, stats.Queued)
		require.Equal(t, engine.PermitStats{Waiting: 3}, stats.Permits)
		all.Wait()
		require.Equal(t, []string{"an urgent permit", "a high request", "a normal request", "a normal permit", "a background permit"}, order)
	})
}

func TestAPermitIsRefusedAtOnceThatCannotBeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "http://server.test", Limits: calls(1)})
		acquire(t, eng, oneCall).Done(engine.Done)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		_, byContext := eng.Acquire(ctx, oneCall)
		_, byTimeout := eng.Acquire(t.Context(), engine.Charge{LimitID: "calls", Timeout: 900 * time.Millisecond, Key: "an account"})
		require.Zero(t, time.Since(start))
		for _, err := range []error{byContext, byTimeout} {
			require.ErrorIs(t, err, throttle.ErrDeadline)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
			failure, ok := errors.AsType[*engine.Error](err)
			require.True(t, ok)
			require.Equal(t, engine.Throttled, failure.Stage)
			require.Equal(t, "calls", failure.Limit)
			require.WithinDuration(t, start.Add(time.Second), failure.RetryAt, drift)
			require.NotContains(t, err.Error(), "an account")
		}
		require.NoError(t, engine.Wait(t.Context(), byContext))
		require.Equal(t, time.Second, roughly(time.Since(start)))
		acquire(t, eng, oneCall).Done(engine.Done)
		wantNothingHeld(t, eng)
	})
}

// Room comes too late by an answer that nobody can foresee.
func TestADeadlineThatPassesInTheQueueSaysWhatWasWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "http://server.test", Timeout: 3 * time.Second, Limits: []throttle.Limit{
			{ID: "calls", Quota: 1, Window: throttle.Concurrency},
		}})
		held := acquire(t, eng, oneCall)
		start := time.Now()
		_, err := eng.Acquire(t.Context(), oneCall)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, throttle.ErrDeadline)
		require.Equal(t, 3*time.Second, time.Since(start), "Config.Timeout bounds a charge without a Timeout")
		require.ErrorContains(t, err, `throttled by "calls"`)
		require.ErrorContains(t, err, "waited 3s")
		held.Done(engine.Done)
		wantNothingHeld(t, eng)
	})
}

func TestTheQueueIsBoundedForPermitsAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{
			BaseURL: "http://server.test", Limits: calls(1), Throttle: throttle.Options{MaxQueued: 1},
		})
		acquire(t, eng, oneCall).Done(engine.Done)
		go func() {
			if permit, err := eng.Acquire(t.Context(), oneCall); err == nil {
				permit.Done(engine.Done)
			}
		}()
		synctest.Wait()
		_, err := eng.Acquire(t.Context(), oneCall)
		require.ErrorIs(t, err, engine.ErrQueueFull)
		_, err = eng.TryAcquire(engine.Charge{LimitID: "calls", Priority: engine.Urgent})
		require.ErrorIs(t, err, engine.ErrNoRoom)
		require.Equal(t, 1, eng.Stats().Queued, "nobody is sent away for one that does not wait")
		time.Sleep(time.Second + drift)
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

func TestTryAcquireNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "http://server.test", Limits: calls(3)})
		start := time.Now()
		for range 2 {
			permit, err := eng.TryAcquire(oneCall)
			require.NoError(t, err)
			permit.Done(engine.Done)
		}
		heavy := make(chan *engine.Permit, 1)
		go func() {
			permit, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "calls", Weight: 2})
			require.NoError(t, err)
			heavy <- permit
		}()
		synctest.Wait()

		// There is room for one, and it is kept for who came first.
		_, err := eng.TryAcquire(oneCall)
		require.ErrorIs(t, err, engine.ErrNoRoom)
		failure, _ := errors.AsType[*engine.Error](err)
		require.Equal(t, "calls", failure.Limit)
		require.Zero(t, failure.RetryAt, "that hangs on the one ahead")
		require.True(t, failure.Temporary())

		// Whoever is more urgent goes first.
		urgent, err := eng.TryAcquire(engine.Charge{LimitID: "calls", Priority: engine.Urgent})
		require.NoError(t, err)
		urgent.Done(engine.Done)

		_, err = eng.TryAcquire(engine.Charge{LimitID: "calls", Priority: engine.Urgent, Timeout: time.Hour})
		require.ErrorIs(t, err, engine.ErrNoRoom)
		failure, _ = errors.AsType[*engine.Error](err)
		require.WithinDuration(t, start.Add(time.Second), failure.RetryAt, drift)
		require.Zero(t, time.Since(start), "nothing was waited for")
		(<-heavy).Done(engine.Done)
		require.Equal(t, time.Second, roughly(time.Since(start)))
		wantNothingHeld(t, eng)
	})
}

func TestAPauseHoldsPermitsBackAndIsSeenInTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(10)})
		here, there := acquire(t, eng, oneCall), acquire(t, eng, engine.Charge{LimitID: "calls", Origin: "wss://stream.test/ws?x=1"})
		free := acquire(t, eng, engine.Charge{LimitID: engine.Unlimited})
		for _, permit := range []*engine.Permit{here, there, free} {
			require.False(t, permit.Paused())
		}
		start := time.Now()
		require.NoError(t, eng.Pause(throttle.Scope{Origin: "https://stream.test", Name: throttle.WholeOrigin}, 5*time.Second))
		require.False(t, here.Paused(), "a pause belongs to its origin")
		require.True(t, there.Paused())
		there.Done(engine.NotSent)
		require.True(t, there.Paused(), "nothing may be sent under one that is done")
		require.NoError(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, 2*time.Second))
		require.True(t, here.Paused())
		require.True(t, free.Paused(), "Unlimited obeys the pauses of its origin")
		here.Done(engine.NotSent)
		free.Done(engine.NotSent)

		_, err := eng.TryAcquire(oneCall)
		require.ErrorIs(t, err, engine.ErrNoRoom)
		full, ok := errors.AsType[*throttle.LimitError](err)
		require.True(t, ok)
		require.True(t, full.Paused)
		failure, _ := errors.AsType[*engine.Error](err)
		require.WithinDuration(t, start.Add(2*time.Second), failure.RetryAt, 0)

		acquire(t, eng, oneCall).Done(engine.Done)
		require.Equal(t, 2*time.Second, time.Since(start))
		acquire(t, eng, engine.Charge{LimitID: engine.Unlimited, Origin: "wss://stream.test"}).Done(engine.Done)
		require.Equal(t, 5*time.Second, time.Since(start))
		wantNothingHeld(t, eng)
	})
}

func TestAPermitSeesThatTheLimitsWereReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(10)})
		permit := acquire(t, eng, oneCall)
		require.NoError(t, eng.ReplaceLimits(calls(1)))
		require.True(t, permit.Paused())
		permit.Done(engine.NotSent)
		wantNothingHeld(t, eng)
	})
}

func TestEveryOutcomeOfAPermitCountsAsItDoesForARequest(t *testing.T) {
	for _, one := range []struct {
		name           string
		settle         func(*engine.Permit)
		used, inFlight int64
		lost           int
	}{
		{"never sent", func(p *engine.Permit) { p.Done(engine.NotSent) }, 0, 0, 0},
		{"answered", func(p *engine.Permit) { p.Done(engine.Done) }, 3, 0, 0},
		{"rejected", func(p *engine.Permit) { p.Done(engine.Rejected) }, 3, 0, 0},
		{"unknown", func(p *engine.Permit) { p.Done(engine.Unknown) }, 3, 3, 1},
		{"an outcome that nobody knows", func(p *engine.Permit) { p.Done(engine.Outcome(99)) }, 3, 3, 1},
		{"the zero settlement", func(p *engine.Permit) { p.Settle(engine.Settlement{}) }, 3, 3, 1},
		{"closed by the peer", func(p *engine.Permit) { p.Settle(engine.Settlement{PeerClosed: true}) }, 3, 3, 1},
		{"cheaper than reserved", func(p *engine.Permit) {
			p.Settle(engine.Settlement{Outcome: engine.Done, Costs: []throttle.Cost{{ID: "calls", Weight: 1}}})
		}, 1, 0, 0},
		{"dearer than reserved", func(p *engine.Permit) {
			p.Settle(engine.Settlement{Outcome: engine.Done, Costs: []throttle.Cost{{ID: "calls", Weight: 7}}})
		}, 7, 0, 0},
		{"used by others as well", func(p *engine.Permit) {
			p.Settle(engine.Settlement{Outcome: engine.Done, Usage: []feedback.Usage{{Limit: "calls", Used: 9}}})
		}, 9, 0, 0},
	} {
		t.Run(one.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(10)})
				permit := acquire(t, eng, engine.Charge{LimitID: "calls", Weight: 3})
				require.Equal(t, engine.PermitStats{Held: 1}, eng.Stats().Permits)
				require.EqualValues(t, 3, limitOf(eng).InFlight)
				one.settle(permit)
				got := limitOf(eng)
				require.Equal(t, one.used, got.Used, "used")
				require.Equal(t, one.inFlight, got.InFlight, "in flight")
				require.Equal(t, one.lost, eng.Stats().Limits.Lost)
				require.Zero(t, eng.Stats().Permits)

				permit.Done(engine.NotSent) // too late
				permit.Settle(engine.Settlement{Outcome: engine.Refused, RetryAfter: time.Hour})
				require.Equal(t, one.used, limitOf(eng).Used)
				for _, scope := range eng.Stats().Limits.Scopes {
					require.Zero(t, scope.PausedUntil)
				}
			})
		})
	}
}

// What a stream says of a limit is what a 429 says of a request.
func TestARefusedPermitPausesAsARefusedRequestDoes(t *testing.T) {
	for _, wait := range []time.Duration{0, 7 * time.Second, 100 * time.Hour} {
		var paused [2]time.Duration
		for i := range paused {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
					if wait > 0 {
						w.Header().Set("Retry-After", seconds(wait))
					}
					w.WriteHeader(429)
				})
				eng := s.newEngine(t, engine.Config{Limits: calls(10)})
				other := acquire(t, eng, oneCall)
				start := time.Now()
				if i == 0 {
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
					require.NoError(t, err)
				} else {
					acquire(t, eng, oneCall).Settle(engine.Settlement{Outcome: engine.Refused, RetryAfter: wait})
				}
				require.True(t, other.Paused(), "the pause stands when Settle returns")
				other.Done(engine.NotSent)
				for _, scope := range eng.Stats().Limits.Scopes {
					if scope.Name == "" {
						paused[i] = scope.PausedUntil.Sub(start)
					}
				}
			})
		}
		require.Equal(t, paused[0], paused[1])
		require.GreaterOrEqual(t, paused[1], min(max(wait, time.Second), 72*time.Hour))
	}
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

func TestARefusedPermitCanStopItsWholeOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(10)})
		free := acquire(t, eng, engine.Charge{LimitID: engine.Unlimited})
		acquire(t, eng, oneCall).Settle(engine.Settlement{
			Outcome: engine.Refused, RetryAfter: time.Minute, Scope: throttle.WholeOrigin,
		})
		require.True(t, free.Paused())
		free.Done(engine.NotSent)
		require.NoError(t, eng.Resume(throttle.Scope{Name: throttle.WholeOrigin}))
		acquire(t, eng, oneCall).Done(engine.Refused) // without saying for how long
		_, err := eng.TryAcquire(oneCall)
		require.ErrorIs(t, err, engine.ErrNoRoom)
	})
}

// The bearer of the first permit is that of the second by then.
func TestALateDoneMeetsNobodyElsesPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(1000)})
		var old []*engine.Permit
		for range 200 {
			permit := acquire(t, eng, oneCall)
			require.EqualValues(t, 1, limitOf(eng).InFlight)
			for _, one := range old {
				one.Done(engine.NotSent)
			}
			require.EqualValues(t, 1, limitOf(eng).InFlight)
			permit.Done(engine.Done)
			old = append(old, permit)
		}
		require.EqualValues(t, 200, limitOf(eng).Used)
	})
}

func TestOnlyTheFirstDoneOfManyAtOnceCounts(t *testing.T) {
	eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(1e6)})
	for range 200 {
		permit := acquire(t, eng, oneCall)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { permit.Done(engine.Done) })
			all.Go(func() { _ = permit.Paused() })
		}
		all.Wait()
		require.Zero(t, eng.Stats().Permits.Held)
		require.Zero(t, limitOf(eng).InFlight)
	}
}

func TestTheUsualIdiomsOfDoneWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(10)})
		send := func(fails bool) {
			permit, err := eng.Acquire(t.Context(), oneCall)
			defer permit.Done(engine.NotSent)
			require.NoError(t, err)
			if !fails {
				permit.Done(engine.Done)
			}
		}
		send(true)
		require.Zero(t, limitOf(eng).Used)
		send(false)
		require.EqualValues(t, 1, limitOf(eng).Used)

		var none *engine.Permit // as after an error that nobody has looked at yet
		none.Done(engine.Done)
		none.Settle(engine.Settlement{})
		require.True(t, none.Paused())
		permit := acquire(t, eng, oneCall)
		defer permit.Done(engine.OutcomeOf(nil))
	})
}

func TestCloseRefusesThoseThatWaitForAPermitAndNeedsNoDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(1)})
		held := acquire(t, eng, oneCall)
		refused := make(chan error, 1)
		go func() {
			_, err := eng.Acquire(t.Context(), oneCall)
			refused <- err
		}()
		synctest.Wait()
		require.NoError(t, eng.Close())
		select {
		case err := <-refused:
			require.ErrorIs(t, err, engine.ErrClosed)
		default:
			t.Fatal("Close returned before whoever waits had an answer")
		}
		_, err := eng.Acquire(t.Context(), oneCall)
		require.ErrorIs(t, err, engine.ErrClosed)
		_, err = eng.TryAcquire(oneCall)
		require.ErrorIs(t, err, engine.ErrClosed)
		start := time.Now()
		held.Settle(engine.Settlement{Outcome: engine.Refused, RetryAfter: time.Minute})
		held.Done(engine.Done)
		require.Zero(t, time.Since(start), "Done after Close waits for nobody")
		require.Zero(t, eng.Stats().Permits)
	})
}

func TestShutdownWaitsForPermitsAsLongAsItsContextLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(1)})
		held := acquire(t, eng, oneCall)
		late := make(chan *engine.Permit, 1)
		go func() {
			permit, err := eng.Acquire(t.Context(), oneCall)
			require.NoError(t, err, "who waits already is served")
			late <- permit
		}()
		synctest.Wait()
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- eng.Shutdown(t.Context()) }()
		synctest.Wait()
		_, err := eng.Acquire(t.Context(), oneCall)
		require.ErrorIs(t, err, engine.ErrClosed)
		time.Sleep(2 * time.Second)
		held.Done(engine.Done)
		permit := <-late
		time.Sleep(time.Second)
		require.Empty(t, done)
		permit.Done(engine.Done)
		require.NoError(t, <-done)
		require.Equal(t, 4*time.Second, roughly(time.Since(start)))
	})
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(1)})
		held := acquire(t, eng, oneCall)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, eng.Shutdown(ctx), context.DeadlineExceeded)
		held.Done(engine.Done)
	})
}

func TestDoneMayCrossClose(t *testing.T) {
	for range 60 {
		eng, err := engine.New(engine.Config{BaseURL: "https://api.test", Limits: calls(1e6)})
		require.NoError(t, err)
		var all sync.WaitGroup
		for range 4 {
			permit := acquire(t, eng, oneCall)
			all.Go(func() { permit.Done(engine.Done) })
			all.Go(func() {
				if permit, err := eng.TryAcquire(oneCall); err == nil {
					permit.Settle(engine.Settlement{Outcome: engine.Refused, Scope: throttle.WholeOrigin})
				}
			})
		}
		require.NoError(t, eng.Close())
		all.Wait()
		require.Zero(t, eng.Stats().Permits)
	}
}

func TestAChargeThatCannotBeIsRefusedBeforeAnythingElse(t *testing.T) {
	eng := newEngine(t, engine.Config{Limits: calls(5)})
	here := engine.Charge{LimitID: "calls", Origin: "https://api.test"}
	with := func(change func(*engine.Charge)) engine.Charge {
		one := here
		change(&one)
		return one
	}
	for _, one := range []struct {
		charge engine.Charge
		err    error
	}{
		{engine.Charge{LimitID: "calls"}, engine.ErrInvalidRequest},
		{with(func(c *engine.Charge) { c.Origin = "ftp://user:hunter2@api.test" }), engine.ErrInvalidRequest},
		{with(func(c *engine.Charge) { c.LimitID = "" }), engine.ErrNoLimit},
		{with(func(c *engine.Charge) { c.LimitID = "other" }), engine.ErrUnknownLimit},
		{with(func(c *engine.Charge) { c.Weight = -1 }), engine.ErrInvalidRequest},
		{with(func(c *engine.Charge) { c.Weight = 6 }), engine.ErrWeight},
		{with(func(c *engine.Charge) { c.Weights = map[string]int64{"calls": -1} }), engine.ErrInvalidRequest},
	} {
		_, err := eng.Acquire(t.Context(), one.charge)
		require.ErrorIs(t, err, one.err, one.charge)
		require.NotContains(t, err.Error(), "hunter2")
		_, err = eng.TryAcquire(one.charge)
		require.ErrorIs(t, err, one.err, one.charge)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
	}
	var nobody context.Context
	_, err := eng.Acquire(nobody, here)
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	var none *engine.Engine
	_, err = none.Acquire(t.Context(), here)
	require.ErrorIs(t, err, engine.ErrNoEngine)
	_, err = none.TryAcquire(here)
	require.ErrorIs(t, err, engine.ErrNoEngine)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = eng.Acquire(ended, here)
	require.ErrorIs(t, err, context.Canceled)
	_, err = eng.Acquire(unaskable{t.Context()}, here)
	_, ok := errors.AsType[*engine.PanicError](err)
	require.True(t, ok, err)
	require.Zero(t, eng.Stats().Permits)
	require.NoError(t, eng.Shutdown(t.Context()), "nobody is waited for")
}

// unaskable is a context that cannot be asked anything.
type unaskable struct{ context.Context }

func (unaskable) Done() <-chan struct{} { panic("no") }

func TestACancelledWaitGivesEverythingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: calls(1)})
		acquire(t, eng, oneCall).Done(engine.Done)
		mine := errors.New("no longer wanted")
		ctx, cancel := context.WithCancelCause(t.Context())
		start := time.Now()
		time.AfterFunc(300*time.Millisecond, func() { cancel(mine) })
		_, err := eng.Acquire(ctx, oneCall)
		require.ErrorIs(t, err, mine)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 300*time.Millisecond, time.Since(start))
		wantNothingHeld(t, eng)
		acquire(t, eng, oneCall).Done(engine.Done)
		require.Equal(t, time.Second, roughly(time.Since(start)), "it has kept nothing")
	})
}

// Random callers: requests and permits of all priorities, cancelled at any instant, some
// of them at the very one at which there is room. The referee counts what left by the
// instants of the grants and of the arrivals.
func TestNoMixOfRequestsAndPermitsIsEverOverTheLimit(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			const quota = 5
			random := rand.New(rand.NewPCG(seed, 1))
			s := newServer(t, nil)
			eng := s.newEngine(t, engine.Config{Limits: calls(quota)})
			start := time.Now()
			var mu sync.Mutex
			var left []time.Duration
			var all sync.WaitGroup
			for range 150 {
				at, priority := time.Duration(random.IntN(200))*50*time.Millisecond, engine.Priority(random.IntN(3))
				until := time.Duration(1+random.IntN(60)) * 50 * time.Millisecond
				kind, holds, fate := random.IntN(5), time.Duration(random.IntN(4))*25*time.Millisecond, random.IntN(4)
				all.Go(func() {
					time.Sleep(at)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					time.AfterFunc(until, cancel)
					charge := engine.Charge{LimitID: "calls", Priority: priority}
					var permit *engine.Permit
					var err error
					switch kind {
					case 0, 1:
						_, _ = eng.Do(ctx, &engine.Request{Path: "/", LimitID: "calls", Priority: priority})
						return
					case 2:
						permit, err = eng.TryAcquire(charge)
					default:
						permit, err = eng.Acquire(ctx, charge)
					}
					if err != nil {
						return
					}
					granted := time.Since(start)
					time.Sleep(holds)
					if fate == 0 {
						permit.Done(engine.NotSent)
						return
					}
					mu.Lock()
					left = append(left, granted)
					mu.Unlock()
					permit.Done(engine.Done)
				})
			}
			all.Wait()
			counted := append(s.seen(), left...)
			slices.Sort(counted)
			for i := quota; i < len(counted); i++ {
				require.GreaterOrEqual(t, counted[i]-counted[i-quota], time.Second, "seed %d", seed)
			}
			require.Greater(t, len(counted), 40)
			wantNothingHeld(t, eng)
			require.Zero(t, eng.Stats().Permits)
		})
	}
}

// In real time and on many processors, with nothing to hold anybody back for long.
func TestPermitsAreCountedRightByManyCallersAtOnce(t *testing.T) {
	eng := newEngine(t, engine.Config{BaseURL: "https://api.test", Limits: []throttle.Limit{
		{ID: "calls", Quota: 3, Window: throttle.Concurrency},
	}})
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%7 == 0 {
					go cancel()
				}
				var permit *engine.Permit
				var err error
				if (i+n)%3 == 0 {
					permit, err = eng.TryAcquire(oneCall)
				} else {
					permit, err = eng.Acquire(ctx, oneCall)
				}
				if err == nil {
					now := inside.Add(1)
					for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
					}
					runtime.Gosched()
					inside.Add(-1)
					permit.Done(engine.Done)
				}
				cancel()
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(3))
	wantNothingHeld(t, eng)
	require.Zero(t, eng.Stats().Permits)
}

//go:noinline
func forgetPermits(t *testing.T, eng *engine.Engine) {
	for range 3 {
		acquire(t, eng, oneCall)
	}
}

func TestAForgottenPermitIsFoundAndTakenForLost(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	eng := newEngine(t, engine.Config{
		BaseURL: "https://api.test", Limits: calls(10), TracePermits: true,
		Logger: slog.New(slog.NewTextHandler(&lockedLog{&mu, &log}, nil)),
	})
	kept := acquire(t, eng, engine.Charge{LimitID: engine.Unlimited})
	for range 100 { // what is held keeps those from being found that were acquired beside it
		acquire(t, eng, engine.Charge{LimitID: engine.Unlimited}).Done(engine.NotSent)
	}
	forgetPermits(t, eng)
	for until := time.Now().Add(30 * time.Second); eng.Stats().Permits.Held > 1 && time.Now().Before(until); {
		runtime.GC()
		if permit, err := eng.TryAcquire(engine.Charge{LimitID: engine.Unlimited}); err == nil { // who asks has the forgotten settled
			permit.Done(engine.NotSent)
		}
	}
	require.Equal(t, 1, eng.Stats().Permits.Held, "the one that is not forgotten")
	require.Equal(t, 3, eng.Stats().Limits.Lost)
	kept.Done(engine.NotSent)
	require.NoError(t, eng.Close())
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 3, strings.Count(log.String(), "a permit was forgotten without Done"))
	require.Contains(t, log.String(), "engine_test.forgetPermits (")
}

type lockedLog struct {
	mu *sync.Mutex
	of *strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of.Write(p)
}

func TestAPermitAllocatesNothing(t *testing.T) {
	eng, err := engine.New(engine.Config{BaseURL: "https://api.test", Limits: tapeLimits})
	require.NoError(t, err)
	defer eng.Close()
	cancellable, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, charge := range []engine.Charge{
		{LimitID: "route"}, {LimitID: engine.Unlimited}, {LimitID: "route", Origin: "wss://stream.test/ws"}, {LimitID: "route", Weight: 2},
	} {
		for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": cancellable} {
			// A Permit is a part of a block of many, which AllocsPerRun rounds down.
			require.Zero(t, testing.AllocsPerRun(500, func() {
				permit, err := eng.Acquire(ctx, charge)
				if err != nil || permit.Paused() {
					t.Error(err)
				}
				permit.Done(engine.Done)
				permit.Done(engine.NotSent)
			}), name)
		}
	}
}
