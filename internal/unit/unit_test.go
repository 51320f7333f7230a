package unit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestANumberWithoutItsUnitIsNamedWithTheUnitToWrite(t *testing.T) {
	require.EqualError(t, Missing(60, time.Millisecond), "60ns is below 1ms: a duration is in nanoseconds, so write 60 * time.Second for seconds")
	for _, d := range []time.Duration{-1, 0, time.Millisecond, time.Hour} {
		require.NoError(t, Missing(d, time.Millisecond))
	}
}
