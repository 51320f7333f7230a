package results

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsLateAddsUpLikeTheRest(t *testing.T) {
	sum := NewSum(header())
	for range 2 {
		require.NoError(t, sum.Add(Interval{Second: 3, Phase: Main, Offered: 5, Sent: 5, SentLate: 1, Completed: 4, CompletedLate: 2}))
	}
	merged := sum.Run().Series[3]
	require.Equal(t, Counts{Offered: 10, Sent: 8, Completed: 4}, merged.InSchedule())
	torn := Interval{Sent: 1, SentLate: 2}
	require.Zero(t, torn.InSchedule())
}

func TestMostErrorsAreNamedWithAMessageIfOneWasKept(t *testing.T) {
	require.Empty(t, new(Operation).Mostly())
	o := Operation{Errors: map[string]uint64{"timeout": 3, "refused": 7, "reset": 7}, Samples: map[string]string{"refused": "nobody listens", "timeout": "late"}}
	require.Equal(t, "refused: nobody listens", o.Mostly())
	o.Errors["reset"]++
	require.Equal(t, "reset", o.Mostly())
}
