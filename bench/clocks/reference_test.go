package clocks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/clocksim"
	"github.com/sluice-engine/sluice/internal/clock"
)

const ms = time.Millisecond

// sampled is of a server whose clock shows offset + local time, with exact
// figures and ways of 100 ns.
func sampled(sent, offset time.Duration) clock.Sample {
	return clock.Sample{Sent: sent, Received: sent + 200, Server: openingDay + offset + sent + 100}
}

func TestTheReferenceIsTheMeanOfMedianAndWeightedAverageOfFive(t *testing.T) {
	r := newReference()
	for i, offset := range []time.Duration{99, 10, 20, 30, 40, 100} {
		r.Add(sampled(time.Duration(i)*ms, offset*time.Microsecond))
	}
	// 10 20 30 40 100: median 30, weighted (10·1+20·3+30·5+40·7+100·9)/25 = 56
	require.InDelta(t, float64(openingDay+43*time.Microsecond), float64(r.Offset()), 2)
	r = newReference()
	r.Add(sampled(0, 7))
	r.Add(sampled(ms, 11))
	require.InDelta(t, float64(openingDay+9), float64(r.Offset()), 2)
}

func TestTheReferenceIsWorseAndBoundedAllTheSame(t *testing.T) {
	ours := clocksim.Run(clocksim.Scenario{Network: clocksim.Jitter, Every: time.Second, Checks: 10_000})
	theirs := clocksim.Run(clocksim.Scenario{Network: clocksim.Jitter, Every: time.Second, Checks: 10_000, Guess: newReference})
	require.Greater(t, theirs.P99Error, 4*ours.P99Error)
	require.Zero(t, theirs.Outside)
}

func TestASlewOnAQuietPathIsFollowedSoonerThanByTheReference(t *testing.T) {
	s := clocksim.Scenario{Network: clocksim.Symmetric, Every: time.Second, Checks: 12_000, Warmup: 5 * time.Minute,
		Slew: clocksim.Slew{From: 20 * time.Minute, For: 400 * time.Second, Rate: 500e-6}}
	ours := clocksim.Run(s)
	s.Guess = newReference
	theirs := clocksim.Run(s)
	require.Less(t, ours.MeanError, theirs.MeanError/2)
	require.Less(t, ours.P99Error, theirs.P99Error)
}
