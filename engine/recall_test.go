package engine_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
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

// Nothing but a request without a limit has met the origin, so the throttler knows
// none that the pause could be noted at.
func TestAPauseOfEveryOriginReachesARequestWithoutALimitThatWaitsForItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Second)
			return s.dial(ctx, network, addr)
		}}})
		var all sync.WaitGroup
		all.Go(func() {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.NoError(t, err)
		})
		synctest.Wait()
		everywhere := throttle.Scope{Origin: throttle.AnyOrigin, Name: throttle.WholeOrigin}
		require.NoError(t, eng.Pause(everywhere, 10*time.Second))
		all.Wait()
		require.Equal(t, []time.Duration{10 * time.Second}, s.seen())
		wantNothingHeld(t, eng)
	})
}

// Whoever waits for the connection does not get it before the refusal was read.
func TestASlowReaderOfARefusalLetsNobodyLeaveMeanwhile(t *testing.T) {
	for _, limit := range []string{"calls", engine.Unlimited} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, refusing(429, "5", 10*time.Millisecond))
			eng := s.newEngine(t, engine.Config{
				Connections: engine.Connections{Max: 1},
				Limits:      []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}},
				Feedback: func(a feedback.Answer) feedback.Feedback {
					time.Sleep(100 * time.Millisecond)
					return feedback.RetryAfter(a)
				},
			})
			sendAll(t, eng, 20, engine.Request{LimitID: limit})
			for _, at := range s.seen()[1:] {
				require.GreaterOrEqual(t, at, 5*time.Second)
			}
			wantNothingHeld(t, eng)
		})
	}
}

// On real sockets the next in line is another processor's business at once.
func TestARefusalOvertakesTheConnectionItCameOn(t *testing.T) {
	for range 20 {
		var arrived atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if arrived.Add(1) == 1 {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}))
		eng := newEngine(t, engine.Config{
			BaseURL: server.URL, Connections: engine.Connections{Max: 1}, DefaultLimitID: "calls",
			Limits: []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}},
		})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { _, _ = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: 500 * time.Millisecond}) })
		}
		all.Wait()
		require.EqualValues(t, 1, arrived.Load())
		require.NoError(t, eng.Close())
		server.Close()
	}
}
