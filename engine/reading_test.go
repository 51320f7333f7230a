package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/clock"
)

func TestADateThatNobodyCanHoldIsNotTakenForNone(t *testing.T) {
	now := time.Now()
	for _, year := range []int{1, 1960, 2256, 9999} {
		_, err := TimeReading{Server: now, Sent: now, Received: now, Date: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}.sample(now.Add(-time.Second))
		if year == 1 { // the zero time, which says that there was none
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, clock.ErrBeside, year)
	}
}
