package throttler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestUsageThatSaysNothingNewIsHeededWithoutAllocation(t *testing.T) {
	limits := []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Minute}}
	ledger, err := throttle.New(limits, throttle.Options{})
	require.NoError(t, err)
	out := new(quiet)
	d := NewDesk(DeskNeeds{Ledger: ledger, Limits: limits}, out)
	said := &feedback.Feedback{Usage: []feedback.Usage{{Limit: "calls", Used: 1, Quota: 20}}}
	heed := func() { d.heed(time.Second, Heard{Origin: "https://a.test", Limit: "calls", Said: said}) }
	heed()
	require.Len(t, out.warned, 1, "the server's quota is another one")
	require.Zero(t, testing.AllocsPerRun(100, heed))
	require.Len(t, out.warned, 1)
}

func BenchmarkHeed(b *testing.B) {
	limits := []throttle.Limit{
		{ID: "route", Quota: 1000, Per: time.Second, Linked: []throttle.Link{{ID: "all"}}},
		{ID: "all", Quota: 1000, Per: time.Second},
	}
	ledger, err := throttle.New(limits, throttle.Options{})
	require.NoError(b, err)
	d := NewDesk(DeskNeeds{Ledger: ledger, Limits: limits}, new(quiet))
	said := &feedback.Feedback{Usage: []feedback.Usage{{Limit: "all", Used: 1, Remaining: -1, At: time.Now()}}}
	b.ReportAllocs()
	for b.Loop() {
		d.heed(time.Second, Heard{Origin: "https://a.test", Limit: "route", Said: said})
	}
}
