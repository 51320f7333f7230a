package throttler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestWhatAServerCountsIsHeardForLimitsThatAreNotShared(t *testing.T) {
	q, d := newQuiet(t,
		throttle.Limit{ID: "alone", Quota: 10, Per: time.Minute},
		throttle.Limit{ID: "shared", Quota: 10, Per: time.Minute, Share: 0.5},
	)
	used := func() (all []int64) {
		for _, l := range d.Snapshot(0).Limits {
			all = append(all, l.Used)
		}
		return all
	}
	d.Heed(0, Heard{Said: &feedback.Feedback{Usage: []feedback.Usage{{Limit: "alone", Used: 4}, {Limit: "shared", Used: 4}}}})
	require.Equal(t, []int64{4, 0}, used(), "what others spend of the shared one is no matter of ours")
	require.NoError(t, d.SetShare(0, "shared", 1, 0))
	d.Heed(0, Heard{Said: &feedback.Feedback{Usage: []feedback.Usage{{Limit: "shared", Used: 4}}}})
	require.Equal(t, []int64{4, 4}, used())
	require.Empty(t, q.warned)
}

func TestAShareThatWasSetSurvivesAFailureAndOutdatesWhatWasGranted(t *testing.T) {
	limits := []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Minute}}
	q, d := newQuiet(t, limits...)
	require.Error(t, d.SetShare(0, "calls", 2, 0))
	require.Zero(t, q.table)
	require.NoError(t, d.SetShare(0, "calls", 0.5, 0.2))
	require.EqualValues(t, 1, q.table, "whoever waits for a connection looks at it")
	require.EqualValues(t, 4, d.Snapshot(0).Limits[0].Quota)
	d.fail(t, 0, nil, func() { d.Due(0) })
	require.EqualValues(t, 4, d.Snapshot(0).Limits[0].Quota)
	require.Zero(t, limits[0].Share, "the list is others' too")
	require.NoError(t, d.Replace(0, limits))
	require.EqualValues(t, 10, d.Snapshot(0).Limits[0].Quota, "another table says otherwise")
}
