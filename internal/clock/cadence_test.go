package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSamplingBeginsWithABurstAndThenKeepsTheInterval(t *testing.T) {
	e := NewEstimator(Config{Burst: 3, Spacing: 20 * ms, Interval: 10 * time.Second})
	now := 5 * time.Second
	require.Equal(t, now, e.NextSample(now))
	for range 2 {
		e.Add(exchange(now, 5*ms, 5*ms, 0))
		now += 10 * ms
		require.Equal(t, now+20*ms, e.NextSample(now))
		now += 20 * ms
	}
	e.Add(exchange(now, 5*ms, 5*ms, 0))
	require.Equal(t, now+10*ms+10*time.Second, e.NextSample(now+10*ms))
	require.Equal(t, time.Hour, e.NextSample(time.Hour), "overdue is now")
}

func TestSamplesFromOrdinaryAnswersPutTheNextProbeOff(t *testing.T) {
	e := NewEstimator(Config{Burst: 1})
	e.Add(exchange(0, 5*ms, 5*ms, 0))
	e.Add(exchange(9*time.Second, 5*ms, 5*ms, 0))
	require.Equal(t, 19*time.Second+10*ms, e.NextSample(9*time.Second+10*ms))
}

func TestFailuresWaitLongerEachTimeUpToTheInterval(t *testing.T) {
	e := NewEstimator(Config{Interval: time.Second})
	for _, wait := range []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, time.Second, time.Second} {
		e.Failed(time.Minute)
		require.Equal(t, time.Minute+wait, e.NextSample(time.Minute))
	}
	for range 100 {
		e.Failed(time.Minute)
	}
	require.Equal(t, time.Minute+time.Second, e.NextSample(time.Minute))
	e.Add(exchange(time.Minute, 5*ms, 5*ms, 0))
	require.Equal(t, time.Minute+10*ms, e.NextSample(time.Minute), "the burst goes on")
}

func TestADoubtedTimestampAsksForABurstAtOnce(t *testing.T) {
	e := NewEstimator(Config{Burst: 1})
	e.Add(exchange(0, 5*ms, 5*ms, 0))
	e.Resample()
	require.Equal(t, time.Second, e.NextSample(time.Second))
}

func TestABoundThatGrewTooWideAsksForASample(t *testing.T) {
	e := NewEstimator(Config{Burst: 1, MaxBound: 6 * ms, Interval: time.Minute})
	e.Add(exchange(0, 5*ms, 5*ms, 0))
	next := e.NextSample(10 * ms)
	require.InDelta(t, float64(1670*ms), float64(next), float64(30*ms), "1 ms at 600 ppm")
	lo, hi := e.Bounds(next)
	require.InDelta(t, float64(6*ms), float64(hi-lo)/2, 1e4)
	require.Equal(t, time.Minute+10*ms, NewAfter(t, Config{Burst: 1, MaxBound: time.Second, Interval: time.Minute}).NextSample(10*ms))
	require.Equal(t, time.Second+10*ms, NewAfter(t, Config{Burst: 1, MaxBound: ms}).NextSample(10*ms), "but at most once a second")
}

// NewAfter has had one sample.
func NewAfter(t *testing.T, cfg Config) *Estimator {
	t.Helper()
	e := NewEstimator(cfg)
	e.Add(exchange(0, 5*ms, 5*ms, 0))
	return e
}

func TestACoarseSampleIsAimedAtTheInstantTheFigureChanges(t *testing.T) {
	e := NewEstimator(Config{Burst: 8})
	offset, now, trip := 123*ms, time.Duration(0), 10*ms
	width := time.Duration(0)
	for i := range 8 {
		sent := e.NextSample(now)
		require.Less(t, sent-now, time.Second+ms)
		stamp := unix0 + offset + sent + trip/2
		require.False(t, e.Add(Sample{Sent: sent, Received: sent + trip, Server: stamp.Truncate(time.Second), Resolution: time.Second}))
		now = sent + trip
		lo, hi := e.Bounds(now)
		require.True(t, lo <= unix0+offset && unix0+offset <= hi)
		if i > 0 {
			require.LessOrEqual(t, hi-lo, (width+trip)/2+2*ms, "halved, down to the round trip")
		}
		width = hi - lo
	}
	require.LessOrEqual(t, width/2, 10*ms)
}

func TestACoarseSampleThatTeachesNothingDoesNotPutTheNextOff(t *testing.T) {
	e := NewEstimator(Config{Burst: 1})
	read := func(sent, trip time.Duration) {
		stamp := unix0 + 500*ms + sent + trip/2
		e.Add(Sample{Sent: sent, Received: sent + trip, Server: stamp.Truncate(time.Second), Resolution: time.Second})
	}
	read(0, 10*ms)
	due := e.due(10 * ms)
	read(1100*ms, 10*ms) // a second later, at nearly the same moment within it
	require.Equal(t, due, e.due(1110*ms))
	read(1480*ms, 10*ms) // just before the second ends
	require.Equal(t, 1490*ms+10*time.Second, e.due(1490*ms))
}
