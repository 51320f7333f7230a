package throttle

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNoClaimHoweverLargeOverflows(t *testing.T) {
	for _, kind := range allKinds() {
		l := newLedger(t, Options{}, Limit{ID: "a", Quota: 10, Per: perOf(kind, sec), Window: kind, MaxDelay: sec})
		l.SetClock(0, 1000*time.Hour, 1000*time.Hour)
		now := sec / 2
		for i := range 40 {
			now += time.Duration(i%2) * ms
			require.NoError(t, l.Adjust(now, "a", Parts{}, math.MaxInt64))
			require.NoError(t, l.Sync(now, "a", Parts{}, math.MaxInt64, 0))
			require.NoError(t, l.Sync(now, "a", Parts{}, math.MaxInt64, math.MaxInt64))
			require.NoError(t, l.Sync(now, "a", Parts{}, math.MaxInt64, math.MinInt64))
			require.LessOrEqual(t, limitOf(l, now, "a").Room, int64(0), kind)
		}
		p := &Permit{Limit: "a"}
		err := l.Acquire(now, p)
		if kind == Lifetime {
			require.ErrorIs(t, err, ErrSpent)
			for range 80 {
				require.NoError(t, l.Adjust(now, "a", Parts{}, math.MinInt64))
			}
			require.Positive(t, limitOf(l, now, "a").Room)
			continue
		}
		require.NoError(t, err)
		require.Nil(t, l.Next(now), kind)
		require.Same(t, p, l.Next(now+2*sec), "%v: but it passes", kind)
		require.NoError(t, l.Adjust(now+2*sec, "a", Parts{}, math.MinInt64))
		require.EqualValues(t, 9, limitOf(l, now+2*sec, "a").Room, kind)
	}
}

func TestACounterIsNeverFurtherFromEmptyThanItsCapacity(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec, Burst: 20, Tick: sec, Window: Leaky})
	require.NoError(t, l.Sync(0, "a", Parts{}, 1_000_000_000_000, 0))
	require.Equal(t, 2*sec, limitOf(l, 0, "a").Next, "20, as the server may have it, and one step below the 19 that are ours")
	require.EqualValues(t, 19, limitOf(l, 20*sec, "a").Room)
}

func TestALogHoldsNoMoreThanItCanCount(t *testing.T) {
	var log timeline
	for range 1 << 20 {
		log.add(sec, maxWeight, 0)
	}
	log.add(2*sec, 3, 0)
	require.EqualValues(t, int64(maxWeight+3), log.sum)
	log.expire(sec)
	require.EqualValues(t, 3, log.sum)
}
