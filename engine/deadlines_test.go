package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestADeadlineAtTheInstantOfAnOpeningIsTooEarlyByWhomeverItIsSet(t *testing.T) {
	do := func(ctx context.Context, timeout time.Duration, eng *engine.Engine) error {
		_, err := eng.Do(ctx, &engine.Request{Path: "/", Timeout: timeout})
		return err
	}
	doors := map[string]func(context.Context, time.Duration, *engine.Engine) error{
		"Do": do,
		"Submit": func(ctx context.Context, timeout time.Duration, eng *engine.Engine) error {
			_, err := eng.Submit(ctx, &engine.Request{Path: "/", Timeout: timeout}).Result()
			return err
		},
		"Acquire": func(ctx context.Context, timeout time.Duration, eng *engine.Engine) error {
			p, err := eng.Acquire(ctx, engine.Charge{Timeout: timeout})
			p.Done(engine.NotSent)
			return err
		},
	}
	for name, door := range doors {
		for _, byContext := range []bool{true, false} {
			for late := range 2 { // nanoseconds behind the opening
				synctest.Test(t, func(t *testing.T) {
					s := newServer(t, nil)
					eng := s.newEngine(t, engine.Config{DefaultLimitID: "a", Limits: []throttle.Limit{{ID: "a", Quota: 1, Per: time.Second}}})
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
					require.NoError(t, err)
					_, err = eng.TryAcquire(engine.Charge{})
					opens := failureOf(t, err).RetryAt
					deadline := opens.Add(time.Duration(late))
					ctx, timeout, begun := t.Context(), time.Until(deadline), time.Now()
					if byContext {
						bounded, cancel := context.WithDeadline(ctx, deadline)
						defer cancel()
						ctx, timeout = bounded, 0
					}
					err = door(ctx, timeout, eng)
					if late > 0 {
						require.NoError(t, err, name)
						return
					}
					require.ErrorIs(t, err, context.DeadlineExceeded, name)
					require.Zero(t, time.Since(begun), "it is refused at once")
					require.Equal(t, opens, failureOf(t, err).RetryAt, name)
				})
			}
		}
	}
}

func TestNoLimitIsBlamedForATimeThatWasUpBeforeItWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{
			DefaultLimitID: "a", Limits: []throttle.Limit{{ID: "a", Quota: 10, Per: time.Second}},
			Costs: map[string]func(*engine.Request) int64{"a": func(*engine.Request) int64 { time.Sleep(2 * time.Second); return 1 }},
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		failure := failureOf(t, err)
		require.Empty(t, failure.Limit, "it has all of its room")
		require.Zero(t, failure.RetryAt)
		require.ErrorContains(t, err, "which had passed already")
	})
}

func failureOf(t *testing.T, err error) *engine.Error {
	t.Helper()
	var failure *engine.Error
	require.ErrorAs(t, err, &failure)
	return failure
}
