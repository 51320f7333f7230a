package unit

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestANumberWithoutItsUnitIsNamedWithTheUnitToWrite(t *testing.T) {
	require.EqualError(t, Missing(60, time.Millisecond), "60ns is below 1ms: a duration is in nanoseconds, so write 60 * time.Second for seconds")
	for _, d := range []time.Duration{-1, 0, time.Millisecond, time.Hour} {
		require.NoError(t, Missing(d, time.Millisecond))
	}
}

func TestADurationIsDoubledUpToABoundWhateverItsLength(t *testing.T) {
	require.Equal(t, 8*time.Second, Doubled(time.Second, 3, time.Minute))
	require.Equal(t, time.Minute, Doubled(time.Second, 6, time.Minute))
	for _, times := range []int{62, 63, 64, 1000} {
		require.Equal(t, time.Duration(math.MaxInt64), Doubled(2, times, math.MaxInt64), "%d times", times)
		require.Zero(t, Doubled(0, times, math.MaxInt64), "%d times", times)
	}
	require.Equal(t, time.Duration(1<<62), Doubled(1, 62, math.MaxInt64))
	require.Equal(t, time.Duration(math.MaxInt64), Doubled(1, 63, math.MaxInt64))
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "d"))
		most := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "most"))
		times := rapid.IntRange(0, 100).Draw(t, "times")
		exact := new(big.Int).Lsh(big.NewInt(int64(d)), uint(times))
		if bound := big.NewInt(int64(most)); exact.Cmp(bound) > 0 {
			exact = bound
		}
		require.Equal(t, exact.Int64(), int64(Doubled(d, times, most)))
	})
}
