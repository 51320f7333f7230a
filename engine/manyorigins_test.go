package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// perRequest returns how many allocations a request costs that goes to so many
// origins in turn.
func perRequest(t *testing.T, origins int) float64 {
	eng, err := engine.New(engine.Config{
		Dial: engine.Dial{DialContext: tapeDial}, Connections: engine.Connections{MaxIdleTotal: -1},
		Limits: []throttle.Limit{{ID: "calls", Quota: 1e9, Per: time.Second}}, DefaultLimitID: "calls",
	})
	require.NoError(t, err)
	t.Cleanup(func() { eng.Close() })
	asked := make([]engine.Request, origins)
	for i := range asked {
		asked[i].URL = fmt.Sprintf("http://host%d.test/price?symbol=BTCUSDT", i)
	}
	i := 0
	do := func() {
		_, err := eng.Do(t.Context(), &asked[i%origins])
		require.NoError(t, err)
		i++
	}
	for range 2 * origins {
		do()
	}
	return testing.AllocsPerRun(2*origins+100, do)
}

func TestARequestCostsNoMoreForTheOriginsThatOthersGoTo(t *testing.T) {
	one := perRequest(t, 1)
	require.InDelta(t, one, perRequest(t, 10), 0.5)
	require.InDelta(t, one, perRequest(t, 1000), 0.5)
}
