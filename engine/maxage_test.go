package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// A name may lead elsewhere by then.
func TestAConnectionThatIsAlwaysUsedIsReplacedAfterTenMinutesUnlessToldOtherwise(t *testing.T) {
	for maxAge, want := range map[time.Duration]int64{0: 2, -1: 1, time.Hour: 1, 4 * time.Minute: 3} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, nil).newEngine(t, engine.Config{Connections: engine.Connections{MaxAge: maxAge}})
			for begun := time.Now(); time.Since(begun) < 11*time.Minute; time.Sleep(10 * time.Second) {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
			}
			require.Equal(t, want, eng.Stats().Pools[0].Dialled, "MaxAge: %v", maxAge)
		})
	}
}
