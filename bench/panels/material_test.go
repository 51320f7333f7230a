package panels

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// anyIntervals are a few seconds of a run, in order, with gaps.
func anyIntervals(t *rapid.T) []results.Interval {
	var all []results.Interval
	second := 0
	for range rapid.IntRange(1, 60).Draw(t, "intervals") {
		second += rapid.IntRange(0, 3).Draw(t, "gap")
		in := results.Interval{Second: second, Phase: results.Main, Offered: rapid.Uint64Range(0, 9).Draw(t, "offered"), Operations: map[string]*results.Operation{}}
		for _, name := range []string{"a", "b"} {
			o := &results.Operation{Response: results.NewHistogram(), Lag: results.NewHistogram()}
			for _, ms := range rapid.SliceOfN(rapid.IntRange(0, 5000), 0, 6).Draw(t, name) {
				o.Count++
				o.Response.Record(time.Duration(ms) * time.Millisecond)
				o.Lag.Record(time.Duration(ms) * time.Microsecond)
			}
			if o.Count > 0 {
				in.Operations[name] = o
				o.Errors = map[string]uint64{"timeout": o.Count / 2}
			}
		}
		if rapid.Bool().Draw(t, "gauged") {
			in.Gauges = &results.Gauges{InFlight: second % 7, CPU: time.Duration(second), Limits: []results.LimitUse{{ID: "w", Used: int64(second % 5), Quota: 5, Refusals: 1}}}
		}
		all = append(all, in)
	}
	return all
}

// slowly is what points of these intervals must be, one stretch after another.
func slowly(t require.TestingT, series []results.Interval, p point) {
	var counted, offered, refusals float64
	failed := uint64(0)
	h, inFlight := results.NewHistogram(), 0
	for _, in := range series {
		if float64(in.Second) < p.at || float64(in.Second) >= p.at+p.length {
			continue
		}
		offered += float64(in.Offered)
		for _, o := range in.Operations {
			counted += float64(o.Count)
			failed += o.Errors["timeout"]
			h.Merge(o.Response)
		}
		if in.Gauges != nil {
			inFlight = max(inFlight, in.Gauges.InFlight)
			refusals += float64(in.Gauges.Limits[0].Refusals)
		}
	}
	require.Equal(t, offered, p.offered)
	require.Equal(t, counted, p.count)
	require.Equal(t, float64(failed), p.failed)
	if counted == 0 {
		require.True(t, math.IsNaN(p.response.p99))
	} else {
		require.Equal(t, quantilesOf(h), p.response, "percentiles are those of all requests")
	}
	if p.gauges != nil {
		require.Equal(t, inFlight, p.gauges.InFlight)
		require.Equal(t, refusals, float64(p.gauges.Limits[0].Refusals))
	}
}

// Invariant of points: in order, at most as many as were asked for, each the exact sum of the
// intervals of its stretch, and together all of them.
func TestFewerPointsAreExactSumsOfAllIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		series, most := anyIntervals(t), rapid.IntRange(1, 20).Draw(t, "most")
		points := pointsOf(&results.Run{Series: series, Step: 1}, most)
		require.LessOrEqual(t, len(points), most)
		require.True(t, slices.IsSortedFunc(points, func(a, b point) int { return int(a.at - b.at) }))
		var offered, all float64
		for _, p := range points {
			slowly(t, series, p)
			offered += p.offered
		}
		for _, in := range series {
			all += float64(in.Offered)
		}
		require.Equal(t, all, offered)
	})
}

func TestNoLineHasMoreThan4000Points(t *testing.T) {
	m := tenMillion()
	m.step, m.seconds, m.rate, m.names = 1, 4801, steady(4), m.names[:1]
	run := m.run()
	require.Len(t, run.Series, 4801)
	d, err := newDocument([]*results.Run{run, run})
	require.NoError(t, err)
	require.Len(t, d.charts, 22)
	for _, c := range d.charts {
		for _, l := range c.Lines {
			require.Len(t, l.Y, len(c.At), "%s: %s", c.ID, l.Name)
			drawn := 0
			for _, y := range l.Y {
				if !math.IsNaN(y) {
					drawn++
				}
			}
			require.LessOrEqual(t, drawn, mostPoints, "%s: %s", c.ID, l.Name)
		}
		require.True(t, slices.IsSorted(c.At), c.ID)
	}
}

