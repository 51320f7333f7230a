package engine_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// A crowd leaves slots behind, each of which remembers its last request.
func TestSlotsAtRestDoNotPinWhatIsLong(t *testing.T) {
	const callers, long = 32, 200_000
	var arrived sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Done(); arrived.Wait() }))
	defer server.Close()
	eng := newEngine(t, engine.Config{BaseURL: server.URL, Limits: []throttle.Limit{{ID: "calls", Quota: 1000, Window: throttle.Concurrency}}})
	crowd := func(n int) {
		arrived.Add(callers)
		var all sync.WaitGroup
		for range callers { // all at once, so that each has a slot of its own
			all.Go(func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/" + strings.Repeat("p", n), Key: strings.Repeat("k", n), LimitID: "calls"})
				require.NoError(t, err)
			})
		}
		all.Wait()
		eng.CloseIdleConnections()
		server.CloseClientConnections()
	}
	live := func() int {
		var m runtime.MemStats
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	crowd(1)
	before := live()
	crowd(long)
	// The server lets go of its side of the connections a moment later.
	require.Eventually(t, func() bool { return live()-before < callers*long/2 }, 10*time.Second, 10*time.Millisecond)
}

// Where a request's way ends, with its actor or the throttler, its ticket rests.
func TestWhatTheContextsOfACrowdHoldIsLetGoOf(t *testing.T) {
	const callers = 32
	var arrived sync.WaitGroup
	arrived.Add(callers)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Done(); arrived.Wait() }))
	defer server.Close()
	eng := newEngine(t, engine.Config{BaseURL: server.URL, Limits: []throttle.Limit{{ID: "calls", Quota: 1000, Window: throttle.Concurrency}}})
	var gone atomic.Int32
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			held := new([1 << 10]byte)
			runtime.AddCleanup(held, func(int) { gone.Add(1) }, 0)
			_, err := eng.Do(context.WithValue(t.Context(), keyOfADial{}, held), &engine.Request{Path: "/", LimitID: "calls"})
			require.NoError(t, err)
		})
	}
	all.Wait()
	require.Eventually(t, func() bool { runtime.GC(); return gone.Load() == callers }, 10*time.Second, 10*time.Millisecond)
}

// Whichever table is the last, a request that names no limit fares as it says.
func TestTablesReplacedAtOnceLeaveTheEngineOfOneMind(t *testing.T) {
	table := []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Millisecond}}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	eng := newEngine(t, engine.Config{BaseURL: server.URL})
	for range 2000 {
		var both sync.WaitGroup
		both.Go(func() { require.NoError(t, eng.ReplaceLimits(table)) })
		both.Go(func() { require.NoError(t, eng.ReplaceLimits(nil)) })
		both.Wait()
		if limits := eng.Stats().Limits.Limits; len(limits) > 0 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.ErrorIs(t, err, engine.ErrNoLimit)
		}
	}
}
