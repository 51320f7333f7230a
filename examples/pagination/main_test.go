package main

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryOrderIsReadOnceInEveryWayThoughThePagesFailInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := memnet.Listen()
		api := &shop{orders: 95, page: 20}
		server := &http.Server{Handler: api}
		go server.Serve(listener)
		defer server.Close()
		began := time.Now()
		var out strings.Builder
		require.NoError(t, run(t.Context(), engine.Config{
			BaseURL: listener.URL(), Dial: engine.Dial{DialContext: listener.DialContext},
			Limits: []throttle.Limit{{ID: "orders", Quota: 10, Per: time.Second}}, DefaultLimitID: "orders",
		}, &out))
		require.Contains(t, out.String(), "behind 40 orders: page 3: ")
		for _, way := range ways {
			require.Contains(t, out.String(), way.name+": 95 orders, the last is 94\n")
		}
		require.Equal(t, 3*5+1, api.asked)
		require.GreaterOrEqual(t, time.Since(began), time.Second, "the server's own time was waited for")
	})
}