func TestWhatIsReadIsNotChanged(t *testing.T) {
	run := usual().run()
	before, err := json.Marshal(run)
	require.NoError(t, err)
	textOf(t, run, run)
	after, err := json.Marshal(run)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	require.Equal(t, textOf(t, run), textOf(t, run), "the same run makes the same page")
}

func TestNumbersKeepFourDigitsAndGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := numbers(rapid.SliceOf(rapid.Float64Range(-1e300, 1e300)).Draw(t, "numbers"))
		text, err := json.Marshal(append(ns, math.NaN(), math.Inf(1), 0.1+0.2, 1234.5678))
		require.NoError(t, err)
		var read []*float64
		require.NoError(t, json.Unmarshal(text, &read))
		require.Len(t, read, len(ns)+4)
		for i, n := range ns {
			require.InEpsilon(t, n+math.Copysign(1e-300, n), *read[i]+math.Copysign(1e-300, n), 0.0006)
		}
		require.True(t, strings.HasSuffix(string(text), "null,null,0.3,1235]"), string(text))
	})
}

func TestTheVerdictSaysFirstWhetherTheFiguresMayBeBelieved(t *testing.T) {
	held, failed := results.Verdict{Objective: "p99<5ms", Held: true}, results.Verdict{Objective: "errors<1%"}
	for _, c := range []struct {
		name             string
		end              results.End
		whole            bool
		running          *results.Snapshot
		tone, word, says string
	}{
		{"crashed", results.End{}, false, nil, "bad", "INCOMPLETE", "crashed, or is still going on"},
		{"invalid and failed", results.End{Invalid: []string{"lag"}, Verdicts: []results.Verdict{failed}}, true, nil, "bad", "INVALID", "not to be quoted"},
		{"failed", results.End{Verdicts: []results.Verdict{held, failed}}, true, nil, "failed", "VALID", "1 of 2 objectives failed."},
		{"one failed", results.End{Verdicts: []results.Verdict{failed}}, true, nil, "failed", "VALID", "The objective failed."},
		{"held", results.End{Verdicts: []results.Verdict{held, held}, Reason: "finished"}, true, nil, "good", "VALID", "all 2 objectives held."},
		{"no objective", results.End{}, true, nil, "good", "VALID", "No objective was set."},
		{"interrupted", results.End{Reason: "interrupted"}, true, nil, "good", "VALID", "It ended early: interrupted."},
		{"running", results.End{}, false, &results.Snapshot{Elapsed: 7 * time.Second}, "busy", "RUNNING", "7 s of 2 min have passed."},
		{"running and invalid", results.End{}, false, &results.Snapshot{Invalid: []string{"lag"}}, "bad", "INVALID so far", "not to be quoted"},
		{"draining", results.End{}, false, &results.Snapshot{Draining: true}, "busy", "RUNNING", "nothing more is sent"},
	} {
		m := &material{header: results.Header{Length: 2 * time.Minute}, end: c.end, whole: c.whole, running: c.running}
		tone, word, sentence, what, reasons := m.verdict()
		require.Equal(t, c.tone, tone, c.name)
		require.Equal(t, c.word, word, c.name)
		require.Contains(t, sentence+" "+what, c.says, c.name)
		require.Equal(t, tone == "bad", len(reasons) > 0, c.name)
	}
}

