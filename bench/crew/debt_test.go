package crew

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// What a lost machine owes is counted here one by one.
func TestADebtIsWhatTheShareHadDueAndDidNotReport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.IntRange(1, 6000).Draw(t, "ms")) * time.Millisecond
		rate := schedule.Rate{Requests: rapid.Uint64Range(1, 300).Draw(t, "rate"), Per: time.Second}
		spec := schedule.Constant(rate, length)
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 1:
			spec.Poisson, spec.Seed = true, rapid.Uint64().Draw(t, "seed")
		case 2:
			spec.Stages[0].To = schedule.Rate{Requests: rapid.Uint64Range(1, 600).Draw(t, "to"), Per: time.Second}
		}
		if spec.Stages[0].From == spec.Stages[0].To {
			spec.WarmUp = length / time.Duration(rapid.IntRange(2, 5).Draw(t, "warm"))
		}
		workers := rapid.IntRange(1, 4).Draw(t, "workers")
		d := debt{
			last:     -1,
			share:    Share{rapid.IntRange(0, workers-1).Draw(t, "worker"), workers},
			reported: rapid.Uint64Range(0, 300).Draw(t, "reported"),
			until:    time.Duration(rapid.IntRange(0, 7000).Draw(t, "until")) * time.Millisecond,
		}
		d.end = d.until + time.Second
		type place struct {
			second int
			phase  results.Phase
		}
		want := map[place]uint64{}
		all, err := spec.Schedule()
		require.NoError(t, err)
		mine := schedule.Dealt(all, d.share.Worker, d.share.Workers)
		for k := d.reported; ; k++ {
			at, ok := mine.At(k)
			if !ok || at >= d.until {
				break
			}
			p := place{int(at / time.Second), results.Main}
			if at < spec.WarmUp {
				p.phase = results.WarmUp
			}
			want[p]++
		}
		got := map[place]uint64{}
		require.NoError(t, d.each(spec, func(i results.Interval) error {
			got[place{i.Second, i.Phase}] += i.Offered
			o := i.Operations[lostOperation]
			require.Equal(t, i.Offered, o.Count)
			require.Equal(t, i.Offered, o.Errors[kindLost])
			require.Equal(t, i.Offered, o.Response.Count())
			require.GreaterOrEqual(t, o.Response.Min(), time.Second-time.Millisecond)
			return nil
		}))
		require.Equal(t, want, got)
	})
}

func TestADebtOfADayIsFoundWithoutLookingAtAllOfIt(t *testing.T) {
	spec := schedule.Constant(schedule.Rate{Requests: 1_000_000, Per: time.Second}, 24*time.Hour)
	d := debt{share: Share{1, 3}, until: 24 * time.Hour, end: 25 * time.Hour}
	var sum uint64
	require.NoError(t, d.each(spec, func(i results.Interval) error { sum += i.Offered; return nil }))
	require.Equal(t, Share{1, 3}.Of(86_400_000_000), sum)
}

func TestSharesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, k := rapid.Uint64Range(0, 1<<40).Draw(t, "n"), rapid.IntRange(1, 50).Draw(t, "k")
		var sum uint64
		for i := range k {
			mine := Share{i, k}.Of(n)
			require.LessOrEqual(t, mine-n/uint64(k), uint64(1))
			sum += mine
		}
		require.Equal(t, n, sum)
	})
}

func TestWhatWasUnderWayIsOwedAtTheTimeItHadAtLeast(t *testing.T) {
	spec := schedule.Constant(schedule.Rate{Requests: 10, Per: time.Second}, 3*time.Second)
	spec.WarmUp = 2 * time.Second
	d := debt{share: Share{0, 1}, reported: 20, open: 4, last: 1, until: 3 * time.Second, end: 5 * time.Second}
	var got []results.Interval
	require.NoError(t, d.each(spec, func(i results.Interval) error { got = append(got, i); return nil }))
	require.Len(t, got, 2)
	require.Equal(t, 1, got[0].Second)
	require.Equal(t, results.WarmUp, got[0].Phase)
	require.Zero(t, got[0].Offered, "it was offered already")
	require.EqualValues(t, 4, got[0].Operations[lostOperation].Count)
	require.InDelta(t, 3*time.Second, got[0].Operations[lostOperation].Response.Max(), float64(5*time.Millisecond))
	require.EqualValues(t, 10, got[1].Offered)
	require.Equal(t, results.Main, got[1].Phase)
}

// Steps of chains are offered too: what was reported says nothing of how many arrivals there
// were, but the second does.
func TestADebtOfChainsBeginsAfterTheSecondThatWasReported(t *testing.T) {
	for _, poisson := range []bool{false, true} {
		spec := schedule.Constant(schedule.Rate{Requests: 90, Per: time.Second}, 4*time.Second)
		spec.Poisson = poisson
		all, err := spec.Schedule()
		require.NoError(t, err)
		var want uint64
		for k, mine := uint64(0), schedule.Dealt(all, 2, 3); ; k++ {
			at, ok := mine.At(k)
			if !ok {
				break
			}
			if at >= 2*time.Second {
				want++
			}
		}
		d := debt{share: Share{2, 3}, reported: 1000, last: 1, chained: true, until: 4 * time.Second, end: 4 * time.Second}
		var got uint64
		require.NoError(t, d.each(spec, func(i results.Interval) error { got += i.Offered; return nil }))
		require.Equal(t, want, got)
		d.last, got = -1, 0
		require.NoError(t, d.each(spec, func(i results.Interval) error { got += i.Offered; return nil }))
		require.Greater(t, got, want)
	}
}
