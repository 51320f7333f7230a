package compare

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// recipe says what a simulated run is like.
type recipe struct {
	seconds   int
	perSecond int
	latency   float64 // milliseconds, the median
	noise     float64 // of a second's latencies, common to all of them
	errors    int     // in each second
	cpu       time.Duration
}

func usual() recipe {
	return recipe{seconds: 60, perSecond: 100, latency: 3, noise: 0.05, cpu: 5300 * time.Microsecond}
}

// run simulates an open run: latencies are lognormal, and what disturbs a second does so to
// half in the next.
func (r recipe) run(seed uint64) *results.Run {
	random := rand.New(rand.NewPCG(seed, 7))
	rate := schedule.Rate{Requests: uint64(r.perSecond), Per: time.Second}
	length := time.Duration(r.seconds+2) * time.Second
	run := &results.Run{
		Header: results.Header{
			Model: "open", Length: length, WarmUp: 2 * time.Second, Client: "engine", Connections: 10, Targets: []string{"GET /a", "GET /b"},
			Schedule:    schedule.Spec{Stages: []schedule.Stage{{From: rate, To: rate, For: length}}, WarmUp: 2 * time.Second},
			Environment: results.Environment{Host: "here", System: "linux/amd64", CPU: "some", CPUs: 2, Procs: 2, Go: "go1"},
		},
		Total: map[string]*results.Operation{"": {Count: uint64(r.seconds * r.perSecond), Errors: map[string]uint64{"timeout": uint64(r.seconds * r.errors)}}}, Step: 1, Whole: true,
		End: results.End{Reason: "finished", Elapsed: length},
	}
	disturbance := 0.0
	for second := range r.seconds + 3 { // the last is the drain
		in := results.Interval{Second: second, Phase: results.Main, Completed: uint64(r.perSecond), Offered: uint64(r.perSecond), Operations: map[string]*results.Operation{}}
		disturbance = 0.5*disturbance + r.noise*random.NormFloat64()
		in.Gauges = &results.Gauges{CPU: time.Duration(float64(r.cpu) * math.Exp(disturbance))}
		switch {
		case second < 2:
			in.Phase = results.WarmUp
			in.Completed = 1_000_000 // which must not count
		case second == r.seconds+2:
			in.Completed, in.Gauges = 0, nil
			run.Series = append(run.Series, in)
			continue
		}
		for i := range r.perSecond {
			name := []string{"GET /a", "GET /b"}[i%2]
			op := in.Operations[name]
			if op == nil {
				op = &results.Operation{Response: results.NewHistogram(), Service: results.NewHistogram(), Errors: map[string]uint64{}}
				in.Operations[name] = op
			}
			took := r.latency * math.Exp(disturbance+0.3*random.NormFloat64())
			op.Count++
			op.Response.Record(time.Duration(took * 1e6))
			op.Service.Record(time.Duration(took * 1e6 / 2))
			if i < r.errors {
				op.Errors["timeout"]++
			}
		}
		run.Series = append(run.Series, in)
	}
	return run
}

func (r recipe) runs(n int, seed uint64) []*results.Run {
	var runs []*results.Run
	for i := range n {
		runs = append(runs, r.run(seed*1000+uint64(i)))
	}
	return runs
}

func worse(t *testing.T, old, new []*results.Run, opts Options) []Figure {
	t.Helper()
	report, err := Runs(old, new, opts)
	require.NoError(t, err)
	var figures []Figure
	for _, e := range report.Regressions() {
		figures = append(figures, e.Figure)
	}
	return figures
}

func TestTheFiguresOfARunAreThoseOfItsMainPart(t *testing.T) {
	r := usual()
	r.errors = 2
	run := r.run(1)
	f := newFiguresOf(secondsOf(run))
	all := results.NewHistogram()
	for _, in := range run.Series[2:] {
		for _, op := range in.Operations {
			all.Merge(op.Response)
		}
	}
	require.InDelta(t, float64(all.Quantile(0.99))/1e3, f.shown(ResponseP99), 1e-6)
	require.InDelta(t, float64(all.Quantile(0.5))/1e3, f.shown(ResponseP50), 1e-6)
	require.InDelta(t, 100, f.shown(Rate), 1e-9)
	require.InDelta(t, 0.02, f.shown(Errors), 1e-12)
	require.InDelta(t, 53, f.shown(CPU), 5)
	run.Header.WarmUp = 2500 * time.Millisecond
	require.Len(t, secondsOf(run), r.seconds-1, "the second with some of the warm-up is left out, and the drain is none")
	run.Series[10].Gauges = nil
	require.True(t, math.IsNaN(newFiguresOf(secondsOf(run)).shown(CPU)), "a second whose CPU nobody read")
}

