package throttle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// With room for everything a glance is a snapshot, and with less it tells of as much as it
// may, truly, and of how much it does not.
func TestAGlanceIsASnapshotOfWhatItTellsOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := New([]Limit{
			{ID: "all", Quota: 30, Per: sec}, {ID: "keyed", Quota: 1, Per: 3 * sec, Keyed: true, Linked: []Link{{ID: "all"}}},
			{ID: "other", Quota: 1, Per: sec, By: ByAccount},
		}, Options{})
		require.NoError(t, err)
		for i := range rapid.IntRange(0, 60).Draw(t, "permits") {
			_ = l.Acquire(0, &Permit{
				Limit: rapid.SampledFrom([]string{"all", "keyed", "other"}).Draw(t, "limit"), Key: fmt.Sprint(i % 20), Account: fmt.Sprint(i % 3),
				Priority: Priority(rapid.IntRange(-1, 1).Draw(t, "priority")), Origin: fmt.Sprint(i % 2),
			})
		}
		whole := l.Snapshot(0)
		require.Equal(t, l.Len(), whole.Waiting)
		require.Zero(t, whole.LeftOut)
		require.Equal(t, whole, l.Glance(0, len(whole.Limits)*3+10), "there is room for everything")
		n := rapid.IntRange(1, 40).Draw(t, "n")
		glance := l.Glance(0, n)
		require.LessOrEqual(t, len(glance.Limits), n)
		require.Equal(t, len(whole.Limits), len(glance.Limits)+glance.LeftOut.Limits)
		require.Subset(t, whole.Limits, glance.Limits)
		require.LessOrEqual(t, len(glance.Scopes), n)
		require.Equal(t, whole.Waiting, glance.Waiting)
	})
}

func TestAGlanceTellsFirstOfWhoWaitsAndKeepsWhatItTold(t *testing.T) {
	l, err := New([]Limit{{ID: "k", Quota: 2, Per: time.Hour, Keyed: true}, {ID: "one", Quota: 2, Per: time.Hour}}, Options{})
	require.NoError(t, err)
	acquire := func(key string, n int) {
		for range n {
			require.NoError(t, l.Acquire(0, &Permit{Limit: "k", Key: key, Origin: "o"}))
		}
	}
	for i := range 5_000 {
		acquire(fmt.Sprintf("idle-%d", i), 1)
	}
	acquire("full", 2)
	acquire("waits", 3)
	find := func(s Snapshot, key string) bool {
		for _, l := range s.Limits {
			if l.Key == key {
				return true
			}
		}
		return false
	}
	glance := l.Glance(0, 20)
	require.Len(t, glance.Limits, 20)
	require.Equal(t, "one", glance.Limits[19].ID, "a limit that has few instances is told of in full")
	require.True(t, find(glance, "waits"))
	require.Equal(t, 5_003-20, glance.LeftOut.Limits)
	looks := 0
	for ; !find(glance, "full"); looks++ {
		require.Less(t, looks, 5_000, "the fullest is found some time")
		glance = l.Glance(0, 20)
	}
	for range 50 {
		glance = l.Glance(0, 20)
		require.True(t, find(glance, "full") && find(glance, "waits"), "what is full stays in sight")
	}
}

func TestAGlanceTellsOfPausesFirst(t *testing.T) {
	l, err := New([]Limit{{ID: "x", Quota: 1 << 20, Per: time.Hour}}, Options{})
	require.NoError(t, err)
	for i := range 500 {
		require.NoError(t, l.Acquire(0, &Permit{Limit: "x", Origin: fmt.Sprint(i)}))
	}
	require.NoError(t, l.PauseByHand(0, Scope{Origin: "77", Name: WholeOrigin}, time.Minute))
	glance := l.Glance(0, 10)
	require.Len(t, glance.Scopes, 1)
	require.Equal(t, "77", glance.Scopes[0].Origin)
	require.NotZero(t, glance.LeftOut.Scopes)
}