func TestARunWithoutSuccessSaysSoBesideItsVerdict(t *testing.T) {
	end := results.End{Verdicts: []results.Verdict{{Objective: "p99<5ms", Held: true}, {Objective: "errors<1%"}}}
	m := &material{end: end, whole: true, total: map[string]*results.Operation{"": {Count: 5, Errors: map[string]uint64{"refused": 5}}}}
	tone, word, _, failed, _ := m.verdict()
	require.Equal(t, []string{"failed", "VALID", "No request succeeded. 1 of 2 objectives failed."}, []string{tone, word, failed})
	m.end.Verdicts = end.Verdicts[:1]
	tone, _, _, failed, _ = m.verdict()
	require.Equal(t, []string{"failed", "No request succeeded."}, []string{tone, failed})
	m.running = &results.Snapshot{}
	_, _, _, failed, _ = m.verdict()
	require.Empty(t, failed, "one may succeed yet")
	m.running, m.end.Verdicts, m.total[""].Count = nil, nil, 6
	tone, _, _, failed, _ = m.verdict()
	require.Equal(t, []string{"good", ""}, []string{tone, failed}, "one did")
}

func TestAClosedRunSaysWhatItOmits(t *testing.T) {
	m := usual()
	m.closed, m.invalid = true, []string{"the machine was busy: 61 % of CPU was stolen"}
	text := textOf(t, m.run())
	for _, words := range []string{"It omits what did not arrive", "32 callers each sent", "after 10 ms of thought", "of the instant their caller was free", "Nothing is offered in a closed run", "61 % of CPU was stolen", "INVALID", "/s completed"} {
		require.Contains(t, text, words)
	}
	require.NotContains(t, text, "whether or not earlier ones were answered")
}

func TestTheHeadHasWhatIsNeededToMakeTheRunAgain(t *testing.T) {
	text := strings.ReplaceAll(textOf(t, usual().run()), "\u00a0", " ")
	for _, words := range []string{
		"bench-3, AMD EPYC 7B13, 8 CPUs (8 used by Go), linux/amd64, performance", "go1.26.8", "dd139fe", "<dt>Seed</dt><dd>7</dd>", "2026-11-26 09:30:00 UTC", "b6a1f0e2c4d8",
		"200/s rising to 1,800/s for 2 min; at random, as Poisson has it; the first 10 s are warm-up", "engine, at most 64 connections", "1 of them never sent", "the least they can have taken",
		"and 2,720 of warm-up, in no figure", "p99&lt;250ms", ">failed<", "1.42 s", "Took</dt><dd>2 min 1.4 s",
	} {
		require.Contains(t, text, words)
	}
}

func TestARunOfMillisecondsDidNotTakeNoTime(t *testing.T) {
	run := usual().run()
	run.End.Elapsed = 3 * time.Millisecond
	require.Contains(t, strings.ReplaceAll(textOf(t, run), "\u00a0", " "), "Took</dt><dd>3 ms")
}

func TestLimitsThatAreNotDrawnAreToldOf(t *testing.T) {
	m := usual()
	require.NotContains(t, materialOf("r1", m.run(), mostPoints).limits().Says, "drawn")
	for i := range 50 {
		m.limits = append(m.limits, fmt.Sprintf("limit %d", i))
	}
	p := materialOf("r1", m.run(), mostPoints).limits()
	require.Contains(t, p.Says, "The 7 fullest are drawn.")
	require.Contains(t, p.Tables[0].More, "3 limits more are not listed.")
}

