//go:build !race && !msan && !asan

package engine

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a run adds to what Do takes is made once for each place in its window, and not for
// each request.
func TestARunAllocatesNothingForARequest(t *testing.T) {
	eng, err := New(Config{})
	require.NoError(t, err)
	defer eng.Close()
	req := &Request{Path: "/"} // there is no base URL: it ends at once, without a network
	mallocs := func(run func()) int {
		var before, after runtime.MemStats
		run() // what is made once
		runtime.ReadMemStats(&before)
		run()
		runtime.ReadMemStats(&after)
		return int(after.Mallocs - before.Mallocs)
	}
	const n, window = 20_000, 64
	alone := mallocs(func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range n {
			_, err := eng.Do(ctx, req)
			require.Error(t, err)
		}
	})
	for _, how := range []FanOut{{Window: window}, {Window: window, InOrder: true}} {
		streamed := mallocs(func() {
			got := 0
			input := func(yield func(*Request) bool) {
				for range n {
					if !yield(req) {
						return
					}
				}
			}
			for range eng.Stream(t.Context(), input, how) {
				got++
			}
			require.Equal(t, n, got)
		})
		t.Logf("%.3f allocations a request alone, %.3f in a run", float64(alone)/n, float64(streamed)/n)
		require.Less(t, float64(streamed-alone)/n, 0.1)
	}
}

func TestMemoryIsFlatInTheNumberOfInputs(t *testing.T) {
	eng, err := New(Config{})
	require.NoError(t, err)
	defer eng.Close()
	req := &Request{Path: "/"}
	inUse := func() int {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int(stats.HeapAlloc + stats.StackInuse)
	}
	input := func(yield func(*Request) bool) { // it has no end
		for yield(req) {
		}
	}
	n, early := 0, 0
	for range eng.Stream(t.Context(), input, FanOut{}) {
		if n++; n == 10_000 {
			early = inUse()
		} else if n == 100_000 {
			require.Less(t, inUse()-early, 4<<20)
			break
		}
	}
}
