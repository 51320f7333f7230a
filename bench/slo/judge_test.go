package slo

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
)

func histogram(ds ...time.Duration) *results.Histogram {
	h := results.NewHistogram()
	for _, d := range ds {
		h.Record(d)
	}
	return h
}

// measured is a run of 10 s at 100/s after 2 s of warm-up, every one in 3 ms but 20 in 50 ms,
// of which 4 timed out and 2 had a status of 503. Six were sent in the drain.
func measured() *results.Run {
	response := results.NewHistogram()
	response.RecordN(3*time.Millisecond, 980)
	response.RecordN(50*time.Millisecond, 20)
	all := &results.Operation{
		Count: 1000, Errors: map[string]uint64{"timeout": 4, "status 503": 2}, Response: response,
		Service: histogram(time.Millisecond, 2*time.Millisecond), Lag: histogram(10 * time.Microsecond),
	}
	run := &results.Run{
		Header: results.Header{Model: "open", Length: 12 * time.Second, WarmUp: 2 * time.Second},
		Total:  map[string]*results.Operation{"": all, "GET /b": {Count: 1, Response: histogram(time.Second)}},
		Step:   1, Whole: true, End: results.End{Elapsed: 13 * time.Second, Unfinished: 3, NeverSent: 1},
	}
	for second := range 14 {
		in := results.Interval{Second: second, Phase: results.Main, Offered: 100, Sent: 100, Completed: 100}
		switch {
		case second < 2:
			in.Phase = results.WarmUp
		case second == 11:
			in.Sent, in.Completed = 94, 90
		case second == 12:
			in.Offered, in.Sent, in.Completed = 0, 6, 7
		case second == 13:
			in.Offered, in.Sent, in.Completed = 0, 0, 0
		}
		run.Series = append(run.Series, in)
	}
	return run
}

func TestARunIsJudgedByWhatWasMeasured(t *testing.T) {
	for _, test := range []struct {
		text     string
		held     bool
		measured string
	}{
		{"p50<5ms", true, "3"}, {"p99<5ms", false, "50"}, {"p98<=5ms", true, "3"}, {"p(99)<51", true, "50"},
		{"max<1s", true, "50"}, {"max<10ms", false, "50"}, {"min>2ms", true, "2.99"}, {"mean<4ms", true, "3.9"},
		{"service.max<=2.01ms", true, "2"}, {"service.max<1.5ms", false, "2"}, {"lag.p99<2ms", true, "µs"},
		{"errors<0.7%", true, "0.6%"}, {"errors<0.6%", false, "0.6%"}, {"errors<7", true, "6"}, {"errors<6", false, "6"},
		{"errors.timeout<=4", true, "4"}, {"errors.status 503<0.1%", false, "0.2%"}, {"errors.reset<1", true, "0"},
		{"achieved>=99.4%", true, "99.4%"}, {"achieved>99.4%", false, "99.4%"},
		{"rate>=99/s", true, "99.0/s"}, {"rate>99/s", false, "99.0/s"},
		{"unfinished<4", true, "3"}, {"unfinished<3", false, "3"}, {"neversent<1", false, "1"},
		{"GET /b:p99<5ms", false, "1"}, {"GET /b:max<2s", true, "1"}, {"GET /b:errors<1", true, "0"},
	} {
		o, err := Parse(test.text)
		require.NoError(t, err)
		v := o.Judge(measured())
		require.Equal(t, test.held, v.Held, "%s: %s", test.text, v.Measured)
		require.Equal(t, test.text, v.Objective)
		require.Contains(t, v.Measured, test.measured, test.text)
	}
}

func TestWhatWasNotMeasuredHasNotHeld(t *testing.T) {
	run := measured()
	run.Whole = false
	run.Header.Model = "closed"
	for _, text := range []string{
		"connect.p99<5ms", "wait.max>1ms", "GET /b:service.p99<5s", "achieved>1%", "unfinished<10", "neversent<10",
	} {
		o, err := Parse(text)
		require.NoError(t, err)
		require.Equal(t, results.Verdict{Objective: text, Measured: NotMeasured}, o.Judge(run))
	}
	require.False(t, Objective{}.Judge(run).Held, "no objective at all")
	run.Total = nil
	run.Series = nil
	for _, text := range []string{"p99<5ms", "errors<1", "errors<1%", "rate>1/s", "rate<=1000/s"} {
		o, err := Parse(text)
		require.NoError(t, err)
		require.False(t, o.Judge(run).Held, text)
	}
}

