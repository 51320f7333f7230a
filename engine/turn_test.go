package engine_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// By the bounds of a day before, the window has not turned for certain before 17 s have passed.
func TestADeadlineJustBehindTheTurnOfADayIsNoReasonToRefuse(t *testing.T) {
	for _, coalesce := range []bool{false, true} {
		t.Run(fmt.Sprint("coalesce: ", coalesce), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turn := time.Now().Add(24 * time.Hour)
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/time" {
						fmt.Fprintf(w, `{"serverTime": %d}`, time.Now().UnixMilli())
					}
				})
				eng := s.newEngine(t, engine.Config{
					Limits: []throttle.Limit{{ID: "day", Quota: 1, Per: 24 * time.Hour, Window: throttle.Fixed}}, DefaultLimitID: "day",
					Time: engine.TimeFrom("/time", "serverTime").ChargedTo(engine.Unlimited), Clock: engine.Clock{Every: 10 * time.Minute},
				})
				time.Sleep(time.Second)
				require.NoError(t, eng.AwaitTime(t.Context()))
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)

				x, err := eng.Explain(&engine.Request{Path: "/"})
				require.NoError(t, err)
				require.WithinDuration(t, turn, x.HeldBy.Until, 100*time.Millisecond)
				late, cancel := context.WithDeadline(t.Context(), turn.Add(-time.Minute))
				defer cancel()
				_, err = eng.Do(late, &engine.Request{Path: "/late", Coalesce: coalesce})
				require.ErrorIs(t, err, throttle.ErrDeadline)
				require.WithinDuration(t, turn.Add(-86400*200*time.Microsecond), failureOf(t, err).RetryAt, time.Second)

				ctx, cancel := context.WithDeadline(t.Context(), turn.Add(5*time.Second))
				defer cancel()
				_, err = eng.Do(ctx, &engine.Request{Path: "/in-time", Coalesce: coalesce})
				require.NoError(t, err)
				require.WithinDuration(t, turn, time.Now(), time.Second)
			})
		})
	}
}
