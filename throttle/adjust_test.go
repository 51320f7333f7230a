package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The server's clock is a hundred seconds ahead, as is known to a tenth of one; windows turn
// whenever ours shows whole tens of seconds.
func TestANumberIsPassedOverIfItsWindowIsSurelyOver(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "w", Quota: 5, Per: 10 * sec, Window: Fixed}, Limit{ID: "s", Quota: 5, Per: 10 * sec})
	require.False(t, l.EndedIn(10200*ms, "w", 9200*ms, sec), "no clock is known")
	require.False(t, l.EndedAt(10200*ms, "w", 9200*ms, 110*sec), "no clock is known")
	l.SetClock(0, 100*sec-50*ms, 100*sec+50*ms)
	for name, c := range map[string]struct {
		now, left, in time.Duration
		over          bool
	}{
		"it left before the turn, and came back behind it": {10200 * ms, 9200 * ms, sec, true},
		"rounded up":                   {10200 * ms, 9200 * ms, 2 * sec, true},
		"it left behind the turn":      {10200 * ms, 10100 * ms, sec, false},
		"it may have left before":      {10200 * ms, 10020 * ms, sec, true},
		"the turn may be to come":      {10020 * ms, 9200 * ms, sec, false},
		"it read the number behind it": {10200 * ms, 9200 * ms, 11 * sec, false},
		"it ends as late as none can":  {10200 * ms, 9200 * ms, 5 * sec, false},
		"the next turn may be it":      {19 * sec, 9200 * ms, sec + 1, false},
		"it took a whole window":       {22 * sec, 9200 * ms, sec, true}, // of two, and both are over
		"longer than any window":       {10200 * ms, 9200 * ms, never, false},
		"nothing":                      {10200 * ms, 9200 * ms, 0, false},
		"less":                         {10200 * ms, 9200 * ms, -sec, false},
	} {
		require.Equal(t, c.over, l.EndedIn(c.now, "w", c.left, c.in), name)
	}
	for name, c := range map[string]struct {
		now, left, at time.Duration
		over          bool
	}{
		"it left before the turn, and came back behind it": {10200 * ms, 9200 * ms, 110 * sec, true},
		"rounded":                       {10200 * ms, 9200 * ms, 109 * sec, true},
		"rounded up":                    {10200 * ms, 9200 * ms, 111 * sec, true},
		"the turn to come":              {10200 * ms, 9200 * ms, 120 * sec, false},
		"no turn":                       {10200 * ms, 9200 * ms, 113 * sec, false},
		"the turn before it left":       {10200 * ms, 10100 * ms, 110 * sec, false},
		"one long ago":                  {10200 * ms, 9200 * ms, 50 * sec, false},
		"no clock shows it":             {10200 * ms, 9200 * ms, never, false},
		"nor this":                      {10200 * ms, 9200 * ms, -never, false},
		"the turn may be to come still": {10020 * ms, 9200 * ms, 110 * sec, false},
	} {
		require.Equal(t, c.over, l.EndedAt(c.now, "w", c.left, c.at), name)
	}
	require.False(t, l.EndedIn(10200*ms, "s", 9200*ms, sec), "when another window turns nobody knows")
	require.False(t, l.EndedIn(10200*ms, "none", 9200*ms, sec))
}

// However a server rounds, and wherever its clock is within what is known of it.
func TestNoNumberOfAnOpenWindowIsPassedOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		per := time.Duration(rapid.Int64Range(int64(100*ms), int64(20*sec)).Draw(t, "per"))
		offset := time.Duration(rapid.Int64Range(0, int64(per)).Draw(t, "offset"))
		l, err := New([]Limit{{ID: "w", Quota: 5, Per: per, Offset: offset, Window: Fixed}}, Options{})
		require.NoError(t, err)
		width := time.Duration(rapid.Int64Range(0, int64(sec)).Draw(t, "width"))
		lo := time.Duration(rapid.Int64Range(int64(50*sec), int64(100*sec)).Draw(t, "lo"))
		ahead := lo + time.Duration(rapid.Int64Range(0, int64(width)).Draw(t, "ahead"))
		l.SetClock(0, lo, lo+width)
		left := time.Duration(rapid.Int64Range(0, int64(30*sec)).Draw(t, "left"))
		read := left + time.Duration(rapid.Int64Range(0, int64(5*sec)).Draw(t, "out"))
		now := read + time.Duration(rapid.Int64Range(0, int64(5*sec)).Draw(t, "home"))

		grid := even{per, offset}
		end := grid.start(grid.index(read+ahead) + 1)
		open := now+ahead < end
		for _, rounded := range []func(time.Duration) time.Duration{
			func(d time.Duration) time.Duration { return d.Truncate(sec) },
			func(d time.Duration) time.Duration { return (d + sec - 1).Truncate(sec) },
			func(d time.Duration) time.Duration { return d.Round(sec) },
			func(d time.Duration) time.Duration { return d },
		} {
			in, at := rounded(end-read-ahead), rounded(end)
			require.False(t, open && l.EndedIn(now, "w", left, in+sec), "counting down %v", in)
			require.False(t, open && l.EndedAt(now, "w", left, at), "at %v", at)
		}
	})
}