func TestAnOperationThatThereIsNotIsSaidBesideThoseThatThereAre(t *testing.T) {
	run := measured()
	run.Header.Targets = []string{"GET /later"}
	for _, text := range []string{"GET /c:p99<5ms", "GET /c:errors<1"} {
		o, err := Parse(text)
		require.NoError(t, err)
		want := results.Verdict{Objective: text, Measured: `not measured: there is no operation "GET /c"; there are "GET /later", "GET /b"`}
		require.Equal(t, want, o.Judge(run))
	}
	o, err := Parse("GET /later:p99<5ms")
	require.NoError(t, err)
	require.Equal(t, NotMeasured, o.Judge(run).Measured, "it is one, and nothing of it came")
}

func TestObjectivesOfOperationsThatThereAreNotAreRefusedBeforeTheRun(t *testing.T) {
	objectives, err := ParseAll([]string{"p99<5ms", "GET /a:p99<5ms", "GET /nope:p99<5ms", "GET /no:errors<1"})
	require.NoError(t, err)
	require.NoError(t, CheckOperations(objectives[:2], []string{"GET /a", "GET /b"}))
	require.EqualError(t, CheckOperations(objectives, []string{"GET /a", "GET /b"}),
		`objective "GET /nope:p99<5ms": there is no operation "GET /nope"; there are "GET /a", "GET /b"`+"\n"+
			`objective "GET /no:errors<1": there is no operation "GET /no"; there are "GET /a", "GET /b"`)
	many := make([]string, 12)
	for i := range many {
		many[i] = string(rune('a' + i))
	}
	require.ErrorContains(t, CheckOperations(objectives[2:], many), `"j", and 2 more`)
}

// A second that has the end of the warm-up counts with the part behind it, and the one in
// which the schedule ends counts whole.
func TestRatesLeaveOutTheWarmUpWithinASecond(t *testing.T) {
	run := &results.Run{Header: results.Header{Model: "open", Length: 1500 * time.Millisecond, WarmUp: 250 * time.Millisecond}, Step: 1}
	for second, n := range []uint64{400, 200, 0} {
		run.Series = append(run.Series, results.Interval{Second: second, Phase: results.Main, Offered: n, Sent: n, Completed: n})
	}
	each, known := Rate(run)
	require.True(t, known)
	require.InDelta(t, 400, each, 1e-9)
	run.Series[1].Sent, run.Series[2].Sent = 100, 100
	share, known := Achieved(run)
	require.True(t, known)
	require.InDelta(t, 0.8, share, 1e-9)
}

// The schedule ends in the middle of a second, and the drain begins there.
func TestTheDrainWithinASecondIsNoPartOfTheRate(t *testing.T) {
	for _, step := range []int{1, 2} {
		run := &results.Run{Header: results.Header{Model: "open", Length: 1500 * time.Millisecond}, Step: step, Whole: true,
			End: results.End{Elapsed: 2 * time.Second, Issued: 1500 * time.Millisecond, Reason: "finished"}}
		run.Series = []results.Interval{
			{Second: 0, Phase: results.Main, Offered: 100, Sent: 100, Completed: 50},
			{Second: 1, Phase: results.Main, Offered: 50, Sent: 50, SentLate: 30, Completed: 100, CompletedLate: 50},
		}
		if step == 2 {
			run.Series = []results.Interval{{Phase: results.Main, Offered: 150, Sent: 150, SentLate: 30, Completed: 150, CompletedLate: 50}}
		}
		rate, known := Rate(run)
		require.True(t, known)
		require.InDelta(t, 100/1.5, rate, 1e-9)
		share, known := Achieved(run)
		require.True(t, known)
		require.InDelta(t, 0.8, share, 1e-9)
	}
}

// Of 20 seconds four were written when it crashed, or was looked at; the file has no end.
func TestTheRateOfAFileWithoutAnEndIsOverWhatItHas(t *testing.T) {
	run := &results.Run{Header: results.Header{Model: "open", Length: 20 * time.Second, WarmUp: time.Second}, Step: 1}
	for second := range 4 {
		run.Series = append(run.Series, results.Interval{Second: second, Phase: results.Main, Offered: 40, Sent: 40, Completed: 40})
	}
	run.Series[0].Phase = results.WarmUp
	for _, model := range []string{"open", "closed"} {
		run.Header.Model = model
		rate, known := Rate(run)
		require.True(t, known)
		require.InDelta(t, 40, rate, 1e-9, model)
	}
	run.Header.Length = 3500 * time.Millisecond // it crashed in its drain
	run.Series[3] = results.Interval{Second: 3, Phase: results.Main, Offered: 20, Sent: 20, Completed: 40, CompletedLate: 20}
	rate, _ := Rate(run)
	require.InDelta(t, 40, rate, 1e-9)
}

