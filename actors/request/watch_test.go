package request

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
)

func TestAnAlarmThatComesLateEndsNoOtherExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w watch
		var aborted atomic.Int64
		abort := func() { aborted.Add(1) }
		w.begin(wire.Contain(context.Background()), false, &ticket.Lease{Abort: abort}, time.Second)
		first := w.serial
		intact, late := w.end()
		require.True(t, intact)
		require.False(t, late)
		time.Sleep(2 * time.Second)
		require.Zero(t, aborted.Load(), "it was disarmed")

		w.begin(wire.Contain(context.Background()), false, &ticket.Lease{Abort: abort}, time.Second)
		w.overdue(first) // it had begun to ring just before it was disarmed
		require.Zero(t, aborted.Load())
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 1, aborted.Load())
		intact, late = w.end()
		require.False(t, intact)
		require.True(t, late)

		w.begin(wire.Contain(context.Background()), false, &ticket.Lease{Abort: abort}, 0)
		time.Sleep(time.Hour)
		intact, late = w.end()
		require.True(t, intact)
		require.False(t, late, "nothing is left of the exchange before")
	})
}