// Weighting seconds is the same as putting their histograms together.
func TestAWeightedQuantileIsThatOfTheMergedHistograms(t *testing.T) {
	seconds := secondsOf(usual().run(3))
	f := newFiguresOf(seconds)
	random := rand.New(rand.NewPCG(1, 1))
	weights := f.once()
	for range 20 {
		f.draw(weights, random)
		total, merged := 0.0, results.NewHistogram()
		for i, w := range weights {
			total += w
			for range int(w) {
				merged.Merge(seconds[i].response)
			}
		}
		require.Equal(t, float64(len(seconds)), total)
		require.InDelta(t, float64(merged.Quantile(0.99))/1e3, f.of(ResponseP99, weights), 1e-6)
	}
}

func TestALongRunIsDrawnFromFewerPieces(t *testing.T) {
	r := recipe{seconds: 1000, perSecond: 4, latency: 3, noise: 0.05, cpu: time.Millisecond}
	seconds := secondsOf(r.run(1))
	require.LessOrEqual(t, len(seconds), mostSeconds)
	f := newFiguresOf(seconds)
	require.InDelta(t, 4, f.shown(Rate), 1e-9)
}

func TestOneRunWithAnotherFindsWhatBecameSlower(t *testing.T) {
	slower := usual()
	slower.latency = 3.6
	report, err := Runs(usual().runs(1, 1), slower.runs(1, 2), Options{})
	require.NoError(t, err)
	require.Equal(t, Seconds, report.Method)
	require.Equal(t, []Figure{ResponseP50, ResponseP90, ResponseP99}, worse(t, usual().runs(1, 1), slower.runs(1, 2), Options{}))
	require.Empty(t, worse(t, slower.runs(1, 2), usual().runs(1, 1), Options{}), "and nothing in what became faster")
	require.Empty(t, worse(t, usual().runs(1, 1), slower.runs(1, 2), Options{Threshold: 0.5}))
	require.Equal(t, []Figure{ServiceP50}, worse(t, usual().runs(1, 1), slower.runs(1, 2), Options{Gate: []Figure{ServiceP50}}))
	require.Contains(t, fmt.Sprint(report.Notes), "nobody made", "the limit of the method is told")
	var text bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	require.Contains(t, text.String(), "REGRESSION: p50 +")
	require.Regexp(t, `rate +100/s +100/s +\+0.0 %`, text.String())
}

func TestMoreErrorsAndMoreCPUAreFoundInFiles(t *testing.T) {
	failing, burning := usual(), usual()
	failing.errors = 3
	burning.cpu = burning.cpu * 12 / 10
	require.Equal(t, []Figure{Errors}, worse(t, usual().runs(1, 1), failing.runs(1, 1), Options{}))
	require.Equal(t, []Figure{CPU}, worse(t, usual().runs(1, 1), burning.runs(1, 1), Options{}))
}

// Two runs that were refused from beginning to end are alike, and no pass.
func TestRunsThatMostlyFailedAreRefused(t *testing.T) {
	refused := usual()
	refused.errors = 100
	_, err := Runs(refused.runs(1, 1), refused.runs(1, 2), Options{Anyway: true})
	require.EqualError(t, err, "run 1: 6000 of 6000 requests failed, so there is nothing to compare; mostly timeout; make it again where most requests succeed")
	_, err = Runs(refused.runs(1, 1), usual().runs(1, 2), Options{})
	require.ErrorContains(t, err, "run 1: 6000 of 6000", "better than nothing is no measure")
	_, err = Runs(usual().runs(10, 1), append(usual().runs(9, 2), refused.run(3)), Options{Paired: true})
	require.ErrorContains(t, err, "run 20: 6000 of 6000")
	half := usual()
	half.errors = 50
	_, err = Runs(half.runs(1, 1), half.runs(1, 2), Options{})
	require.NoError(t, err, "half of them is not more than half")
}

