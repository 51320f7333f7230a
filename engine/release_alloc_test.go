//go:build !race

// The race detector has a sync.Pool forget at random.

package engine_test

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestTheMemoryOfAReleasedBodyIsUsedAgain(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const size = 1 << 20
	answer := "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n" + strings.Repeat("x", size)
	eng, err := engine.New(engine.Config{BaseURL: steadyServer(t, answer)})
	require.NoError(t, err)
	defer eng.Close()
	get := func() {
		resp, err := eng.Do(t.Context(), &engine.Request{LimitID: engine.Unlimited})
		require.NoError(t, err)
		require.Len(t, resp.Body, size)
		resp.Release()
	}
	get()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 50 {
		get()
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(25*size), "of 50 bodies; some may find the pool of another processor")
}
