package parallel

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryIndexIsDoneOnce(t *testing.T) {
	var done [100]atomic.Int32
	require.NoError(t, For(t.Context(), len(done), func(i int) { done[i].Add(1) }))
	for i := range done {
		require.EqualValues(t, 1, done[i].Load())
	}
}

func TestAnEndedContextStopsTheRest(t *testing.T) {
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var n atomic.Int32
	err := For(ctx, 1_000_000, func(int) {
		n.Add(1)
		cancel(enough)
	})
	require.ErrorIs(t, err, enough)
	require.Less(t, n.Load(), int32(1_000_000))
}