// What fails from now on is a regression in errors, unless nobody looks for one there.
func TestARunThatNowFailsIsARegressionIfItsErrorsAreGated(t *testing.T) {
	refused := usual()
	refused.errors = 100
	require.Equal(t, []Figure{Errors}, worse(t, usual().runs(1, 1), refused.runs(1, 1), Options{}))
	_, err := Runs(usual().runs(1, 1), refused.runs(1, 1), Options{Gate: []Figure{ResponseP99}})
	require.ErrorContains(t, err, "run 2: 6000 of 6000")
	refused.seconds = 5
	_, err = Runs(usual().runs(1, 1), refused.runs(1, 1), Options{Anyway: true})
	require.ErrorContains(t, err, "run 2: 500 of 500", "in too few seconds to find anything")
}

func TestNothingIsFoundInErrorsWhereThereIsNoRoomForMore(t *testing.T) {
	blocks := func(errors float64) (all []failures) {
		for range 60 {
			all = append(all, failures{errors, 100})
		}
		return all
	}
	for failed, found := range map[float64]bool{0: true, 10: true, 97: false, 100: false} {
		m := compareFailures(blocks(failed), blocks(failed), 1, pairedFailures)
		e := judge([]measured{m}, GateOfRuns, ThresholdOfRuns)[0]
		require.Equal(t, found, e.Findable > 0, "%v %% failed: %+v", failed, e)
		require.LessOrEqual(t, e.Old+e.Findable, 1.0)
		require.Equal(t, !found, e.verdict() == "too little data")
		r := Report{Method: Pairs, Count: [2]int{60, 60}, Effects: []Effect{e}}
		require.Equal(t, found, r.Sees())
		require.Equal(t, "more requests are needed, of which fewer fail", r.Needs())
	}
}

func TestEqualRunsAreSilentAtTheStatedRate(t *testing.T) {
	t.Parallel()
	r := usual()
	r.perSecond = 40
	const experiments = 16
	regressions := 0
	for seed := range uint64(experiments) {
		if len(worse(t, r.runs(1, 2*seed), r.runs(1, 2*seed+1), Options{})) > 0 {
			regressions++
		}
	}
	require.LessOrEqual(t, regressions, 3, "of %d", experiments) // 5 % are 0.8; more than 3 hardly ever
}

// What disturbs a second disturbs those after it, and few seconds hide how much: neither may
// make equal runs look different. The thresholds are taken away, for the rate is of finding
// anything.
func TestEqualRunsAreSilentHoweverFewAndAlikeTheirSecondsAre(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		seconds int
		alike   float64
	}{{10, 0}, {12, 0.5}, {20, 0.8}, {30, 0.5}, {30, 0.8}} {
		const experiments = 60
		anything := 0
		for seed := range uint64(experiments) {
			random := rand.New(rand.NewPCG(seed, 1000*uint64(test.seconds)+uint64(10*test.alike)))
			figures := bySeconds(disturbed(random, test.seconds, test.alike), disturbed(random, test.seconds, test.alike), Options{Seed: seed})
			for _, e := range judge(figures, GateOfRuns, 1e-9) {
				if e.Gated && (e.Regression || e.Improvement) {
					anything++
					break
				}
			}
		}
		deviation := math.Sqrt(alpha * (1 - alpha) / experiments)
		t.Logf("%d seconds, alike by %.1f: anything in %d of %d", test.seconds, test.alike, anything, experiments)
		require.LessOrEqual(t, float64(anything)/experiments, alpha+2.5*deviation, "%+v", test)
	}
}

// disturbed are seconds of equal runs whose latency, rate and CPU are those of one disturbance,
// each like the last by a share.
func disturbed(random *rand.Rand, n int, alike float64) []second {
	const noise, perSecond = 0.05, 30
	var all []second
	disturbance := noise / math.Sqrt(1-alike*alike) * random.NormFloat64()
	for range n {
		disturbance = alike*disturbance + noise*random.NormFloat64()
		s := second{
			response: results.NewHistogram(), service: results.NewHistogram(), length: 1, count: perSecond,
			completed: uint64(1000 * math.Exp(-disturbance)), cpu: time.Duration(5e6 * math.Exp(disturbance)), gauged: true,
		}
		for range perSecond {
			took := math.Exp(disturbance + 0.3*random.NormFloat64())
			s.response.Record(time.Duration(3e6 * took))
			s.service.Record(time.Duration(1e6 * took))
		}
		all = append(all, s)
	}
	return all
}

