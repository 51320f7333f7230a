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

// behindAFullLimit tries an engine that does not know the server's time, and whose only limit is
// full for a minute.
func behindAFullLimit(t *testing.T, test func(t *testing.T, eng *engine.Engine)) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/time" {
				fmt.Fprintf(w, `{"serverTime": %d}`, time.Now().UnixMilli())
			}
		}).newEngine(t, engine.Config{
			Auth: hmacAccount("key"), Time: engine.TimeFrom("/time", "serverTime").ChargedTo("weight"),
			Limits: []throttle.Limit{{ID: "weight", Quota: 3, Per: time.Minute}}, DefaultLimitID: "weight",
		})
		for range 3 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.NoError(t, err)
		}
		test(t, eng)
	})
}

func TestTheFirstSignedRequestWaitsForAFullLimitAsAnyOther(t *testing.T) {
	behindAFullLimit(t, func(t *testing.T, eng *engine.Engine) {
		began := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true})
		require.NoError(t, err)
		require.InDelta(t, time.Minute, time.Since(began), float64(time.Second))
	})
	behindAFullLimit(t, func(t *testing.T, eng *engine.Engine) {
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true, Timeout: 10 * time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded, "its own time is up")
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
	})
	behindAFullLimit(t, func(t *testing.T, eng *engine.Engine) {
		p := eng.Submit(t.Context(), &engine.Request{Path: "/order", Auth: true})
		time.Sleep(10 * time.Second)
		require.NoError(t, eng.Close())
		_, err := p.Result()
		require.ErrorIs(t, err, engine.ErrClosed)
	})
}
