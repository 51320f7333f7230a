package engine_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// Whether there is no room is seen at once, or only when time is up, is of no matter to
// whoever reads the error.
func TestADeadlineWithoutRoomIsToldInOneOrder(t *testing.T) {
	for name, limit := range map[string]throttle.Limit{
		"seen at once": {ID: "calls", Quota: 1, Per: time.Hour}, "seen when time is up": {ID: "calls", Quota: 1, Window: throttle.Concurrency},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answered := limit.Window != throttle.Concurrency
				s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
					if !answered {
						<-r.Context().Done()
					}
				})
				eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{limit}, DefaultLimitID: "calls"})
				ctx, end := context.WithCancel(t.Context())
				first := make(chan error, 1)
				go func() { _, err := eng.Do(ctx, &engine.Request{Path: "/"}); first <- err }()
				synctest.Wait()

				for range 3 {
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Minute})
					require.ErrorIs(t, err, throttle.ErrDeadline)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Regexp(t, `: limit "calls": no room before the deadline: context deadline exceeded$`, err.Error())
					_, err = eng.Acquire(t.Context(), engine.Charge{Timeout: time.Minute})
					require.ErrorIs(t, err, throttle.ErrDeadline)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Regexp(t, `: limit "calls": no room before the deadline: context deadline exceeded$`, err.Error())
				}
				end()
				require.Equal(t, answered, <-first == nil)
			})
		})
	}
}
