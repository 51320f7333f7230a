package compare

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
)

func TestFewerRequestsWithoutErrorsAreNoMoreErrors(t *testing.T) {
	fewer := usual()
	fewer.perSecond = 10
	report, err := Runs(usual().runs(1, 1), fewer.runs(1, 2), Options{Anyway: true, Gate: []Figure{Errors}})
	require.NoError(t, err)
	require.Empty(t, report.Regressions())
	var text bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	require.Regexp(t, `errors +0% +0% +\+0 points +\[\+0 points, \+0 points\] +1.000  held +\+1\.\d\d points, 90 times in 100`, text.String())
}

// Whatever two sides have of requests, however they are compared: without an error there is no
// difference of errors.
func TestWithoutErrorsThereIsNoDifferenceWhateverTheThroughput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "blocks")
		blocks := func(name string) (all []failures) {
			for range n {
				all = append(all, failures{requests: float64(rapid.IntRange(1, 100_000).Draw(t, name))})
			}
			return all
		}
		old, new := blocks("old"), blocks("new")
		for _, compare := range []func(old, new []failures, seed uint64) estimate{pairedFailures, unpairedFailures, secondsFailures} {
			m := compareFailures(old, new, 1, compare)
			e := judge([]measured{m}, []Figure{Errors}, 1e-9)[0]
			require.Zero(t, e.Difference)
			require.Equal(t, 1.0, e.P)
			require.False(t, e.Regression || e.Improvement)
			if !m.weak {
				require.Zero(t, e.CI.Low)
				require.Zero(t, e.CI.High)
			}
		}
	})
}

// secondsFailures has two runs that have nothing but errors compared by their seconds.
func secondsFailures(old, new []failures, seed uint64) estimate {
	figures := bySeconds(failingSeconds(old), failingSeconds(new), Options{Seed: seed})
	for _, m := range figures {
		if m.figure == Errors {
			return m.estimate
		}
	}
	return estimate{ratio: 1, p: 1, weak: true}
}

func failingSeconds(blocks []failures) (all []second) {
	for _, b := range blocks {
		all = append(all, second{
			response: results.NewHistogram(), service: results.NewHistogram(),
			count: uint64(b.requests), errors: uint64(b.errors), completed: uint64(b.requests), length: 1,
		})
	}
	return all
}

func TestAChangeLiesWithinItsInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(fewest, 25).Draw(t, "blocks")
		blocks := func(name string) (all []failures) {
			for range n {
				requests := rapid.IntRange(1, 1000).Draw(t, name+" requests")
				all = append(all, failures{float64(rapid.IntRange(0, min(requests, 5)).Draw(t, name+" errors")), float64(requests)})
			}
			return all
		}
		old, new := blocks("old"), blocks("new")
		for _, compare := range []func(old, new []failures, seed uint64) estimate{pairedFailures, unpairedFailures, secondsFailures} {
			e := judge([]measured{compareFailures(old, new, 1, compare)}, nil, 0.05)[0]
			require.InDelta(t, e.New-e.Old, e.Difference, 1e-9)
			require.LessOrEqual(t, e.CI.Low, e.Difference)
			require.GreaterOrEqual(t, e.CI.High, e.Difference)
		}
		for _, m := range bySeconds(failingSeconds(old), failingSeconds(new), Options{}) {
			require.LessOrEqual(t, m.ci.Low, m.ratio, m.figure)
			require.GreaterOrEqual(t, m.ci.High, m.ratio, m.figure)
		}
	})
}

// Equal shares among unlike numbers of requests are found to differ no more often than stated.
func TestEqualSharesOfErrorsAreSilentAtTheStatedRate(t *testing.T) {
	const experiments = 120
	for name, compare := range map[string]func(old, new []failures, seed uint64) estimate{"pairs": pairedFailures, "seconds": secondsFailures} {
		found := 0
		for seed := range uint64(experiments) {
			random := rand.New(rand.NewPCG(seed, 3))
			draw := func(requests float64) (all []failures) {
				for range 30 {
					all = append(all, failures{distuv.Poisson{Lambda: 0.02 * requests, Src: random}.Rand(), requests})
				}
				return all
			}
			if compare(draw(200), draw(40), seed).p <= alpha {
				found++
			}
		}
		t.Logf("%s: %d of %d", name, found, experiments)
		require.LessOrEqual(t, float64(found)/experiments, alpha+2.5*math.Sqrt(alpha*(1-alpha)/experiments), name)
	}
}