func TestARunIsNotComparedWithItself(t *testing.T) {
	one, other := usual().run(1), usual().run(2)
	one.Header.ID, other.Header.ID, other.Header.Name = "a", "b", "new"
	_, err := Runs([]*results.Run{one}, []*results.Run{one}, Options{Anyway: true})
	require.ErrorContains(t, err, "run 1 and run 2 are the same run")
	_, err = Runs([]*results.Run{one}, []*results.Run{other, other}, Options{})
	require.ErrorContains(t, err, "run 2 (new) and run 3 (new) are the same run")
	_, err = Runs([]*results.Run{one}, []*results.Run{other}, Options{})
	require.NoError(t, err)
}

func TestPairsAndSetsOfRunsFindTheSame(t *testing.T) {
	slower, few := usual(), usual()
	few.seconds, slower.seconds = 10, 10
	slower.latency = 3.6
	want := []Figure{ResponseP50, ResponseP90, ResponseP99}
	require.Equal(t, want, worse(t, few.runs(12, 1), slower.runs(12, 2), Options{Paired: true}))
	require.Equal(t, want, worse(t, few.runs(8, 1), slower.runs(8, 2), Options{}))
	require.Empty(t, worse(t, few.runs(8, 1), few.runs(8, 2), Options{}))
	report, err := Runs(few.runs(4, 1), slower.runs(4, 2), Options{})
	require.NoError(t, err)
	require.Empty(t, report.Regressions())
	require.Contains(t, fmt.Sprint(report.Notes), "too few for the U-test")
	require.Contains(t, report.Conclusion(), "none could have been")
	_, err = Runs(few.runs(4, 1), slower.runs(3, 2), Options{Paired: true})
	require.ErrorContains(t, err, "make no pairs")
	few.seconds, slower.seconds, slower.latency = 12, 12, 5
	report, err = Runs(few.runs(1, 1), slower.runs(1, 2), Options{})
	require.NoError(t, err)
	require.NotEmpty(t, report.Regressions(), "twelve seconds are enough for seconds")
}

func TestUnlikeRunsAreRefusedWithEveryDifference(t *testing.T) {
	for what, change := range map[string]func(*results.Run){
		"host":            func(r *results.Run) { r.Header.Environment.Host = "there" },
		"CPU":             func(r *results.Run) { r.Header.Environment.CPU = "another" },
		"CPUs":            func(r *results.Run) { r.Header.Environment.CPUs = 4 },
		"GOMAXPROCS":      func(r *results.Run) { r.Header.Environment.Procs = 1 },
		"system":          func(r *results.Run) { r.Header.Environment.System = "plan9/arm" },
		"governor":        func(r *results.Run) { r.Header.Environment.Governor = "powersave" },
		"schedule":        func(r *results.Run) { r.Header.Schedule.Stages[0].To.Requests = 101 },
		"schedule: ":      func(r *results.Run) { r.Header.Schedule.Poisson = true },
		"model":           func(r *results.Run) { r.Header.Model = "closed" },
		"length":          func(r *results.Run) { r.Header.Length = time.Hour },
		"warm-up":         func(r *results.Run) { r.Header.WarmUp = time.Second },
		"callers":         func(r *results.Run) { r.Header.Callers = 3 },
		"think time":      func(r *results.Run) { r.Header.Think = 3 },
		"client":          func(r *results.Run) { r.Header.Client = "fasthttp" },
		"connections":     func(r *results.Run) { r.Header.Connections = 11 },
		"targets":         func(r *results.Run) { r.Header.Targets = nil },
		"machines":        func(r *results.Run) { r.Header.Machines = []string{"a", "b"} },
		"planned":         func(r *results.Run) { r.Header.Planned = 3 },
		"end: finished":   func(r *results.Run) { r.End.Reason = "interrupted" },
		"and crashed":     func(r *results.Run) { r.Whole = false },
		"governor: none ": func(r *results.Run) { r.Header.Environment.Governor = "x" },
	} {
		changed := usual().run(1)
		change(changed)
		old := usual().runs(1, 1)
		_, err := Runs(old, []*results.Run{changed}, Options{})
		var unlike *UnlikeError
		require.ErrorAs(t, err, &unlike, what)
		require.Len(t, unlike.Differences, 1, what)
		require.ErrorContains(t, err, what)
		if what != "host" {
			continue
		}
		report, err := Runs(old, []*results.Run{changed}, Options{Anyway: true})
		require.NoError(t, err)
		require.Equal(t, unlike.Differences, report.Differences)
		var text bytes.Buffer
		require.NoError(t, report.WriteText(&text))
		require.Contains(t, text.String(), "NOT ALIKE: "+unlike.Differences[0])
	}
	same := usual().run(1)
	same.Header.Environment.Go, same.Header.Environment.Commit, same.Header.Targets = "go2", "abc", []string{"GET /b", "GET /a"}
	_, err := Runs(usual().runs(1, 1), []*results.Run{same}, Options{})
	require.NoError(t, err, "what may be compared")
}

