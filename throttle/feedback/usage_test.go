package feedback_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestWhatRemainsDecidesHowMuchOfTheTablesQuotaIsUsed(t *testing.T) {
	const most = math.MaxInt64
	for _, c := range []struct {
		sentence string
		table    int64
		says     feedback.Usage
		want     int64
	}{
		{"the server's smaller quota is spent", 100, feedback.Usage{Used: -1, Remaining: 0, Quota: 10}, 100},
		{"the server will admit four more", 100, feedback.Usage{Used: -1, Remaining: 4, Quota: 10}, 96},
		{"the server will admit more than the table", 10, feedback.Usage{Used: -1, Remaining: 50, Quota: 100}, 0},
		{"the quotas are alike", 10, feedback.Usage{Used: -1, Remaining: 3, Quota: 10}, 7},
		{"the server does not tell its quota", 10, feedback.Usage{Used: -1, Remaining: 3}, 7},
		{"what is used of the server's smaller quota", 100, feedback.Usage{Used: 9, Quota: 10}, 99},
		{"more is used than the server's quota", 100, feedback.Usage{Used: 11, Quota: 10}, 100},
		{"what is used of a larger quota", 10, feedback.Usage{Used: 7, Quota: 100}, 7},
		{"what is used, and no quota", 10, feedback.Usage{Used: 7}, 7},
		{"more is used than there is", 10, feedback.Usage{Used: 1e12}, 10},
		{"nothing is said", 10, feedback.Usage{Used: -1, Remaining: -1, Quota: 5}, 0},
		{"numbers at the edge", most, feedback.Usage{Used: most, Remaining: most, Quota: most}, most},
		{"numbers beyond it", most, feedback.Usage{Used: math.MinInt64, Remaining: math.MinInt64, Quota: math.MinInt64}, 0},
		{"a table without a quota", -5, feedback.Usage{Used: 7, Quota: 10}, 0},
	} {
		require.Equal(t, c.want, c.says.Of(c.table), c.sentence)
	}
}

func TestWhatIsUsedLiesWithinTheQuota(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-2, 20), rapid.Just[int64](math.MaxInt64))
		u := feedback.Usage{Used: any.Draw(t, "used"), Remaining: any.Draw(t, "remaining"), Quota: any.Draw(t, "quota")}
		table := any.Draw(t, "table")
		used := u.Of(table)
		require.GreaterOrEqual(t, used, int64(0))
		require.LessOrEqual(t, used, max(0, table))
		if u.Used < 0 && u.Remaining >= 0 && table > 0 {
			require.LessOrEqual(t, table-used, u.Remaining, "no more is sent than the server will admit")
		}
	})
}