func TestAllObjectivesHaveToHold(t *testing.T) {
	objectives, err := ParseAll([]string{"p50<5ms", "p99<5ms"})
	require.NoError(t, err)
	verdicts, held := JudgeAll(objectives, measured())
	require.False(t, held)
	require.Len(t, verdicts, 2)
	verdicts, held = JudgeAll(objectives[:1], measured())
	require.True(t, held)
	require.True(t, verdicts[0].Held)
}

func TestAnObjectiveIsSeenToFailOnceNothingCanMendIt(t *testing.T) {
	run := measured() // 20 of 1000 took 50 ms
	for _, test := range []struct {
		text   string
		coming uint64
		seen   bool
	}{
		{"p99<5ms", 0, true}, {"p99<5ms", 900, true}, {"p99<5ms", 1100, false}, {"p99<5ms", math.MaxUint64, false},
		{"p50<5ms", 0, false}, {"max<10ms", math.MaxUint64, true}, {"max<60ms", 10, false}, {"min>4ms", math.MaxUint64, true},
		{"errors<6", math.MaxUint64, true}, {"errors<7", 0, false}, {"errors<0.5%", 100, true}, {"errors<0.5%", 1000, false},
		{"mean<2ms", 500, true}, {"mean<2ms", 2000, false}, {"p99>1s", 5, true}, {"p99>1s", 500, false}, {"errors>10", 3, true}, {"errors>10", 5, false},
		{"achieved>99.9%", 0, false}, {"rate>1000/s", 0, false}, {"unfinished<1", 0, false}, {"GET /c:p99<5ms", 0, false},
	} {
		o, err := Parse(test.text)
		require.NoError(t, err)
		require.Equal(t, test.seen, o.Seen(run, test.coming), "%s with %d to come", test.text, test.coming)
	}
	require.False(t, Objective{}.Seen(run, 0))
	require.False(t, Objective{}.Seen(nil, 0))
}

// What is seen to fail before the end does fail at the end, whatever comes.
func TestWhatIsSeenToFailFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{
			"p50<5ms", "p99<5ms", "p90<=5ms", "p90>5ms", "max<5ms", "max>5ms", "min<5ms", "min>5ms", "mean<5ms", "mean>=5ms", "errors<5", "errors<20%", "errors>5", "errors>=20%",
		}).Draw(t, "objective")
		o, err := Parse(text)
		require.NoError(t, err)
		op := &results.Operation{Errors: map[string]uint64{}, Response: results.NewHistogram()}
		run := &results.Run{Total: map[string]*results.Operation{"": op}}
		all := rapid.SliceOfN(rapid.IntRange(0, 20), 1, 60).Draw(t, "milliseconds")
		spare := uint64(rapid.IntRange(0, 3).Draw(t, "expected in vain"))
		seen := false
		for i, ms := range all {
			op.Count++
			op.Response.Record(time.Duration(ms) * time.Millisecond)
			if ms > 15 {
				op.Errors["slow"]++
			}
			seen = seen || o.Seen(run, uint64(len(all)-1-i)+spare)
		}
		if seen {
			require.False(t, o.Judge(run).Held)
		}
		if spare == 0 {
			require.Equal(t, !o.Judge(run).Held, o.Seen(run, 0), "with nothing to come, it is seen exactly if it failed")
		}
	})
}

// A drain of three seconds is no part of the rate of a run that was interrupted after two and a
// half; a file that does not say so has the time until its end.
func TestTheDrainOfAnInterruptedRunIsNoPartOfItsRate(t *testing.T) {
	run := &results.Run{Header: results.Header{Model: "open", Length: time.Minute}, Step: 1, Whole: true,
		End: results.End{Elapsed: 5500 * time.Millisecond, Issued: 2500 * time.Millisecond, Reason: "interrupted"}}
	for second, n := range []uint64{20, 20, 10, 0, 0, 1} {
		run.Series = append(run.Series, results.Interval{Second: second, Phase: results.Main, Offered: n, Sent: n, Completed: n})
	}
	rate, known := Rate(run)
	require.True(t, known)
	require.InDelta(t, 20, rate, 1e-9)
	run.End.Issued = 0
	rate, _ = Rate(run)
	require.InDelta(t, 51/5.5, rate, 1e-9)
	run.End.Issued, run.Header.Model = 2500*time.Millisecond, "closed"
	rate, _ = Rate(run)
	require.InDelta(t, 51/5.5, rate, 1e-9, "a closed run's last requests are as much of it as the others")
}
