package engine_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
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
