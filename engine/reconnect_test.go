package engine

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/internal/unit"
)

func TestThePauseBeforeConnectingAgainIsWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "base"))
		longest := time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "longest"))
		barren := rapid.IntRange(0, 1_000_000).Draw(t, "barren")
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		pause := reconnectPause(base, longest, barren, func(n time.Duration) time.Duration { return min(n-1, time.Duration(share*float64(n))) })

		slow := max(base, leastPause).Seconds() // the oracle counts in seconds, and without an end
		for range min(max(barren-1, 0), 100) {
			slow *= 2
		}
		slow = min(slow, min(max(longest, base, leastPause), unit.Longest).Seconds())
		require.GreaterOrEqual(t, pause.Seconds(), slow*0.999999)
		require.LessOrEqual(t, pause.Seconds(), slow*1.500001)
		require.GreaterOrEqual(t, pause, base, "the server's own time is the least")
	})
}
