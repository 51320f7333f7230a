package crew

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The worker's clock here is known exactly, the ways to it take what they like.
func TestAClockIsWithinItsBoundHoweverLongTheWaysTake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epoch := time.Unix(1_800_000_000, 0)
		offset := time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "offset"))
		rate := float64(rapid.IntRange(-900, 900).Draw(t, "ppm")) * 1e-6
		shows := func(at time.Duration) time.Duration {
			return time.Duration(epoch.UnixNano()) + offset + at + time.Duration(rate*float64(at))
		}
		r := newRelation(epoch)
		begin := 2 * time.Second
		var ordered time.Duration
		for now := time.Duration(0); now < 4*time.Second; {
			out := time.Duration(rapid.IntRange(10, 20_000).Draw(t, "out")) * time.Microsecond
			home := time.Duration(rapid.IntRange(10, 20_000).Draw(t, "home")) * time.Microsecond
			r.add(now, now+out+home, shows(now+out))
			now += out + home
			if ordered == 0 && now > time.Second {
				ordered = r.order(begin)
			}
			shown, bound := r.shows(now)
			require.LessOrEqual(t, (shown - shows(now)).Abs(), bound)
			now += 100 * time.Millisecond
		}
		require.Zero(t, r.steps)
		require.LessOrEqual(t, (shows(begin) - ordered).Abs(), r.off(ordered))
		require.Less(t, r.off(ordered), 60*time.Millisecond)
	})
}

func TestAClockThatStepsIsNoticed(t *testing.T) {
	r := newRelation(time.Unix(1_800_000_000, 0))
	base := time.Duration(1_800_000_000) * time.Second
	for i := range 20 {
		at := time.Duration(i) * 100 * time.Millisecond
		shown := base + at
		if i > 10 {
			shown += 50 * time.Millisecond
		}
		r.add(at, at+time.Millisecond, shown)
	}
	require.Equal(t, 1, r.steps)
}

func TestADialShowsWhenWhatItShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Now()
		d := newDial(base, time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "skew")), float64(rapid.IntRange(-1000, 1000).Draw(t, "ppm"))*1e-6)
		at := base.Add(time.Duration(rapid.Int64Range(0, 1e13).Draw(t, "at")))
		require.LessOrEqual(t, d.when(d.shows(at)).Sub(at).Abs(), 10*time.Microsecond)
	})
}
