//go:build !race && !msan && !asan

package engine_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// inUse is what is in use of heap and stacks.
func inUse() (heap, stacks int) {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc), int(stats.StackInuse)
}

// inUseAmongShallow is inUse after which goroutines begin with stacks of 2 KB: a collection has
// them begin with as much as those use on an average that it finds.
func inUseAmongShallow() (heap, stacks int) {
	done := make(chan struct{})
	var gone sync.WaitGroup
	for range 2000 {
		gone.Go(func() { <-done })
	}
	runtime.GC()
	runtime.GC()
	close(done)
	gone.Wait()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc), int(stats.StackInuse)
}

func stacksInUse() int {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.StackInuse)
}

// fromFarther calls Do from a stack that holds some of the caller's own.
//
//go:noinline
func fromFarther(eng *engine.Engine, ctx context.Context, req *engine.Request) byte {
	var own [200]byte
	_, err := eng.Do(ctx, req)
	if err != nil {
		own[len(err.Error())%len(own)] = 1
	}
	return own[0]
}

// A stack that is a little too small for one step of the way to a wait is one of 8 KB. Where many
// wait already, those who come have their requests handed over, and a stack of 2 KB.
func TestACallerWhoWaitsTakesUpFourKilobytesOfStackAndAmongManyTwo(t *testing.T) {
	never := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	full := throttle.Limit{ID: "full", Quota: 1, Per: 24 * time.Hour}
	own := throttle.Limit{ID: "own", Quota: 1 << 40, Per: 24 * time.Hour, By: throttle.ByAccount, Linked: []throttle.Link{{ID: "full"}}}
	for wait, waiting := range map[string]func(engine.Stats) int{
		"full": func(s engine.Stats) int { return s.Queued },
		"own":  func(s engine.Stats) int { return s.Queued }, // behind one that tells accounts apart
		"route": func(s engine.Stats) (n int) { // for a connection
			for _, pool := range s.Pools {
				n += pool.Waiting
			}
			return n
		},
	} {
		eng, err := engine.New(engine.Config{
			Limits: append([]throttle.Limit{full, own}, tapeLimits...),
			Dial:   engine.Dial{Timeout: time.Hour, DialContext: never},
			// Few are those who have a dial begun, which takes more room.
			Connections: engine.Connections{Max: 4},
		})
		require.NoError(t, err)
		require.NoError(t, eng.AdjustLimit("full", engine.Parts{}, 1))
		ctx, cancel := context.WithCancel(t.Context())
		var gone sync.WaitGroup
		come := func(callers int, do func(ctx context.Context, req *engine.Request)) {
			before := waiting(eng.Stats())
			for range callers {
				gone.Go(func() { do(ctx, &engine.Request{URL: "http://nobody.test/", LimitID: wait}) })
			}
			require.Eventually(t, func() bool { return waiting(eng.Stats()) == before+callers }, time.Minute, time.Millisecond, wait)
		}
		heap, stacks := inUseAmongShallow()
		collects := debug.SetGCPercent(-1)
		few := 0 // who carry their own
		for n := ticket.Many; n > 0; {
			come(n, func(ctx context.Context, req *engine.Request) { fromFarther(eng, ctx, req) })
			if few, n = few+n, 1; eng.HandsOver(&engine.Request{URL: "http://nobody.test/", LimitID: wait}) {
				n = 0
			}
		}
		first := stacksInUse()
		require.Less(t, (first-stacks)/few, 4500, wait)
		come(2000, func(ctx context.Context, req *engine.Request) { _, _ = eng.Do(ctx, req) })
		require.Less(t, (stacksInUse()-first)/2000, 2500, wait)
		debug.SetGCPercent(collects)
		heapNow, _ := inUse()
		require.Less(t, (heapNow-heap)/(few+2000), 3<<10, wait)
		cancel()
		gone.Wait()
		require.NoError(t, eng.Close())
	}
}

// Nor does the exchange behind the wait need more: what it grew to, every collection would
// shrink, and the next exchange grow again.
func TestACallerWhoHasWaitedAndExchangedTakesUpFourKilobytesOfStack(t *testing.T) {
	const callers = 500
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
	defer api.Close()
	eng, err := engine.New(engine.Config{
		BaseURL: api.URL, Connections: engine.Connections{Max: 4},
		Limits: []throttle.Limit{{ID: "wide", Quota: 1 << 40, Per: time.Second, Linked: []throttle.Link{{ID: "wider"}}}, {ID: "wider", Quota: 1 << 40, Per: time.Second}},
	})
	require.NoError(t, err)
	defer eng.Close()
	_, stacks := inUse()
	var asked, gone sync.WaitGroup
	asked.Add(callers)
	done := make(chan struct{})
	for range callers {
		gone.Go(func() {
			for range 3 {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "wide"})
				if err != nil {
					t.Error(err)
				}
			}
			asked.Done()
			<-done
		})
	}
	asked.Wait()
	var now runtime.MemStats
	runtime.ReadMemStats(&now) // without a collection, which would shrink them
	require.Less(t, (int(now.StackInuse)-stacks)/callers, 5<<10)
	close(done)
	gone.Wait()
}
