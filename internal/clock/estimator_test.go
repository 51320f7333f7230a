package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	ms    = time.Millisecond
	unix0 = 1_700_000_000 * time.Second
)

// exchange is a sample of a server whose clock shows unix0 + offset + local time,
// with exact figures.
func exchange(sent, out, home, offset time.Duration) Sample {
	return Sample{Sent: sent, Received: sent + out + home, Server: unix0 + offset + sent + out}
}

func TestASampleIsCheckedForEveryMistake(t *testing.T) {
	err := Sample{Sent: 2, Received: 1, Resolution: -1}.Validate()
	for _, want := range []error{ErrReversed, ErrResolution, ErrServerTime} {
		require.ErrorIs(t, err, want)
	}
	require.ErrorIs(t, Sample{Server: 9e18 + 1}.Validate(), ErrServerTime)
	require.NoError(t, exchange(0, ms, ms, 0).Validate())
}

func TestAnUnusableSampleIsIgnored(t *testing.T) {
	e := NewEstimator(Config{})
	require.False(t, e.Add(Sample{Sent: 2, Received: 1, Server: unix0}))
	require.False(t, e.Ready())
	require.Nil(t, e.Snapshot(0))
	lo, hi := e.Bounds(0)
	require.Zero(t, hi-lo)
}

func TestOneSampleBoundsTheOffsetByItsRoundTripAndResolution(t *testing.T) {
	e := NewEstimator(Config{})
	e.Add(Sample{Sent: 0, Received: 10 * ms, Server: unix0, Resolution: ms})
	lo, hi := e.Bounds(10 * ms)
	require.Equal(t, unix0-10*ms-1, lo, "a nanosecond of rounding")
	require.Equal(t, unix0+ms+6*time.Microsecond, hi, "600 ppm of the 10 ms since it was sent")
	offset, bound := e.Estimate(10 * ms)
	require.InDelta(t, float64(unix0-4500*time.Microsecond), float64(offset), float64(20*time.Microsecond))
	require.LessOrEqual(t, bound, 5520*time.Microsecond)
}

func TestTheBoundGrowsByTheRateWithoutSamples(t *testing.T) {
	e := NewEstimator(Config{})
	e.Add(exchange(0, 5*ms, 5*ms, 0))
	lo, hi := e.Bounds(10 * ms)
	later, higher := e.Bounds(10*ms + 100*time.Second)
	require.InDelta(t, 60e6, float64(lo-later), 2)
	require.InDelta(t, 60e6, float64(higher-hi), 2)
}

func TestTheFastestWayOutAndTheFastestWayHomeCombine(t *testing.T) {
	e := NewEstimator(Config{})
	e.Add(exchange(0, 1*ms, 99*ms, 0))
	e.Add(exchange(100*ms, 99*ms, 1*ms, 0))
	lo, hi := e.Bounds(200 * ms)
	require.InDelta(t, 2e6, float64(hi-lo), 2e5)
}

// slowEnvelope keeps every sample.
type slowEnvelope []Sample

func (e slowEnvelope) bounds(now int64, rate float64) (lo, hi int64) {
	lo, hi = -1<<62, 1<<62
	for _, s := range e {
		lo = max(lo, s.atLeast().lowerAt(now, rate))
		hi = min(hi, s.atMost().upperAt(now, rate))
	}
	return lo, hi
}

func TestTheEnvelopeIsTheIntersectionOfAllSamplesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all slowEnvelope
		var e envelope
		now := int64(0)
		for i := range rapid.IntRange(1, 12).Draw(t, "samples") {
			d := func(name string, limit time.Duration) time.Duration {
				return time.Duration(rapid.Int64Range(0, int64(limit)).Draw(t, name))
			}
			s := exchange(d("sent", time.Hour), d("out", 80*ms), d("home", 80*ms), 0)
			all = append(all, s)
			now = max(now, int64(s.Received))
			if i == 0 {
				e = newEnvelope(s, 600e-6)
			} else {
				e.add(s)
			}
		}
		now += rapid.Int64Range(0, int64(time.Hour)).Draw(t, "later")
		lo, hi := all.bounds(now, 600e-6)
		require.InDelta(t, float64(lo), float64(e.lower(now)), 300, "rounding of two reaches")
		require.InDelta(t, float64(hi), float64(e.upper(now)), 300)
	})
}

func TestTheFitIsWhatAnExhaustiveSearchOfRatesFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(-150e-6, 150e-6).Draw(t, "rate")
		tr := tracker{}
		now := time.Duration(0)
		for i := range rapid.IntRange(1, 40).Draw(t, "samples") {
			now += time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "gap"))
			out := time.Duration(rapid.Int64Range(1, int64(40*ms)).Draw(t, "out"))
			s := exchange(now, out, 50*ms-out, time.Duration(rate*float64(now)))
			if i == 0 {
				tr = newTracker(s, 600e-6, 2e-6, 0)
			} else {
				tr.add(s)
			}
			now = s.Received
		}
		fit, ok := tr.fit(int64(now), 600e-6)
		require.True(t, ok)
		lo, hi := searched(&tr, int64(now))
		const step = 1200e-6 / searchSteps * 800e9 // what one step of the rate moves the oldest statement
		require.InDelta(t, lo, fit.lo, step)
		require.InDelta(t, hi, fit.hi, step)
		require.LessOrEqual(t, fit.lo, lo+fitTolerance)
		require.GreaterOrEqual(t, fit.hi, hi-fitTolerance)
	})
}

const searchSteps = 4000

