package engine_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// askOften has so many callers ask again and again until the context ends, and
// counts their answers.
func askOften(ctx context.Context, all *sync.WaitGroup, eng *engine.Engine, callers int, asked engine.Request) (answered *atomic.Int64) {
	answered = new(atomic.Int64)
	for range callers {
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := eng.Do(ctx, &asked); err == nil {
					answered.Add(1)
				} else {
					time.Sleep(50 * time.Millisecond) // it may have been refused at once
				}
			}
		})
	}
	return answered
}

// Requests to an origin that cannot be reached wait without the permits that
// others could use.
func TestADeadOriginTakesNothingFromAHealthyOneThatSharesItsLimit(t *testing.T) {
	rate := func(toDead int) (answered int64) {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) })
			eng := newEngine(t, engine.Config{
				Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (netConn, error) {
					if addr == "dead.test:80" {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return s.dial(ctx, network, addr)
				}},
				Limits: []throttle.Limit{{ID: "calls", Quota: 50, Per: time.Second}},
			})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var all sync.WaitGroup
			askOften(ctx, &all, eng, toDead, engine.Request{URL: "http://dead.test/", LimitID: "calls", Timeout: 3 * time.Second})
			healthy := askOften(ctx, &all, eng, 20, engine.Request{URL: "http://server.test/", LimitID: "calls"})
			all.Wait()
			synctest.Wait()
			answered = healthy.Load()
			wantNothingHeld(t, eng)
		})
		return answered
	}
	alone, beside := rate(0), rate(40)
	t.Logf("alone %d answers in 30 s, beside a dead origin %d", alone, beside)
	require.Greater(t, alone, int64(1400))
	require.GreaterOrEqual(t, float64(beside), 0.95*float64(alone))
}

// The server may close it in the very moment in which a request is written.
func TestNoRequestIsWrittenToAConnectionThatItsServerKeepsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Keep-Alive", "timeout=1") })
		eng := s.newEngine(t, engine.Config{})
		for i, idle := range []time.Duration{0, 100 * time.Millisecond, 1100 * time.Millisecond} {
			time.Sleep(idle)
			_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/"})
			require.NoError(t, err)
			require.EqualValues(t, 1+i/2, eng.Stats().Pools[0].Dialled, "idle for %v", idle)
		}
	})
}

func TestRequestsWhoseConnectionsThePeerClosedHoldTheirPermitsForAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen atomic.Int64
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			if seen.Add(1) <= 10 {
				conn, _, err := http.NewResponseController(w).Hijack()
				require.NoError(t, err)
				conn.Close()
			}
		})
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "orders", Quota: 10, Per: 2 * time.Second}}})
		order := engine.Request{Method: "POST", Path: "/order", LimitID: "orders"}
		failed := make(chan error)
		for range 10 {
			go func() {
				_, err := eng.Do(t.Context(), &order)
				failed <- err
			}()
		}
		for range 10 {
			require.ErrorIs(t, <-failed, messages.ErrPeerClosed)
		}
		_, err := eng.Do(t.Context(), &order)
		require.NoError(t, err)
		require.GreaterOrEqual(t, s.seen()[10], 2*time.Second, "they may have been counted")
		require.LessOrEqual(t, s.seen()[10], 3200*time.Millisecond)
	})
}

// Whoever asked without a permit looks at pauses once more before it leaves.
func TestAPauseOfEverythingReachesWhoeverWaitsForAConnectionWithoutAPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) })
		eng := s.newEngine(t, engine.Config{
			Connections: engine.Connections{Max: 1},
			Limits:      []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}},
		})
		time.AfterFunc(15*time.Millisecond, func() {
			require.NoError(t, eng.Pause(throttle.Scope{Origin: throttle.AnyOrigin, Name: throttle.WholeOrigin}, 5*time.Second))
		})
		sendAll(t, eng, 5, engine.Request{LimitID: engine.Unlimited})
		require.LessOrEqual(t, s.seen()[1], 10*time.Millisecond)
		require.GreaterOrEqual(t, s.seen()[2], 5*time.Second)
	})
}

// A permit is good under the limits as they are when its request leaves.
func TestLoweredLimitsReachRequestsThatWaitForTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) })
		eng := s.newEngine(t, engine.Config{
			Connections: engine.Connections{Max: 1},
			Limits:      []throttle.Limit{{ID: "calls", Quota: 100, Per: time.Second}},
		})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
				require.NoError(t, err)
			})
		}
		synctest.Wait()
		require.NoError(t, eng.ReplaceLimits([]throttle.Limit{{ID: "calls", Quota: 5, Per: time.Second}}))
		all.Wait()
		arrivals := s.seen()
		require.Len(t, arrivals, 20)
		for i := range arrivals[5:] { // one was on its way
			require.GreaterOrEqual(t, arrivals[i+5]-arrivals[i], time.Second, i)
		}
		wantNothingHeld(t, eng)
	})
}
