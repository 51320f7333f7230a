package load

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/slo"
	"github.com/sluice-engine/sluice/bench/targets"
)

// In these tests time is simulated, so that what a run says is compared with arithmetic to the
// resolution of a histogram.

// answersAfter is a client that takes a time for each request, unless its context ends before.
func answersAfter(took func(r *targets.Request) time.Duration) ClientFunc {
	return func(ctx context.Context, r *targets.Request, a *Answer) {
		timer := time.NewTimer(took(r))
		defer timer.Stop()
		select {
		case <-timer.C:
			a.Status = 200
		case <-ctx.Done():
			a.Err = ctx.Err()
		}
	}
}

// close to a duration, as a histogram of three digits has it.
func requireDuration(t *testing.T, want, got time.Duration, what string) {
	t.Helper()
	require.InDelta(t, want.Seconds(), got.Seconds(), 0.002*want.Seconds()+0.000_001, "%s: want %v, is %v", what, want, got)
}

func simulate(t *testing.T, cfg Config) *results.Run {
	t.Helper()
	run, err := Run(t.Context(), cfg)
	require.NoError(t, err)
	require.True(t, run.Whole)
	return run
}

func TestAServerThatHangsAtTheEndIsWaitedForAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		hang := func(*targets.Request) time.Duration { // from 27 s to 37 s
			if since := time.Since(begun); since >= 27*time.Second {
				return max(37*time.Second-since, 0)
			}
			return 0
		}
		run := simulate(t, Config{Schedule: constant(200, 30*time.Second), Plan: planOf("http://a/"), Client: answersAfter(hang)})
		all := run.Total[""]
		require.EqualValues(t, 6000, all.Count)
		require.Zero(t, run.End.Unfinished)
		requireDuration(t, 9700*time.Millisecond, all.Response.Quantile(0.99), "p99")
		require.Empty(t, run.End.Invalid)
		require.InDelta(t, 37, run.End.Elapsed.Seconds(), 0.01)
	})
}

// A server that answers half a second later has answered two thirds of them by the end.
func TestTheDrainIsNoPartOfTheRateThoughItBeginsWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		objectives, err := slo.ParseAll([]string{"rate>95/s", "achieved>=100%"})
		require.NoError(t, err)
		slow := answersAfter(func(*targets.Request) time.Duration { return 500 * time.Millisecond })
		run := simulate(t, Config{Schedule: constant(100, 1500*time.Millisecond), Plan: planOf("http://a/"), Client: slow, Objectives: objectives})
		require.Equal(t, []results.Verdict{
			{Objective: "rate>95/s", Measured: "66.7/s"}, {Objective: "achieved>=100%", Held: true, Measured: "100%"},
		}, run.End.Verdicts)
		require.EqualValues(t, 150, run.Counts.Completed)
	})
	synctest.Test(t, func(t *testing.T) { // ended early
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		slow := answersAfter(func(*targets.Request) time.Duration { return 500 * time.Millisecond })
		run, err := Run(ctx, Config{Schedule: constant(100, time.Minute), Plan: planOf("http://a/"), Client: slow})
		require.NoError(t, err)
		rate, known := slo.Rate(run)
		require.True(t, known)
		require.InDelta(t, 100/1.5, rate, 1)
		require.Zero(t, run.Series[0].CompletedLate)
	})
}

func TestWhatTheDrainLeavesIsRecordedAtItsElapsedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		hang := func(*targets.Request) time.Duration {
			if time.Since(begun) >= 9*time.Second {
				return time.Hour
			}
			return time.Millisecond
		}
		run := simulate(t, Config{
			Schedule: constant(100, 10*time.Second), Plan: planOf("http://a/"), Client: answersAfter(hang), Drain: 2 * time.Second,
		})
		all := run.Total[""]
		require.EqualValues(t, 1000, all.Count)
		require.EqualValues(t, 100, run.End.Unfinished)
		require.Zero(t, run.End.NeverSent)
		require.EqualValues(t, 100, all.Errors[kindUnfinished])
		// The drain ends 2 s after the schedule; the request of 9 s has waited 3 s by then.
		requireDuration(t, 3000*time.Millisecond, all.Response.Max(), "longest")
		requireDuration(t, 2900*time.Millisecond, all.Response.Quantile(0.99), "p99")
		require.InDelta(t, 12, run.End.Elapsed.Seconds(), 0.01)
	})
}

