package memory

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheClockOfThisMachineGoesOnFromOneProcessToTheNext(t *testing.T) {
	c := ThisMachine()
	require.NotEmpty(t, c.Boot)
	require.Equal(t, c.Boot, ThisMachine().Boot)
	began, local := c.Now(), time.Now()
	require.Positive(t, began)
	for time.Since(local) < 2*time.Millisecond {
	}
	elapsed := time.Since(local)
	require.InDelta(t, elapsed, c.Now()-began, float64(50*time.Millisecond))
}