func TestSchedulesAreToldInWords(t *testing.T) {
	stage := func(from, to uint64, per, length time.Duration) schedule.Stage {
		return schedule.Stage{From: schedule.Rate{Requests: from, Per: per}, To: schedule.Rate{Requests: to, Per: per}, For: length}
	}
	for want, h := range map[string]results.Header{
		"500/s for 30 s; evenly spaced":                                           {Schedule: schedule.Spec{Stages: []schedule.Stage{stage(500, 500, time.Second, 30*time.Second)}}},
		"100/s rising to 1,000/s for 30 s, then 1,000/s for 1 min; evenly spaced": {Schedule: schedule.Spec{Stages: []schedule.Stage{stage(100, 1000, time.Second, 30*time.Second), stage(1000, 1000, time.Second, time.Minute)}}},
		"90/min falling to 30/min for 1 h 30 min; at random, as Poisson has it":   {Schedule: schedule.Spec{Poisson: true, Stages: []schedule.Stage{stage(90, 30, time.Minute, 90*time.Minute)}}},
		"7 per 0.25 s for 2 s; evenly spaced; the first 1 s are warm-up":          {WarmUp: time.Second, Schedule: schedule.Spec{Stages: []schedule.Stage{stage(7, 7, 250*time.Millisecond, 2*time.Second)}}},
		"1,200 recorded instants, replayed 2 times as fast":                       {Planned: 1200, Schedule: schedule.Spec{Speed: 2}},
		"32 callers in a loop for 10 s":                                           {Model: "closed", Callers: 32, Length: 10 * time.Second},
		"1 caller in a loop, 500 requests":                                        {Model: "closed", Callers: 1, Planned: 500},
	} {
		require.Equal(t, want, ScheduleText(h))
	}
	long := results.Header{}
	for range 40 {
		long.Schedule.Stages = append(long.Schedule.Stages, stage(1, 1, time.Second, time.Second))
	}
	require.Contains(t, ScheduleText(long), "then 29 more stages")
}

func TestNumbersHaveTheirUnits(t *testing.T) {
	for want, got := range map[string]string{
		"0 ms": millis(0), "725 ns": millis(0.000725), "1.5 µs": millis(0.0015), "850 µs": millis(0.85), "1.23 ms": millis(1.2345), "12.3 ms": millis(12.345), "123 ms": millis(123.45), "1.85 s": millis(1853), "3,600 s": millis(3.6e6), "–": millis(math.NaN()),
		"1,234,568": grouped(1234567.8), "-1,000": grouped(-1000), "0": digits(0), "0.00166": digits(0.00166), "1,000/s": rate(999.96), "12.5/s": rate(12.5),
		"2.4 %": percent(0.024), "950 B": size(950), "1.2 MB": size(1.2e6), "3 TB": size(3e12), "1 request": many(1, "request"), "2,000 requests": many(2000, "request"),
		"90 s": moment(90), "50 min": moment(3000), "1 h 2 min 5 s": moment(3725), "3 h": moment(10800), "a, b and c": listed([]string{"a", "b", "c"}), "5\u00a0ms of 9\u00a0%": tied("5 ms of 9 %"),
		"1st 22nd 3rd 11th": ordinal(1) + " " + ordinal(22) + " " + ordinal(3) + " " + ordinal(11), "äö…": clipped("äöüß", 3),
	} {
		require.Equal(t, want, got)
	}
}

func TestTheKneeIsTheLastRateBelowTwiceTheUsual(t *testing.T) {
	var loads []stretch
	for r := 100.0; r <= 2000; r += 20 {
		p99 := 5.0
		if r > 1500 {
			p99 = 5 + (r-1500)/10
		}
		loads = append(loads, stretch{r, p99})
	}
	last, first, found := knee(levels(loads))
	require.True(t, found)
	require.InDelta(t, 1550, last.rate, 100)
	require.Greater(t, first.rate, last.rate)
	require.Greater(t, first.p99, 10.0)
	require.LessOrEqual(t, len(levels(loads)), mostLevels+1)

	flat := levels([]stretch{{100, 5}, {200, 6}, {300, 5}, {400, 7}})
	_, _, found = knee(flat)
	require.False(t, found, "what never becomes slow has none")
	_, _, found = knee(flat[:2])
	require.False(t, found)
	_, _, found = knee(nil)
	require.False(t, found)
}

func TestErrorsBeyondSevenKindsAreDrawnTogether(t *testing.T) {
	m := usual()
	run := m.run()
	for k := range 12 {
		kind := fmt.Sprintf("kind %02d", k)
		run.Total[""].Errors[kind] = uint64(1000 + k)
		run.Series[50].Operations[m.names[0]].Errors = map[string]uint64{}
		for j := range 12 {
			run.Series[50].Operations[m.names[0]].Errors[fmt.Sprintf("kind %02d", j)] = uint64(1000 + j)
		}
	}
	p := materialOf("r1", run, mostPoints).errors()
	lines := p.Charts[0].Lines
	require.Len(t, lines, mostKinds+1)
	require.Equal(t, "kind 11", lines[0].Name)
	require.Equal(t, "all others", lines[mostKinds].Name)
	require.InDelta(t, 1000+1001+1002+1003+1004, lines[mostKinds].Y[50], 60, "the five kinds that are not drawn, and what else failed in that second")
	require.Len(t, p.Tables[0].Rows, 16)
}

