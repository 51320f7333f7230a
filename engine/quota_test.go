package engine_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestAShareIsChangedWhileRequestsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Minute, Share: 0.1}}})
		quota := func() int64 { return eng.Stats().Limits.Limits[0].Quota }
		require.EqualValues(t, 1, quota())
		do := func(weight int64) error {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls", Weight: weight})
			return err
		}
		require.NoError(t, do(1))
		waiting := make(chan error, 1)
		go func() { waiting <- do(1) }()
		synctest.Wait()
		require.Equal(t, 1, eng.Stats().Queued)
		require.NoError(t, eng.SetShare("calls", 0.5, 0))
		require.NoError(t, <-waiting, "there is room now")
		require.EqualValues(t, 5, quota())

		go func() { waiting <- do(5) }()
		synctest.Wait()
		require.NoError(t, eng.SetShare("calls", 0.5, 0.2))
		require.ErrorIs(t, <-waiting, throttle.ErrWeight)
		require.EqualValues(t, 4, quota())

		var told *throttle.LimitError
		require.ErrorAs(t, eng.SetShare("none", 1, 0), &told)
		require.ErrorIs(t, told, throttle.ErrUnknownLimit)
		require.True(t, errors.As(eng.SetShare("calls", 7, 0), &told))
		require.EqualValues(t, 4, quota(), "a mistake changes nothing")
	})
}

// As an exchange has it that counts what an address ever asked: 5 requests, one more for
// each unit traded, and then one every ten seconds.
func TestASpentBudgetGoesOnAtThePaceOfItsFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		left, refused := 5, 0
		var extra []time.Time
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case left > 0:
				left--
			case len(extra) == 0 || time.Since(extra[len(extra)-1]) >= 10*time.Second:
				extra = append(extra, time.Now())
			default:
				refused++
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{
			{ID: "ever", Quota: 5, Window: throttle.Lifetime, Fallback: "trickle"},
			{ID: "trickle", Quota: 1, Per: 10 * time.Second},
			{ID: "order", Linked: []throttle.Link{{ID: "ever"}}},
		}})
		begun := time.Now()
		done := make(chan error, 12)
		for range 12 {
			go func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "order"})
				done <- err
			}()
		}
		for range 8 {
			require.NoError(t, <-done)
		}
		require.InDelta(t, 20, time.Since(begun).Seconds(), 1, "5, and then one at 0, 10 and 20 s")
		require.Equal(t, 4, eng.Stats().Queued)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := eng.Do(short, &engine.Request{Path: "/", LimitID: "order"})
		var full *throttle.LimitError
		require.ErrorAs(t, err, &full)
		require.Equal(t, "trickle", full.Full)

		time.Sleep(2 * time.Second) // or else the last one may have been paid by what follows
		mu.Lock()
		left += 3
		mu.Unlock()
		require.NoError(t, eng.AdjustLimit("ever", engine.Parts{}, -3))
		for range 3 {
			require.NoError(t, <-done)
		}
		require.InDelta(t, 22, time.Since(begun).Seconds(), 1, "at once")
		require.NoError(t, <-done)
		require.InDelta(t, 30, time.Since(begun).Seconds(), 1)
		require.Zero(t, refused)
	})
}

func TestAQuotaInAnAnswersHeaderCountsFromThenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-RateLimit-Limit", "3")
			w.Header().Set("X-RateLimit-Remaining", "2")
		})
		eng := s.newEngine(t, engine.Config{
			Limits:   []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Minute, Adopt: throttle.AdoptBoth}},
			Feedback: feedback.XRateLimit("calls", feedback.NoReset),
		})
		quota := func() int64 { return eng.Stats().Limits.Limits[0].Quota }
		require.EqualValues(t, 10, quota())
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
		require.NoError(t, err)
		require.EqualValues(t, 3, quota())
		require.NoError(t, eng.AnnounceQuota("calls", throttle.Parts{}, 20))
		require.EqualValues(t, 20, quota())
		require.ErrorIs(t, eng.AnnounceQuota("calls", throttle.Parts{}, 0), throttle.ErrQuota)
		require.ErrorIs(t, eng.AnnounceQuota("none", throttle.Parts{}, 1), throttle.ErrUnknownLimit)
	})
}