// searched tries a grid of rates, the fit's own among them.
func searched(tr *tracker, now int64) (lo, hi float64) {
	lo, hi = 1e300, -1e300
	fit, _ := tr.fit(now, 600e-6)
	try := func(rate float64) {
		l, _ := tr.floor(now, rate)
		h, _ := tr.ceiling(now, rate)
		if l <= h+fitTolerance {
			lo, hi = min(lo, l), max(hi, h)
		}
	}
	for i := range searchSteps + 1 {
		try(-600e-6 + 1200e-6*float64(i)/searchSteps)
	}
	try(fit.rateLo)
	try(fit.rateHi)
	return lo, hi
}

func TestTheTrackerLearnsTheRate(t *testing.T) {
	e := NewEstimator(Config{})
	const rate = -80e-6
	now := time.Duration(0)
	for range 600 {
		e.Add(exchange(now, 5*ms, 5*ms, time.Duration(rate*float64(now))))
		e.Estimate(now + 10*ms)
		now += time.Second
	}
	_, got := e.estimate(int64(now))
	require.InDelta(t, rate, got, 5e-6)
	require.LessOrEqual(t, len(e.tracker.buckets), trackerBuckets)
}

func TestATrackerThatContradictsItselfForgetsTheOldest(t *testing.T) {
	e := NewEstimator(Config{})
	offset, now := time.Duration(0), time.Duration(0)
	for i := range 200 {
		if i >= 100 { // slewed by 550 ppm: more than the tracker believes
			offset += 550 * time.Microsecond
		}
		require.False(t, e.Add(exchange(now, ms/2, ms/2, offset)))
		now += time.Second
	}
	got, bound := e.Estimate(now)
	require.InDelta(t, float64(unix0+offset), float64(got), float64(2*ms))
	require.Less(t, bound, 3*ms)
}

func TestAStepForgetsAllThatWasKnown(t *testing.T) {
	e := NewEstimator(Config{Burst: 3})
	for i := range 3 {
		e.Add(exchange(time.Duration(i)*time.Second, 5*ms, 5*ms, 0))
	}
	require.True(t, e.Add(exchange(3*time.Second, 5*ms, 5*ms, time.Second)))
	offset, bound := e.Estimate(3*time.Second + 10*ms)
	require.InDelta(t, float64(unix0+time.Second), float64(offset), float64(5*ms))
	require.LessOrEqual(t, bound, 6*ms, "so great a contradiction is no doubt")
	require.Equal(t, 3*time.Second+10*ms, e.NextSample(3*time.Second+10*ms), "a burst begins")
}

func TestASmallContradictionIsDoubtedUntilConfirmed(t *testing.T) {
	e := NewEstimator(Config{})
	e.Add(exchange(0, 5*ms, 5*ms, 0))
	require.True(t, e.Add(exchange(20*ms, 5*ms, 5*ms, 50*ms)))
	lo, hi := e.Bounds(30 * ms)
	require.Less(t, lo, unix0)
	require.Greater(t, hi, unix0+50*ms)
	for i := range confirmations {
		require.False(t, e.Add(exchange(time.Duration(i+2)*20*ms, 5*ms, 5*ms, 50*ms)))
	}
	lo, hi = e.Bounds(200 * ms)
	require.Greater(t, lo, unix0+40*ms)
	require.Less(t, hi, unix0+60*ms)
	require.Zero(t, e.Spread())
}

func TestServersThatDisagreeWidenTheClaimInsteadOfStepping(t *testing.T) {
	e := NewEstimator(Config{})
	e.Add(exchange(0, 5*ms, 5*ms, -20*ms))
	require.True(t, e.Add(exchange(20*ms, 5*ms, 5*ms, 20*ms)), "may be a step")
	for i := range 20 {
		offset := time.Duration(1-2*(i%2)) * -20 * ms
		require.False(t, e.Add(exchange(time.Duration(i+2)*20*ms, 5*ms, 5*ms, offset)))
		lo, hi := e.Bounds(time.Duration(i+2)*20*ms + 10*ms)
		require.LessOrEqual(t, lo, unix0-20*ms)
		require.GreaterOrEqual(t, hi, unix0+20*ms)
	}
	require.GreaterOrEqual(t, e.Spread(), 20*ms)
	require.Less(t, e.Spread(), 40*ms)
}

func TestAQuietPathBetraysServersThatDisagreeByLessThanARoundTrip(t *testing.T) {
	e := NewEstimator(Config{})
	for i := range 40 {
		offset := time.Duration(1-2*(i%2)) * 4 * ms
		require.False(t, e.Add(exchange(time.Duration(i)*20*ms, 5*ms, 5*ms, offset)))
	}
	require.InDelta(t, float64(4*ms), float64(e.Spread()), float64(ms))
	lo, hi := e.Bounds(810 * ms)
	require.Less(t, lo, unix0-4*ms)
	require.Greater(t, hi, unix0+4*ms)
}

func TestAConfiguredSpreadIsPartOfTheClaim(t *testing.T) {
	e := NewEstimator(Config{Spread: 3 * ms})
	e.Add(exchange(0, 5*ms, 5*ms, 0))
	lo, hi := e.Bounds(10 * ms)
	require.InDelta(t, float64(10*ms+12*ms), float64(hi-lo), 1e4)
}

func TestABadConfigurationIsToldAllItsMistakes(t *testing.T) {
	err := Config{MaxRate: 1, Burst: -1, Interval: -1, Spread: -1}.Validate()
	for _, want := range []string{"MaxRate", "Burst", "Interval", "Spread"} {
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, Config{}.Validate())
}
