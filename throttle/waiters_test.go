package throttle

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The first of the queue are those that a sort of everybody puts first, and who is ahead of
// one is everybody before it that needs what holds it.
func TestWhoWaitsIsToldAsASortOfEverybodyWouldTellIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := New([]Limit{
			{ID: "all", Quota: 4, Per: sec}, {ID: "keyed", Quota: 1, Per: 3 * sec, By: ByKey | ByAccount, Linked: []Link{{ID: "all"}}},
			{ID: "other", Quota: 1, Per: sec},
		}, Options{Aging: time.Duration(rapid.SampledFrom([]int{0, 300}).Draw(t, "ageing")) * ms})
		require.NoError(t, err)
		var now time.Duration
		var all []*Permit
		for range rapid.IntRange(1, 60).Draw(t, "permits") {
			now += time.Duration(rapid.IntRange(0, 50).Draw(t, "wait")) * ms
			p := &Permit{
				Limit: rapid.SampledFrom([]string{"all", "keyed", "other"}).Draw(t, "limit"), Key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"),
				Priority: Priority(rapid.IntRange(-1, 1).Draw(t, "priority")),
			}
			require.NoError(t, l.Acquire(now, p))
			all = append(all, p)
			for l.Next(now) != nil {
			}
		}
		queued := slices.DeleteFunc(all, func(p *Permit) bool { return p.state != Queued })
		slices.SortFunc(queued, func(a, b *Permit) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		n := rapid.IntRange(0, 70).Draw(t, "n")
		before := l.Snapshot(now)
		first := l.Waiters(now, n)
		require.Equal(t, before, l.Snapshot(now), "nothing has changed")
		require.Len(t, first, min(n, len(queued)))
		for i, w := range first {
			require.Same(t, queued[i], w.Permit)
			require.Equal(t, l.Holding(now, w.Permit), w.Hold)
			require.Equal(t, w.Permit.granted, w.Since)
			ahead, behind := 0, -1
			for j, q := range queued[:i] {
				if slices.ContainsFunc(q.path.charges, func(c charge) bool { return c.meter.rule.ID == w.Hold.Limit && c.meter.of.Key == w.Hold.Key }) {
					ahead, behind = ahead+1, j
				}
			}
			require.Equal(t, ahead, w.Ahead)
			require.Equal(t, behind, w.Behind)
		}
	})
}

func TestACrowdIsToldOfInBoundedTime(t *testing.T) {
	l, err := New([]Limit{{ID: "x", Quota: 1, Per: time.Hour, Keyed: true}}, Options{MaxQueued: 1 << 20})
	require.NoError(t, err)
	for i := range 20_000 { // lanes of their own, each with one in front that was granted
		key := string(rune('a'+i%26)) + string(rune('0'+i/26%10)) + time.Duration(i).String()
		for range 3 {
			require.NoError(t, l.Acquire(0, &Permit{Limit: "x", Key: key, Priority: Priority(i % 2)}))
		}
	}
	require.Equal(t, 40_000, l.Len())
	compared := l.queue.work
	first := l.Waiters(0, 1<<20)
	require.Len(t, first, mostWaiters)
	require.Equal(t, compared, l.queue.work, "no line was gone through")
	for _, w := range first {
		require.EqualValues(t, 1, w.Permit.Priority, "of many the most urgent")
	}
	before := testing.AllocsPerRun(1, func() { l.Waiters(0, 10) })
	require.Less(t, before, 100.0)
	require.Empty(t, l.Waiters(0, 0))
	require.Empty(t, l.Waiters(0, -1))
}
