package load

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

func histogramOf(durations ...time.Duration) *results.Histogram {
	h := results.NewHistogram()
	for _, d := range durations {
		h.Record(d)
	}
	return h
}

func repeated(n uint64, d time.Duration) *results.Histogram {
	h := results.NewHistogram()
	h.RecordN(d, n)
	return h
}

// held is the evidence of a run of a thousand that held its rate.
func held() Evidence {
	return Evidence{
		Offered: 1000, HandedInTime: 1000, Length: 10 * time.Second,
		Lag: repeated(1000, 300*time.Microsecond), Response: repeated(1000, time.Millisecond),
	}
}

func TestARunIsJudgedByWhatTheHarnessDidAlone(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *Evidence)
		want   string // empty: valid
	}{
		"one that held":                             {func(*Evidence) {}, ""},
		"a machine without descriptors":             {func(e *Evidence) { e.Refused = 1 }, "ulimit"},
		"no evidence at all":                        {func(e *Evidence) { *e = Evidence{} }, "nothing was due"},
		"a rate of 99 %":                            {func(e *Evidence) { e.HandedInTime = 990 }, ""},
		"a rate of 98.9 %":                          {func(e *Evidence) { e.HandedInTime = 989 }, "achieved 98.9%"},
		"two late of ten":                           {func(e *Evidence) { e.Offered, e.HandedInTime = 10, 8 }, ""},
		"three late of ten":                         {func(e *Evidence) { e.Offered, e.HandedInTime = 10, 7 }, "achieved 70.0%"},
		"a lag that is long beside a fast server's": {func(e *Evidence) { e.Lag = repeated(1000, 1900*time.Microsecond) }, ""},
		"a lag over the floor":                      {func(e *Evidence) { e.Lag = repeated(1000, 2100*time.Microsecond) }, "lag p99"},
		"that lag beside a slow server": {func(e *Evidence) {
			e.Lag, e.Response = repeated(1000, 2100*time.Microsecond), repeated(1000, 30*time.Millisecond)
		}, ""},
		"a server that stalls":                  {func(e *Evidence) { e.Response = repeated(1000, time.Minute) }, ""},
		"an arrival that was never handed over": {func(e *Evidence) { e.NeverHanded = 1 }, "never handed"},
		"a waker that overslept a fiftieth":     {func(e *Evidence) { e.Asleep, e.Longest = 201*time.Millisecond, 50*time.Millisecond }, "not woken"},
		"a waker that overslept less":           {func(e *Evidence) { e.Asleep, e.Longest = 199*time.Millisecond, 50*time.Millisecond }, ""},
		"a process that stood still in the drain": {func(e *Evidence) {
			e.Drained, e.Drowsed, e.Longest = time.Second, 230*time.Millisecond, 50*time.Millisecond
		}, "230ms of 11s"},
		"one that stood still a little in it": {func(e *Evidence) {
			e.Drained, e.Drowsed, e.Longest = time.Second, 210*time.Millisecond, 50*time.Millisecond
		}, ""},
		"a long drain after a bad run": {func(e *Evidence) {
			e.Drained, e.Asleep, e.Longest = time.Hour, 201*time.Millisecond, 50*time.Millisecond
		}, "not woken"},
		"one hiccup of few requests": {func(e *Evidence) {
			e.Offered, e.HandedInTime = 5, 5
			e.Lag = histogramOf(0, 0, 0, 0, time.Second)
			e.Response = histogramOf(0, 0, 0, 0, time.Second)
		}, ""},
		"a bound of requests in flight is named": {func(e *Evidence) { e.HandedInTime, e.Bound = 100, 7 }, "7 requests at once"},
	} {
		t.Run(name, func(t *testing.T) {
			e := held()
			c.change(&e)
			invalid := e.Judge()
			if c.want == "" {
				require.Empty(t, invalid)
				return
			}
			require.NotEmpty(t, invalid)
			require.Contains(t, invalid[0], c.want)
		})
	}
}

func TestAWorseRunIsNeverJudgedBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := held()
		e.HandedInTime = rapid.Uint64Range(0, 1000).Draw(t, "handed")
		e.Lag = repeated(1000, time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "lag")))
		e.Asleep = time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "asleep"))
		e.Longest = e.Asleep
		worse := e
		worse.HandedInTime -= rapid.Uint64Range(0, e.HandedInTime).Draw(t, "fewer")
		worse.Lag = repeated(1000, e.Lag.Max()+time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "later")))
		worse.Asleep += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "longer"))
		worse.Longest = worse.Asleep
		if len(e.Judge()) > 0 && len(worse.Judge()) == 0 {
			t.Fatalf("%v is invalid, and what is worse is not", e.Judge())
		}
	})
}

func TestABoundOfRequestsInFlightThatHoldsTheRateBackIsInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{
			Schedule: constant(1000, time.Second), Plan: planOf("http://a/"), MaxInFlight: 1,
			Client: answersAfter(func(*targets.Request) time.Duration { return 10 * time.Millisecond }),
		}
		run := simulate(t, cfg)
		require.EqualValues(t, 1000, run.Total[""].Count)
		require.Len(t, run.End.Invalid, 2) // achieved, and late
		require.Contains(t, run.End.Invalid[0], "achieved 10.2%")
		require.Contains(t, run.End.Invalid[0], "1 requests at once")
		// Each is measured from its instant all the same: the last waited for all the others.
		requireDuration(t, 10*time.Second-999*time.Millisecond, run.Total[""].Response.Max(), "the last response")

		cfg.MaxInFlight = 0 // the same server, and a harness that may do its work
		run = simulate(t, cfg)
		require.Empty(t, run.End.Invalid)
		requireDuration(t, 10*time.Millisecond, run.Total[""].Response.Max(), "the last response")
		require.LessOrEqual(t, run.Total[""].Lag.Max(), 64*time.Nanosecond) // as finely as a histogram tells
	})
}

func TestAHarnessWhoseProcessorsAreTakenSaysSo(t *testing.T) {
	stop := make(chan struct{})
	var burning sync.WaitGroup
	for range 32 * runtime.GOMAXPROCS(0) {
		burning.Go(func() {
			for n := 0; ; n++ {
				if n%1000 == 0 {
					select {
					case <-stop:
						return
					default:
					}
				}
			}
		})
	}
	defer burning.Wait()
	defer close(stop)
	run, err := Run(context.Background(), Config{Schedule: constant(500, time.Second), Plan: planOf("http://a/"), Client: instant(), Drain: 10 * time.Second})
	require.NoError(t, err)
	require.NotEmpty(t, run.End.Invalid)
	require.EqualValues(t, 500, run.Total[""].Count)
	t.Log(run.End.Invalid)
}

func TestAThousandASecondAreOnTimeToAMillisecondAndAHalf(t *testing.T) {
	pressure.Try(t, 8, func() error { // other work on this machine makes it worse, and nothing makes it better
		run, err := Run(context.Background(), Config{Schedule: constant(1000, 500*time.Millisecond), Plan: planOf("http://a/"), Client: instant()})
		require.NoError(t, err)
		lag := run.Total[""].Lag.Quantile(0.99)
		t.Log("lag p99", lag)
		return within(lag, 1500*time.Microsecond, 50*time.Millisecond)
	})
}

func TestTwentyThousandASecondAreHeldToAThousandth(t *testing.T) {
	if racing {
		t.Skip("the race detector is too slow")
	}
	const rate, length = 20_000, time.Second
	pressure.Try(t, 5, func() error {
		run, err := Run(context.Background(), Config{Schedule: constant(rate, length), Plan: planOf("http://a/"), Client: instant()})
		require.NoError(t, err)
		require.EqualValues(t, rate, run.Total[""].Count)
		// All were sent: what the last was late by is what the rate is missed by.
		t.Log("the last of 20,000 a second was over after", run.End.Elapsed)
		return within((run.End.Elapsed - length).Abs(), length/1000, length/2)
	})
}

// within says by how much too long something took, but for the race detector, with which
// everything does. Beyond gross, it is not the machine's fault either.
func within(took, bound, gross time.Duration) error {
	switch err := fmt.Errorf("%v, where %v is the most", took, bound); {
	case took <= bound || racing:
		return nil
	case took > gross:
		return pressure.Gross(err)
	default:
		return err
	}
}