func TestInvalidAndEmptyRunsAreRefusedAlways(t *testing.T) {
	invalid, empty := usual().run(1), usual().run(1)
	invalid.End.Invalid = []string{"lag"}
	empty.Total[""].Count = 0
	var refused *InvalidError
	_, err := Runs(usual().runs(1, 1), []*results.Run{invalid}, Options{Anyway: true})
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "run 2 is INVALID")
	_, err = Runs([]*results.Run{empty}, usual().runs(1, 1), Options{Anyway: true})
	require.ErrorContains(t, err, "nothing to compare")
	_, err = Runs(nil, usual().runs(1, 1), Options{})
	require.Error(t, err)
}

func TestWhatIsGatedAndWasNotMeasuredIsTold(t *testing.T) {
	quiet := usual()
	quiet.cpu = 0
	report, err := Runs(quiet.runs(1, 1), quiet.runs(1, 2), Options{})
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(report.Notes), "cpu is gated and was not measured")
}

func TestNamesOfFiguresAreRead(t *testing.T) {
	figures, err := ParseFigures([]string{"p99", " cpu", "p99"}, OfRuns, GateOfRuns)
	require.NoError(t, err)
	require.Equal(t, []Figure{ResponseP99, CPU}, figures)
	figures, err = ParseFigures(nil, OfRuns, GateOfRuns)
	require.NoError(t, err)
	require.Equal(t, GateOfRuns, figures)
	_, err = ParseFigures([]string{"allocs"}, OfRuns, GateOfRuns)
	require.ErrorContains(t, err, `"allocs" is not measured; there are p50`)
}

// Whatever runs are like, a comparison ends with a report that JSON can hold, or refuses.
func TestAnyTwoRunsMakeAReportOrARefusal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		odd := func(name string, id string) *results.Run {
			r := recipe{seconds: rapid.IntRange(0, 25).Draw(t, name+" seconds"), perSecond: rapid.IntRange(0, 4).Draw(t, name+" a second"), latency: rapid.SampledFrom([]float64{0, 1e-9, 3, 1e6}).Draw(t, name+" latency")}
			run := r.run(rapid.Uint64Range(0, 9).Draw(t, name+" seed"))
			run.Header.ID = id
			for i := range run.Series {
				in := &run.Series[i]
				switch rapid.IntRange(0, 9).Draw(t, name+" second") {
				case 0:
					in.Operations = nil
				case 1:
					in.Operations["GET /c"] = &results.Operation{Count: 3, Errors: map[string]uint64{"timeout": 3}}
				case 2:
					in.Gauges = &results.Gauges{CPU: -time.Second}
				case 3:
					in.Completed = 0
				case 4:
					delete(in.Operations, "GET /b")
				}
			}
			return run
		}
		report, err := Runs([]*results.Run{odd("old", "a")}, []*results.Run{odd("new", "b")}, Options{Anyway: true})
		if err != nil {
			require.ErrorContains(t, err, "nothing to compare")
			return
		}
		var text, machine bytes.Buffer
		require.NoError(t, report.WriteText(&text))
		require.NoError(t, report.WriteJSON(&machine))
		require.NotContains(t, text.String(), "NaN")
		for _, e := range report.Effects {
			require.GreaterOrEqual(t, e.P, 0.0)
			require.LessOrEqual(t, e.P, 1.0)
			require.LessOrEqual(t, e.CI.Low, e.CI.High)
			require.False(t, e.Regression && e.Improvement)
		}
	})
}