// Errors in every third slice are in no median pair, and are errors all the same.
func TestErrorsOfFewSlicesAreFoundIfTheyAreEnough(t *testing.T) {
	var slices [2][]Slice
	for i := range 60 {
		slices[0] = append(slices[0], Slice{Requests: 1500})
		slices[1] = append(slices[1], Slice{Requests: 1500, Errors: uint64(i % 3 / 2)})
	}
	for _, m := range (AB{}).figures(slices) {
		if m.figure != Errors {
			continue
		}
		e := judge([]measured{m}, GateOfSlices, ThresholdOfSlices)[0]
		require.True(t, e.Regression, "%+v", e)
		require.InDelta(t, 20.0/60/1500, e.Difference, 1e-9)
		return
	}
	t.Fatal("errors were not compared")
}

// What is said to be findable in runs without errors is found that often.
func TestErrorsThatAreSaidToBeFindableAreFound(t *testing.T) {
	const seconds, perSecond, tries = 60, 100, 120
	none := make([]failures, seconds)
	for i := range none {
		none[i].requests = perSecond
	}
	least := findableDifference(0, 0, seconds*perSecond, 1)
	found := 0
	for seed := range uint64(tries) {
		random := rand.New(rand.NewPCG(seed, 11))
		some := make([]failures, seconds)
		for i := range some {
			some[i] = failures{distuv.Poisson{Lambda: least * perSecond, Src: random}.Rand(), perSecond}
		}
		if secondsFailures(none, some, seed).p <= alpha {
			found++
		}
	}
	require.GreaterOrEqual(t, float64(found)/tries, power-0.05)
}

// closedRun is a run of callers whose last answers came a little after its end: an interval
// more, in which nothing was due.
func closedRun(seconds int, length time.Duration) *results.Run {
	r := usual()
	r.seconds = seconds
	run := r.run(1)
	run.Header.Model, run.Header.WarmUp, run.Header.Length = "closed", 0, length
	run.End = results.End{Reason: "finished", Elapsed: time.Duration(seconds)*time.Second + 3*time.Millisecond, Issued: time.Duration(seconds) * time.Second}
	run.Series = run.Series[2:]
	for i := range run.Series {
		run.Series[i].Second, run.Series[i].Phase = i, results.Main
	}
	last := &run.Series[seconds]
	last.Offered, last.Completed, last.Gauges = 0, 4, &results.Gauges{CPU: time.Millisecond}
	return run
}

func TestAnswersBehindTheEndAreNoSecondMore(t *testing.T) {
	for _, length := range []time.Duration{12 * time.Second, 0} { // the second by a number of requests
		f := newFiguresOf(secondsOf(closedRun(12, length)))
		require.Len(t, f.seconds, 12)
		require.InDelta(t, 100, f.shown(Rate), 1e-9)
		require.True(t, isMeasured(f.shown(CPU)))
	}
	report, err := Runs([]*results.Run{closedRun(9, 9*time.Second)}, []*results.Run{closedRun(9, 9*time.Second)}, Options{})
	require.NoError(t, err)
	require.Equal(t, [2]int{9, 9}, report.Count)
	require.Contains(t, report.Notes[len(report.Notes)-1], "at least 10 are needed")
}

func TestWhatIsDueBehindTheEndCountsInTheLastSecond(t *testing.T) {
	run := closedRun(12, 12*time.Second)
	late := &results.Operation{Count: 2, Errors: map[string]uint64{"timeout": 1}, Response: results.NewHistogram(), Service: results.NewHistogram()}
	late.Response.Record(time.Minute)
	run.Series[12].Operations = map[string]*results.Operation{"GET /late": late}
	f := newFiguresOf(secondsOf(run))
	require.Len(t, f.seconds, 12)
	require.InDelta(t, 1.0/1202, f.shown(Errors), 1e-12)
	require.EqualValues(t, 102, f.seconds[11].count)
}