func TestTheTableOfErrorsHasWhatTheFirstOfAKindSaid(t *testing.T) {
	run := usual().run()
	before := materialOf("r1", run, mostPoints).errors().Tables[0]
	require.Len(t, before.Columns, 5)
	run.Total[""].KeepSample("timeout", "its time of 2s was up")
	after := materialOf("r1", run, mostPoints).errors().Tables[0]
	require.Equal(t, column{Name: "First message"}, after.Columns[5])
	for _, row := range after.Rows {
		require.Len(t, row, 6)
		require.Equal(t, row[0].Text == "timeout", row[5] == text("its time of 2s was up"))
	}
}

func TestLimitsSayHowFullTheyWereAndWhenTheServerSaidNo(t *testing.T) {
	run := usual().run()
	run.Series[70].Gauges.Limits[1].Used = run.Series[70].Gauges.Limits[1].Quota * 3
	p := materialOf("r1", run, mostPoints).limits()
	require.Contains(t, p.Says, "The fullest was orders 10 s: 300 % of its quota of 3,000 at 70 s")
	require.Contains(t, p.Says, "In 1 stretch of the run a limit was over its quota.")
	require.Equal(t, "bad", p.Tables[0].Rows[0][2].Tone)
	require.Equal(t, "answers 429 and 418", p.Charts[0].Lines[0].Name)
	var refused float64
	for _, y := range p.Charts[0].Lines[0].Y {
		if !math.IsNaN(y) {
			refused += y
		}
	}
	var want uint64
	for _, in := range run.Series {
		for _, o := range in.Operations {
			want += o.Statuses[429]
		}
	}
	require.NotZero(t, want)
	require.Equal(t, float64(want), refused)
}

func TestACurveEndsAtTheSlowestAndHasNothingBeyond(t *testing.T) {
	few, more := results.NewHistogram(), results.NewHistogram()
	for i := range 1000 {
		more.Record(time.Duration(i) * time.Millisecond)
		if i < 37 {
			few.Record(time.Duration(i) * time.Millisecond)
		}
	}
	few.Record(3 * time.Second)
	xs := nines(few.Count(), more.Count())
	require.True(t, slices.IsSorted(xs))
	for _, h := range []*results.Histogram{few, more} {
		ys, last := curve(h, xs), math.NaN()
		for i, x := range xs {
			require.Equal(t, x > lastNine(h.Count()), math.IsNaN(ys[i]))
			if !math.IsNaN(ys[i]) {
				require.False(t, ys[i] < last, "it never goes down")
				last = ys[i]
			}
		}
		require.Equal(t, inMillis(h.Max()), last)
	}
	require.True(t, numbers(curve(nil, []float64{0, 1})).none())
	require.Empty(t, nines())
}

func TestTimeIsCountedWhileRequestsBegin(t *testing.T) {
	m := usual()
	m.stall = 0
	run := m.run()
	drained := results.Interval{Second: 120, Phase: results.Main, Sent: 3, Completed: 9}
	run.Series = append(run.Series, drained)
	with := materialOf("r1", run, mostPoints).counts()[1]
	require.Equal(t, rate(float64(run.Total[""].Count+9)/110), with.Value, "110 s, without warm-up and drain")
	run.End.Elapsed = 119500 * time.Millisecond // interrupted in its last second
	half := materialOf("r1", run, mostPoints).counts()[1]
	require.Equal(t, rate(float64(run.Total[""].Count+9)/109.5), half.Value)
	run.Series = nil
	require.Equal(t, "–", materialOf("r1", run, mostPoints).counts()[1].Value)
}