func TestArrivalsThatNoWorkerTookAreCountedAsNeverSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := simulate(t, Config{
			Schedule: constant(100, time.Second), Plan: planOf("http://a/"), MaxInFlight: 3, Drain: time.Second,
			Client: answersAfter(func(*targets.Request) time.Duration { return time.Hour }),
		})
		require.EqualValues(t, 100, run.Total[""].Count)
		require.EqualValues(t, 100, run.End.Unfinished)
		require.EqualValues(t, 97, run.End.NeverSent)
		require.Len(t, run.End.Invalid, 3)
		require.Contains(t, run.End.Invalid[0], "MaxInFlight")
		requireDuration(t, 2*time.Second, run.Total[""].Response.Max(), "the first waited to the end of the drain")
	})
}

func TestAClientThatDoesNotReturnIsLeftBehindAndCounted(t *testing.T) {
	released := make(chan struct{})
	defer close(released)
	run, err := Run(t.Context(), Config{
		Closed: &Closed{Callers: 2, Requests: 2}, Plan: planOf("http://a/"), Drain: 20 * time.Millisecond,
		Client: ClientFunc(func(context.Context, *targets.Request, *Answer) { <-released }),
	})
	require.NoError(t, err)
	require.EqualValues(t, 2, run.Total[""].Count)
	require.EqualValues(t, 2, run.End.Unfinished)
}

func TestATimeoutCountsAtItsElapsedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := simulate(t, Config{
			Schedule: constant(10, 10*time.Second), Plan: planOf("http://a/"), Timeout: 3200 * time.Millisecond,
			Client: answersAfter(func(*targets.Request) time.Duration { return time.Hour }),
		})
		all := run.Total[""]
		require.EqualValues(t, 100, all.Errors[kindTimeout])
		require.Zero(t, all.Success.Count())
		require.Zero(t, run.End.Unfinished)
		// The watchdog looks 32 times in a timeout.
		require.GreaterOrEqual(t, all.Response.Min(), 3190*time.Millisecond)
		require.LessOrEqual(t, all.Response.Max(), 3310*time.Millisecond)
	})
}

func TestTheNextStepOfAChainIsDueAfterTheMedianOfTheStepBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		plan := targets.Plan{Chains: []targets.Chain{{Steps: []targets.Step{
			{Operation: "first", URL: "http://a/1"}, {Operation: "second", URL: "http://a/2"},
		}}}}
		run := simulate(t, Config{
			Schedule: constant(20, 10*time.Second), Plan: plan,
			Client: answersAfter(func(r *targets.Request) time.Duration {
				if r.Step.Operation == "second" {
					return 5 * time.Millisecond
				}
				if n := asked.Add(1); n >= 150 && n < 160 {
					return time.Second // some stall
				}
				return 10 * time.Millisecond
			}),
		})
		first, second := run.Total["first"], run.Total["second"]
		require.EqualValues(t, 200, first.Count)
		require.EqualValues(t, 200, second.Count)
		requireDuration(t, 5*time.Millisecond, second.Response.Quantile(0.9), "the second step, as a rule")
		// It was due 10 ms after the first, as always, and came 1 s after it.
		requireDuration(t, 995*time.Millisecond, second.Response.Max(), "the second step behind the stall")
		requireDuration(t, 5*time.Millisecond, second.Service.Max(), "its service")
		require.Equal(t, []string{"first", "second"}, run.Header.Targets)
		require.LessOrEqual(t, second.Lag.Max(), 64*time.Nanosecond, "a slow answer is not the harness's lag")
		require.Empty(t, run.End.Invalid)
	})
}

func TestAStepThatFailsEndsItsChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := targets.Plan{Chains: []targets.Chain{{Steps: []targets.Step{
			{Operation: "first", URL: "http://a/1"}, {Operation: "second", URL: "http://a/2"},
		}}}}
		var n atomic.Int64
		run := simulate(t, Config{Schedule: constant(10, time.Second), Plan: plan,
			Client: ClientFunc(func(_ context.Context, r *targets.Request, a *Answer) {
				a.Status = 200
				if r.Step.Operation != "first" {
					return
				}
				switch i := n.Add(1); {
				case i%3 == 0:
					a.Status = 503
				case i%3 == 1:
					a.Err = errors.New("broken")
				}
			})})
		require.EqualValues(t, 10, run.Total["first"].Count)
		require.Equal(t, 10-run.Total["first"].Failed(), run.Total["second"].Count)
		require.Positive(t, run.Total["first"].Errors["status 503"])
		require.Positive(t, run.Total["first"].Errors[kindOther])
	})
}

