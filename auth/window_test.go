package auth

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// accepts is the server's rule, on its clock cut off to the unit.
func (w Window) accepts(ts, server int64, unit time.Duration) bool {
	now := server / int64(unit)
	return ts < now+int64(w.Future/unit) && now-ts <= int64(w.Past/unit)
}

func TestAProvenTimestampIsAcceptedForEveryClockWithinTheBoundAndEveryDelay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{time.Microsecond, time.Millisecond, time.Second}).Draw(t, "unit")
		rule := Window{
			Past:   time.Duration(rapid.Int64Range(0, 10_000).Draw(t, "past")) * unit,
			Future: time.Duration(rapid.Int64Range(1, 5_000).Draw(t, "future")) * unit,
		}
		lo := rapid.Int64Range(1_600_000_000e9, 1_600_000_100e9).Draw(t, "lo")
		hi := lo + rapid.Int64Range(0, int64(6000*unit)).Draw(t, "width")
		est := rapid.Int64Range(lo, hi).Draw(t, "est")
		delay := rapid.Int64Range(0, int64(4000*unit)).Draw(t, "delay")
		server := rapid.Int64Range(lo, hi).Draw(t, "server")
		taken := rapid.Int64Range(0, delay).Draw(t, "taken")

		ts, proven := rule.Timestamp(time.Unix(0, est), time.Unix(0, lo), time.Unix(0, hi), time.Duration(delay), unit)
		if proven {
			require.True(t, rule.accepts(ts, server+taken, unit))
		}
		require.Less(t, ts, (server+taken)/int64(unit)+int64(rule.Future/unit), "never too new")
	})
}

func TestATimestampIsProvenWheneverAnyIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := int64(time.Millisecond)
		rule := Window{Past: time.Duration(rapid.Int64Range(0, 300).Draw(t, "past") * ms), Future: 100 * time.Millisecond}
		lo := rapid.Int64Range(1_600_000_000e3, 1_600_000_001e3).Draw(t, "lo") * ms
		hi := lo + rapid.Int64Range(0, 300).Draw(t, "width")*ms
		delay := rapid.Int64Range(0, 300).Draw(t, "delay") * ms

		_, proven := rule.choose((lo+hi)/2, lo, hi, delay, ms)
		require.Equal(t, someTimestampWorks(rule, lo, hi, delay), proven)
	})
}

// someTimestampWorks tries them all: the extremes are the earliest arrival on
// the slowest clock and the latest on the fastest.
func someTimestampWorks(rule Window, lo, hi, delay int64) bool {
	ms := int64(time.Millisecond)
	for ts := lo/ms - 1000; ts < hi/ms+2000; ts++ {
		if rule.accepts(ts, lo, time.Millisecond) && rule.accepts(ts, hi+delay, time.Millisecond) {
			return true
		}
	}
	return false
}

func TestTheEstimateIsSignedWhenTheWindowAllowsIt(t *testing.T) {
	binance := Window{Past: 5 * time.Second, Future: time.Second}
	now := time.UnixMilli(1_700_000_000_000)
	ts, proven := binance.Timestamp(now, now.Add(-8*time.Millisecond), now.Add(8*time.Millisecond), time.Second, time.Millisecond)
	require.True(t, proven)
	require.Equal(t, now.UnixMilli(), ts)
}

func TestAShortWindowIsMetByATimestampInTheFuture(t *testing.T) {
	rule := Window{Past: 250 * time.Millisecond, Future: time.Second}
	now := time.UnixMilli(1_700_000_000_000)
	ts, proven := rule.Timestamp(now, now.Add(-8*time.Millisecond), now.Add(8*time.Millisecond), time.Second, time.Millisecond)
	require.True(t, proven)
	require.Equal(t, now.UnixMilli()+8+1000-250, ts)
}

func TestWithNoProvenTimestampTheLatestSafeOneIsChosen(t *testing.T) {
	rule := Window{Past: 100 * time.Millisecond, Future: time.Second}
	now := time.UnixMilli(1_700_000_000_000)
	ts, proven := rule.Timestamp(now, now.Add(-700*time.Millisecond), now.Add(700*time.Millisecond), time.Second, time.Millisecond)
	require.False(t, proven)
	require.Equal(t, now.UnixMilli()-700+999, ts)
}

func TestWithoutARuleTheEstimateIsSigned(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	ts, proven := Window{}.Timestamp(now, now.Add(-time.Hour), now.Add(time.Hour), time.Second, time.Second)
	require.True(t, proven)
	require.Equal(t, now.Unix(), ts)
}
