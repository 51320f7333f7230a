package inspect

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A history is the largest value of each bucket, as a map of buckets would have it.
func TestAHistoryIsTheLargestOfEachBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hs, slow := newHistories(time.Minute, 4), map[int64]int64{}
		now := time.Unix(1_700_000_000, 0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			value := int64(rapid.IntRange(0, 50).Draw(t, "value"))
			hs.add(now, "one", value)
			slow[now.Unix()] = max(slow[now.Unix()], value)
		}
		now = now.Add(time.Duration(rapid.IntRange(0, 70).Draw(t, "later")) * time.Second)
		for i, v := range hs.values(now, "one") {
			want, seen := slow[now.Unix()-int64(buckets-1-i)]
			if !seen {
				want = unseen
			}
			require.Equal(t, want, v, "bucket %d", i)
		}
	})
}

func TestHistoriesAreBoundedAndThoseInUseStay(t *testing.T) {
	hs, now := newHistories(time.Minute, 10), time.Unix(1_700_000_000, 0)
	for i := range 1000 {
		now = now.Add(time.Second)
		hs.add(now, "always", 1)
		hs.add(now, fmt.Sprint(i), 2)
		require.LessOrEqual(t, len(hs.all), 10)
	}
	require.NotContains(t, hs.values(now, "always"), int64(unseen), "it was never forgotten")
	require.EqualValues(t, 2, hs.values(now, "999")[buckets-1])
	require.EqualValues(t, unseen, hs.values(now, "never")[buckets-1])
}