func TestInAClosedRunRequestsAreDueWhenTheirCallersCouldSendThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := simulate(t, Config{
			Closed: &Closed{Callers: 4, For: 10 * time.Second, Think: 30 * time.Millisecond, WarmUp: 2 * time.Second},
			Plan:   planOf("http://a/"), Client: answersAfter(func(*targets.Request) time.Duration { return 20 * time.Millisecond }),
		})
		require.Equal(t, "closed", run.Header.Model)
		require.Equal(t, 4, run.Header.Callers)
		require.EqualValues(t, 4*200, run.Total[""].Count+run.Warm[""].Count) // 50 ms each
		require.EqualValues(t, 4*40, run.Warm[""].Count)
		requireDuration(t, 20*time.Millisecond, run.Total[""].Response.Max(), "response")
		require.Contains(t, strings.Join(run.End.Notes, " "), "closed model")
		require.Empty(t, run.End.Invalid)
	})
}

func TestAClosedRunMakesAsManyRequestsAsItWasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		client := answersAfter(func(*targets.Request) time.Duration { made.Add(1); return time.Millisecond })
		closed := &Closed{Callers: 7, Requests: 1000}
		run := simulate(t, Config{Closed: closed, Plan: planOf("http://a/"), Client: client})
		require.EqualValues(t, 1000, made.Load())
		require.EqualValues(t, 1000, run.Total[""].Count)

		made.Store(0)
		for worker := range 3 { // each machine its share
			simulate(t, Config{Closed: closed, Plan: planOf("http://a/"), Client: client, Worker: worker, Workers: 3})
		}
		require.EqualValues(t, 1000, made.Load())
	})
}

func TestAScheduleIsDealtOutToMachinesWithoutGapsOrRepetitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := targets.Plan{Data: &targets.Data{Columns: []string{"n"}}, Chains: []targets.Chain{{Steps: []targets.Step{{URL: "http://a/{{n}}"}}}}}
		for n := range 100 {
			plan.Data.Rows = append(plan.Data.Rows, []string{string(rune('0'+n/10)) + string(rune('0'+n%10))})
		}
		var seen [100]atomic.Int64
		for worker := range 3 {
			simulate(t, Config{Schedule: constant(100, time.Second), Plan: plan, Worker: worker, Workers: 3,
				Client: ClientFunc(func(_ context.Context, r *targets.Request, a *Answer) {
					row := r.URL[len("http://a/"):]
					seen[int(row[0]-'0')*10+int(row[1]-'0')].Add(1)
				})})
		}
		for n := range seen {
			require.EqualValues(t, 1, seen[n].Load(), "arrival %d", n)
		}
	})
}

func TestAnInterruptedRunIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		run, err := Run(ctx, Config{
			Schedule: constant(100, time.Minute), Plan: planOf("http://a/"),
			Client: answersAfter(func(*targets.Request) time.Duration { return 500 * time.Millisecond }),
		})
		require.NoError(t, err)
		require.True(t, run.Whole)
		require.Equal(t, "interrupted", run.End.Reason)
		require.InDelta(t, 300, run.Total[""].Count, 1) // what was issued was drained
		require.Equal(t, 3*time.Second, run.End.Issued)
		require.InDelta(t, 3500*time.Millisecond, run.End.Elapsed, 1e7, "with the drain")
		rate, known := slo.Rate(run)
		require.True(t, known)
		require.InDelta(t, 83.3, rate, 0.5, "250 of 300 were answered in the 3 s")
		require.Zero(t, run.End.Unfinished)
		require.Zero(t, run.Total[""].Failed())
		require.Empty(t, run.End.Invalid)
	})
}

func TestTheWarmUpIsKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := &schedule.Spec{WarmUp: 1500 * time.Millisecond, Stages: []schedule.Stage{
			{To: schedule.Rate{Requests: 100, Per: time.Second}, From: schedule.Rate{Per: time.Second}, For: 1500 * time.Millisecond},
			{From: schedule.Rate{Requests: 100, Per: time.Second}, To: schedule.Rate{Requests: 100, Per: time.Second}, For: 2 * time.Second},
		}}
		begun := time.Now()
		run := simulate(t, Config{Schedule: spec, Plan: planOf("http://a/"), Client: answersAfter(func(*targets.Request) time.Duration {
			if time.Since(begun) < 1500*time.Millisecond {
				return 700 * time.Millisecond
			}
			return time.Millisecond
		})})
		require.EqualValues(t, 75, run.Warm[""].Count)
		require.EqualValues(t, 200, run.Total[""].Count)
		requireDuration(t, time.Millisecond, run.Total[""].Response.Max(), "the main part")
		requireDuration(t, 700*time.Millisecond, run.Warm[""].Response.Min(), "the warm-up")
	})
}

func TestMemoryIsFlatOverEightHours(t *testing.T) {
	if testing.Short() {
		t.Skip("fifty thousand simulated requests")
	}
	synctest.Test(t, func(t *testing.T) {
		heap := func() uint64 {
			runtime.GC()
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			return stats.HeapAlloc + stats.StackInuse
		}
		var early, late uint64
		var n atomic.Uint64
		client := answersAfter(func(*targets.Request) time.Duration {
			switch n.Add(1) {
			case 3600: // half an hour
				early = heap()
			case 2*8*3600 - 10:
				late = heap()
			}
			return time.Duration(n.Load()%977) * time.Millisecond
		})
		out, err := results.NewWriter(discard{}, results.Header{})
		require.NoError(t, err)
		run := simulate(t, Config{Schedule: constant(2, 8*time.Hour), Plan: planOf("http://a/", "http://a/b"), Client: client, Out: out})
		require.EqualValues(t, 2*8*3600, run.Total[""].Count)
		require.Less(t, float64(late)-float64(early), 2e6, "after half an hour %d, after eight hours %d", early, late)
		t.Logf("after half an hour %.1f MB, after eight hours %.1f MB", float64(early)/1e6, float64(late)/1e6)
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func TestARunLastsAsLongAsItsSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, spec := range []schedule.Spec{
			schedule.Constant(schedule.Rate{Requests: 1, Per: 10 * time.Second}, 20*time.Second),
			{Stages: []schedule.Stage{{From: schedule.Rate{Requests: 1, Per: time.Second}, To: schedule.Rate{Requests: 1, Per: time.Second}, For: 2 * time.Second}, {For: 18 * time.Second}}},
		} {
			run := simulate(t, Config{Schedule: &spec, Plan: planOf("http://a/"), Client: instant()})
			require.EqualValues(t, 2, run.Counts.Offered)
			require.Equal(t, 20*time.Second, run.End.Elapsed, "or its rate is that of some other time")
		}
	})
}

func TestAHarnessThatStandsStillBetweenArrivalsSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := &waker{
			length: 20 * time.Second, release: func(uint64) {}, now: func() time.Duration { return time.Since(begun) },
			// Each second the process is stopped for half of it, but never when a request is due.
			sleep: func(_ context.Context, until time.Duration) {
				if part := until % time.Second; part >= 300*time.Millisecond && part < 800*time.Millisecond {
					until += 800*time.Millisecond - part
				}
				time.Sleep(until - time.Since(begun))
			},
		}
		var err error
		w.schedule, err = constant(1, w.length).Schedule()
		require.NoError(t, err)
		w.run(t.Context())
		offered, asleep, _, longest := w.account()
		require.EqualValues(t, 20, offered)
		require.Greater(t, asleep, 9*time.Second)
		require.Greater(t, longest, 450*time.Millisecond)
	})
}

func TestAProcessThatStandsStillInTheDrainIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		w := &waker{now: func() time.Duration {
			if since := time.Since(begun); since < 2*time.Second {
				return since
			}
			return time.Since(begun) + time.Second // it was stopped for a second, two seconds into the drain
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		w.attend(ctx)
		_, asleep, drowsed, longest := w.account()
		require.Zero(t, asleep)
		require.Equal(t, time.Second, drowsed)
		require.Equal(t, time.Second, longest)
	})
}
