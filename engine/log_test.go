package engine_test

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestAPauseIsToldOnceAndAFailureNamesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		eng := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Millisecond)
			w.WriteHeader(http.StatusTooManyRequests)
		}).newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "calls", Quota: 100, Per: time.Second}}, DefaultLimitID: "calls",
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		var all sync.WaitGroup
		for n := range 10 { // they leave together, and are refused one after the other
			all.Go(func() {
				time.Sleep(time.Duration(n) * time.Millisecond)
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/a"})
				require.NoError(t, err)
			})
		}
		all.Wait()
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/b?key=sesame", Timeout: 10 * time.Millisecond})
		require.ErrorContains(t, err, "paused")
		time.Sleep(2 * time.Second)
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/c"}) // refused after the pause: that is news
		require.NoError(t, err)
		require.NoError(t, eng.Close())

		require.Equal(t, 2, strings.Count(log.String(), "refused, pausing"), log.String())
		require.Contains(t, log.String(), "route=calls")
		require.Contains(t, log.String(), `msg="request failed" method=GET path=/b stage=throttled`)
		require.NotContains(t, log.String(), "sesame")
	})
}

func TestAnEngineThatEndsMissesNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		eng := newServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }).newEngine(t, engine.Config{
			Time:   engine.TimeFrom("/time", "t"),
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Auth:   auth.Binance("key", "secret"),
		})
		go eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true}) // asks for the time
		time.Sleep(time.Second)
		require.NoError(t, eng.Close())
		require.Empty(t, log.String())
	})
}
