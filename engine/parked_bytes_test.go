//go:build !race && !msan && !asan

package engine_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// mostBytesParked is what a parked request may take up with its Pending, its Request of 288
// bytes, and its places in queues.
const mostBytesParked = 1150

func TestAParkedRequestHasNoGoroutineAndTakesUpAKilobyte(t *testing.T) {
	n := 100_000
	eng := newEngine(t, fullForADay(n))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := eng.Submit(ctx, &engine.Request{Path: "/"}) // which is not answered
	goroutines := runtime.NumGoroutine()
	before, _ := inUse()
	all := parkMany(t, eng, ctx, n)
	after, _ := inUse()
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+10)
	t.Logf("%d bytes each", (after-before)/n)
	require.Equal(t, n, eng.Stats().Queued)
	require.LessOrEqual(t, (after-before)/n, mostBytesParked)
	cancel()
	for _, p := range append(all, first) {
		_, err := p.Result()
		require.ErrorIs(t, err, context.Canceled)
	}
	wantNothingHeld(t, eng)
}
