package crew

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAProcessThatDidNotRunHoldsItAgainstNobody(t *testing.T) {
	var s silence
	now := time.Unix(1, 0)
	require.Zero(t, s.tick(now))
	now = now.Add(time.Hour) // suspended
	require.Equal(t, mostHeld, s.tick(now))
	s.heard() // what was said meanwhile comes after the tick
	require.LessOrEqual(t, s.tick(now.Add(tickEvery)), tickEvery)
}

func TestSilenceIsNoLongerThanItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s silence
		now := time.Unix(1, 0)
		s.tick(now)
		heard, ticks := now, 0
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 500).Draw(t, "ms")) * time.Millisecond)
			if rapid.IntRange(0, 3).Draw(t, "heard") == 0 {
				s.heard()
				heard, ticks = now, 0
			}
			so := s.tick(now)
			ticks++
			require.LessOrEqual(t, so, time.Duration(ticks)*mostHeld)
			if ticks > 1 {
				require.LessOrEqual(t, so, now.Sub(heard)+mostHeld)
			}
		}
	})
}

func TestSilenceIsAsLongAsItIsWhileTicksComeInTime(t *testing.T) {
	var s silence
	now := time.Unix(1, 0)
	s.tick(now)
	for range 100 {
		now = now.Add(tickEvery)
		s.tick(now)
	}
	require.Equal(t, 100*tickEvery, s.so)
}
