package gauge

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeClient answers at once, with what the test says.
type fakeClient struct {
	get   func(ctx context.Context) error
	calls atomic.Int64
}

func (f *fakeClient) Get(ctx context.Context) error {
	f.calls.Add(1)
	return f.get(ctx)
}

func TestASliceMakesExactlyTheRequestsAskedFor(t *testing.T) {
	callers := NewCallers(t.Context(), 7)
	defer callers.Stop()
	client := &fakeClient{get: func(context.Context) error { return nil }}
	require.NoError(t, callers.Run(client, 1000))
	require.NoError(t, callers.Run(client, 3), "fewer requests than callers")
	require.EqualValues(t, 1003, client.calls.Load())
}

// Every call waits until all callers are in one, so this ends only if they are.
func TestAllCallersWaitForAnAnswerAtTheSameTime(t *testing.T) {
	const n = 16
	callers := NewCallers(t.Context(), n)
	defer callers.Stop()
	var inside atomic.Int64
	all := make(chan struct{})
	client := &fakeClient{get: func(context.Context) error {
		if inside.Add(1) == n {
			close(all)
		}
		<-all
		return nil
	}}
	require.NoError(t, callers.Run(client, n))
}

func TestTheFirstErrorEndsASlice(t *testing.T) {
	callers := NewCallers(t.Context(), 4)
	defer callers.Stop()
	broken := errors.New("broken")
	client := &fakeClient{get: func(context.Context) error { return broken }}
	require.ErrorIs(t, callers.Run(client, 1_000_000), broken)
	require.LessOrEqual(t, client.calls.Load(), int64(4), "each caller failed at most once")
}

func TestACallerSeesTheEndOfTheComparison(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	callers := NewCallers(ctx, 2)
	defer callers.Stop()
	client := &fakeClient{get: func(ctx context.Context) error { return ctx.Err() }}
	require.ErrorIs(t, callers.Run(client, 10), context.Canceled)
}

var sink atomic.Pointer[[100]byte]

func TestASliceCountsAllocationsAndBytesOfEachRequest(t *testing.T) {
	callers := NewCallers(t.Context(), 4)
	defer callers.Stop()
	client := &fakeClient{get: func(context.Context) error {
		for range 3 {
			sink.Store(new([100]byte)) // the allocator rounds up to 112
		}
		return nil
	}}
	cost, err := callers.Measure(client, 20_000, RunIn)
	require.NoError(t, err)
	require.InDelta(t, 3, cost.Allocs, 0.1)
	require.InDelta(t, 3*112, cost.Bytes, 10)
	require.Positive(t, cost.CPU)
	require.Positive(t, cost.Wall)
}

func TestCPUTimeGrowsWithWork(t *testing.T) {
	callers := NewCallers(t.Context(), 1)
	defer callers.Stop()
	work := func(steps int) float64 {
		client := &fakeClient{get: func(context.Context) error {
			for i := range steps {
				spin.Add(int64(i))
			}
			return nil
		}}
		cost, err := callers.Measure(client, 200, RunIn)
		require.NoError(t, err)
		return cost.CPU
	}
	require.Greater(t, work(20_000), 3*work(1000))
}

var spin atomic.Int64

func TestMemoryInUseIsWhatIsHeld(t *testing.T) {
	before := MemoryInUse()
	held := make([]byte, 20<<20)
	require.InDelta(t, 20<<20, MemoryInUse()-before, 2<<20)
	runtime.KeepAlive(held)
	require.InDelta(t, before, MemoryInUse(), 2<<20, "and no longer once it is let go")
}
