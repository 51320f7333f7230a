package engine_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// With more busy origins than connections, those that are first must not keep them
// all: their own callers never leave one idle.
func TestNoBusyOriginKeepsTheLastConnectionsFromAnother(t *testing.T) {
	const origins, connections, callers = 12, 3, 3
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) })
		eng := newEngine(t, engine.Config{
			Connections: engine.Connections{MaxTotal: connections}, Dial: engine.Dial{DialContext: s.dial},
		})
		end := time.Now().Add(20 * time.Second)
		var served [origins]int
		var longest time.Duration
		var dialled int64
		var mu sync.Mutex
		var wg sync.WaitGroup
		for at := range origins {
			for range callers {
				wg.Go(func() {
					for time.Now().Before(end) {
						asked := time.Now()
						_, err := eng.Do(t.Context(), &engine.Request{URL: fmt.Sprintf("http://origin%d.test/", at)})
						mu.Lock()
						served[at]++
						longest = max(longest, time.Since(asked))
						mu.Unlock()
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		time.Sleep(19 * time.Second)
		for _, pool := range eng.Stats().Pools {
			dialled += pool.Dialled
		}
		wg.Wait()
		for at, n := range served {
			require.Greater(t, n, 200, "origin %d of %v", at, served)
		}
		require.Less(t, longest, 3*time.Second, "four turns of half a second, and what is on the wire")
		require.Less(t, dialled, int64(3*19*2+origins), "a turn is many requests")
	})
}
