package inspect

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestThePartsOfABarLieSideBySide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Int64Range(-5, 20), rapid.Int64Range(0, 1<<50))
		used, flying, quota := number.Draw(t, "used"), number.Draw(t, "in flight"), number.Draw(t, "quota")
		for _, b := range []*bar{
			quotaBar(used, flying, quota),
			shareBar(quota, share{name: "a", value: used, class: "used"}, share{name: "b", value: flying, class: "idle"}),
		} {
			at := 0
			for _, p := range b.Parts {
				require.Equal(t, at, p.X)
				require.Positive(t, p.W)
				at += p.W
				require.LessOrEqual(t, at, barWidth)
			}
			require.NotEmpty(t, b.Label)
			if used > 0 && quota > 0 && used >= quota {
				require.Equal(t, barWidth, at, "what is full looks full")
			}
		}
		if b := quotaBar(used, 0, quota); used > quota && quota > 0 {
			require.Equal(t, "over", b.Parts[len(b.Parts)-1].Class)
			require.LessOrEqual(t, b.Mark, markedShare)
		}
	})
}

func TestABarSaysInWordsWhatItShows(t *testing.T) {
	b := quotaBar(512, 3, 1200)
	require.Equal(t, "512 of 1,200 used, 42 %, 3 of it in flight", b.Label)
	require.Equal(t, []part{{0, 424, "used"}, {424, 3, "flight"}}, b.Parts)
	require.Equal(t, barWidth, b.Mark)
	require.Equal(t, "none", shareBar(0).Label)
	require.Equal(t, "2 leased, 1 idle", shareBar(0, share{name: "leased", value: 2}, share{name: "dialling"}, share{name: "idle", value: 1}).Label)
}

func TestALineHasGapsWhereNobodyLooked(t *testing.T) {
	var values [buckets]int64
	for i := range values {
		values[i] = unseen
	}
	require.Nil(t, sparkOf(values, 10, "5 min"))
	values[3], values[10], values[11] = 4, 10, 5
	s := sparkOf(values, 10, "5 min")
	require.Equal(t, 2, strings.Count(s.Line, "M"), "one for each stretch")
	require.Equal(t, 2, strings.Count(s.Area, "Z"))
	require.Equal(t, "between 4 and 10 over 5 min", s.Label)
	require.Equal(t, "10", s.High)
	require.Equal(t, "4", s.Low)
	require.Equal(t, "M6.1 14.2h1M20.3 1L22.4 12", s.Line)
}

func TestNumbersAndTimesReadAsPeopleWriteThem(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 99900: "99,900", 1234567: "1,234,567", -1234: "−1,234"} {
		require.Equal(t, want, grouped(n))
	}
	for d, want := range map[time.Duration]string{
		-1: "0 s", 0: "0 s", 800: "0 µs", 240 * time.Millisecond: "240 ms", 3290 * time.Millisecond: "3.2 s", 125 * time.Second: "2 m 05 s",
		3*time.Hour + 12*time.Minute: "3 h 12 m", 75 * time.Hour: "3 d 3 h",
	} {
		require.Equal(t, want, span(d))
	}
	require.Equal(t, "5 min", lengthText(5*time.Minute))
	require.Equal(t, "1 m 30 s", lengthText(90*time.Second))
	require.Equal(t, "3 MiB", size(3<<20))
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	require.Equal(t, "12:00:03.5", clockText(now.Add(3500*time.Millisecond), now))
	require.Equal(t, "2026-01-03 12:00:00", clockText(now.Add(24*time.Hour), now))
	require.Equal(t, strings.Repeat("é", 240)+"…", clip(strings.Repeat("é", 500)))
}
