package results

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/schedule"
)

func header() Header {
	return Header{
		ID: "run-1", Name: "a \"name\"\nof two lines", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Model: "open",
		Schedule: schedule.Spec{
			Stages: []schedule.Stage{{From: schedule.Rate{Requests: 100, Per: time.Second}, To: schedule.Rate{Requests: 100, Per: time.Second}, For: time.Minute}},
			Seed:   7,
		},
		Planned: 6000, Length: time.Minute, Client: "engine", Targets: []string{"GET /a", "GET /b"},
		Environment: Environment{Host: "one", Modules: map[string]string{"m": "v1"}},
	}
}

// operation has n answers around d, and some errors.
func operation(n int, d time.Duration) *Operation {
	o := &Operation{Response: NewHistogram(), Service: NewHistogram(), Lag: NewHistogram(), Wait: NewHistogram(), Success: NewHistogram()}
	for i := range n {
		o.Count++
		late := time.Duration(i) * time.Microsecond
		o.Response.Record(d + late)
		o.Service.Record(d)
		o.Lag.Record(late)
		o.Wait.Record(late / 2)
		o.In += 10
	}
	o.Statuses = map[int]uint64{200: uint64(n)}
	if n > 3 {
		o.Errors = map[string]uint64{"timeout": 1}
	}
	o.Stages = Stages{Wait: d * time.Duration(n), Queue: time.Microsecond}
	return o
}

func interval(second int, phase Phase, n int) Interval {
	return Interval{
		Second: second, Phase: phase, Offered: uint64(n), Sent: uint64(n), Completed: uint64(n),
		Operations: map[string]*Operation{"GET /a": operation(n, time.Millisecond), "GET /b": operation(n/2, time.Second)},
		Gauges:     &Gauges{InFlight: n, CPU: time.Millisecond, Limits: []LimitUse{{ID: "weight", Used: int64(n), Quota: 100, Refusals: 1}}},
	}
}

// drawnIntervals have seconds in any order, some several times.
func drawnIntervals(t *rapid.T, most int) []Interval {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Interval {
		phase := rapid.SampledFrom([]Phase{WarmUp, Main}).Draw(t, "phase")
		return interval(rapid.IntRange(0, most).Draw(t, "second"), phase, rapid.IntRange(0, 12).Draw(t, "n"))
	}), 0, 30).Draw(t, "intervals")
}

func written(t require.TestingT, h Header, intervals []Interval, end *End) []byte {
	var out bytes.Buffer
	w, err := NewWriter(&out, h)
	require.NoError(t, err)
	for _, i := range intervals {
		require.NoError(t, w.Add(i))
	}
	if end != nil {
		require.NoError(t, w.End(*end))
	}
	return out.Bytes()
}

func TestAFileHasWhatWasWritten(t *testing.T) {
	end := End{Elapsed: 3 * time.Second, Reason: "finished", Unfinished: 2, Invalid: []string{"x"}, Verdicts: []Verdict{{Objective: "p99<5ms", Held: true, Measured: "p99=1ms"}}}
	run, err := Read(bytes.NewReader(written(t, header(), []Interval{interval(0, WarmUp, 5), interval(1, Main, 10), interval(1, Main, 1), interval(3, Main, 2)}, &end)))
	require.NoError(t, err)
	want := header()
	want.Format = Format
	require.Equal(t, want, run.Header)
	require.Equal(t, end, run.End)
	require.True(t, run.Whole)
	require.Equal(t, 1, run.Step)
	require.Len(t, run.Series, 4)
	require.Equal(t, []Phase{WarmUp, Main, Main, Main}, []Phase{run.Series[0].Phase, run.Series[1].Phase, run.Series[2].Phase, run.Series[3].Phase})
	require.Equal(t, uint64(11), run.Series[1].Offered)
	require.Equal(t, 10, run.Series[1].Gauges.InFlight)
	require.Equal(t, uint64(13), run.Total["GET /a"].Count)
	require.Equal(t, uint64(13+5+1), run.Total[""].Count)
	require.Equal(t, uint64(7), run.Warm[""].Count)
	require.Equal(t, uint64(2), run.Total[""].Failed())
	require.Equal(t, uint64(19), run.Total[""].Response.Count())
	require.InDelta(t, 1, run.Total["GET /b"].Service.Max().Seconds(), 0.001)
	require.Nil(t, run.Total[""].Connect)
}

// TestAnyOrderAndAnySplitAddUpToTheSame compares with adding everything up by second, slowly.
func TestAnyOrderAndAnySplitAddUpToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		intervals := drawnIntervals(t, rapid.SampledFrom([]int{5, 3000, 100_000}).Draw(t, "most"))
		run, err := Read(bytes.NewReader(written(t, header(), intervals, nil)))
		require.NoError(t, err)
		require.False(t, run.Whole)
		require.LessOrEqual(t, len(run.Series), MostIntervals)
		require.Equal(t, run.Step&(run.Step-1), 0)
		for at, got := range run.Series {
			require.Equal(t, at*run.Step, got.Second)
			var offered, count uint64
			response := NewHistogram()
			for _, i := range intervals {
				if i.Second/run.Step != at {
					continue
				}
				offered += i.Offered
				for _, o := range i.Operations {
					count += o.Count
					response.Merge(o.Response)
				}
			}
			require.Equal(t, offered, got.Offered)
			require.Equal(t, count, got.All().Count)
			if count > 0 {
				requireEqualHistograms(t, response, got.All().Response)
			}
		}
		var main, warm uint64
		for _, i := range intervals {
			for _, o := range i.Operations {
				if i.Phase == Main {
					main += o.Count
				} else {
					warm += o.Count
				}
			}
		}
		var counts, warmCounts Counts
		for _, i := range intervals {
			of := &counts
			if i.Phase == WarmUp {
				of = &warmCounts
			}
			of.Add(Counts{Offered: i.Offered, Sent: i.Sent, Completed: i.Completed})
		}
		require.Equal(t, counts, run.Counts)
		require.Equal(t, warmCounts, run.WarmCounts)
		require.Equal(t, main, run.Total[""].Count)
		require.Equal(t, warm, run.Warm[""].Count)
	})
}

func TestADaysIntervalsStayFewAndSmall(t *testing.T) {
	sum := NewSum(header())
	one := Interval{Phase: Main, Operations: map[string]*Operation{"a": operation(20, time.Millisecond)}, Offered: 1}
	for one.Second = range 86_400 {
		require.NoError(t, sum.Add(one))
	}
	run := sum.Run()
	require.Equal(t, 64, run.Step)
	require.Len(t, run.Series, 86_400/64)
	held := 0
	for i := range run.Series {
		require.Equal(t, uint64(64), run.Series[i].Offered)
		for _, h := range run.Series[i].Operations["a"].histograms() {
			if *h != nil {
				require.Nil(t, (*h).table)
				held += len((*h).packed)
			}
		}
	}
	require.Less(t, held, 2<<20)
	require.Equal(t, &run.Series[7].Operations["a"].Response.packed[0], &sum.slots[7].Operations["a"].Response.packed[0], "shared, not copied")
}

func TestManyOperationsMakeFewerIntervalsAndNotMoreMemory(t *testing.T) {
	sum := NewSum(header())
	o := operation(100, time.Millisecond)
	o.Success = o.Response
	i := Interval{Phase: Main, Offered: 1, Operations: map[string]*Operation{}}
	for at := range 100 {
		i.Operations[fmt.Sprint("operation ", at)] = o
	}
	for i.Second = range 300 {
		require.NoError(t, sum.Add(i))
		if i.Second%37 > 0 {
			continue
		}
		held := 0
		for _, slot := range sum.slots {
			for _, o := range slot.Operations {
				held += o.size()
			}
		}
		require.Equal(t, held, sum.held)
		require.LessOrEqual(t, held, mostHeld+1<<20)
	}
	run := sum.Run()
	require.Greater(t, run.Step, 1)
	require.Greater(t, len(run.Series), fewestIntervals/2)
	var offered, count uint64
	for _, i := range run.Series {
		offered += i.Offered
		count += i.All().Count
		for _, o := range i.Operations {
			require.Equal(t, &o.Success.packed[0], &o.Response.packed[0])
			break
		}
	}
	require.Equal(t, uint64(300), offered)
	require.Equal(t, run.Total[""].Count, count)
}

func TestAFarSecondCostsNoMoreThanANearOne(t *testing.T) {
	run, err := Read(strings.NewReader(string(written(t, header(), []Interval{interval(0, Main, 3), interval(1<<50, Main, 2)}, nil))))
	require.NoError(t, err)
	require.LessOrEqual(t, len(run.Series), MostIntervals)
	require.Equal(t, uint64(5), run.Series[0].Offered+run.Series[len(run.Series)-1].Offered)
}

func TestATornLastLineIsLeftOut(t *testing.T) {
	whole := written(t, header(), []Interval{interval(0, Main, 5), interval(1, Main, 5)}, &End{Reason: "finished"})
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for cut := len(lines[0]); cut < len(whole); cut += 7 {
		run, err := Read(bytes.NewReader(whole[:cut]))
		require.NoError(t, err, cut)
		require.Equal(t, cut >= len(whole)-1, run.Whole, cut)
		complete := 0
		for at, l := range lines[1:3] {
			if cut >= len(bytes.Join(lines[:at+2], nil))-1 && len(l) > 0 {
				complete++
			}
		}
		require.Equal(t, uint64(complete*7), run.Total[""].Count, cut)
	}
	run, err := Read(bytes.NewReader(append(bytes.Join(lines[:2], nil), make([]byte, 4096)...)))
	require.NoError(t, err, "a file system may leave zeros")
	require.False(t, run.Whole)
	require.Equal(t, uint64(7), run.Total[""].Count)
}

func TestWhatIsForeignNewerOrBrokenIsRefusedInOneLine(t *testing.T) {
	good := string(written(t, header(), nil, nil))
	for text, want := range map[string]string{
		"":                                     "does not begin with a line of sluice-results/1",
		"GET http://a\n":                       "does not begin with",
		"{}\n":                                 "does not begin with",
		`{"format":"sluice-results/2"}` + "\n": `it is of version "2", and this program reads sluice-results/1`,
		`{"format":"` + "sluice-results/2\\u001b[31m" + `"}` + "\n":                         `reads sluice-results/1`,
		`{"format":"sluice-results/1","id":7}` + "\n":                                       "line 1: the file of results is broken",
		`{"format":"sluice-results/1","id":"`:                                               "only half of its first line",
		good + "{}\n":                                                                       "line 2: the file of results is broken: it is neither",
		good + "rubbish\n" + good:                                                           "line 2",
		good + `{"interval":{"s":-1,"phase":"main"}}` + "\n":                                "before the run",
		good + `{"interval":{"s":1,"phase":"x"}}` + "\n":                                    "neither",
		good + `{"interval":{"s":1,"phase":"main","ops":{"":{}}}}` + "\n":                   "no name",
		good + `{"interval":{"s":1,"phase":"main","ops":{"a":{"response":"AAAA"}}}}` + "\n": "a histogram cannot be read",
		good + `{"end":{}}` + "\n" + `{"end":{}}` + "\n":                                    "line 3: the file of results is broken: the run ends twice",
		good + `{"end":{},"interval":{"s":1,"phase":"main"}}` + "\n":                        "neither",
		"\x1f\x8bnot compressed":                                                            "compression",
	} {
		_, err := Read(strings.NewReader(text))
		require.ErrorContains(t, err, want, text)
		require.True(t, errors.Is(err, ErrFormat) || errors.Is(err, ErrCorrupt), text)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), "\x1b")
	}
	_, err := Read(strings.NewReader(strings.Repeat("x", mostLine+10)))
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = Read(io.MultiReader(strings.NewReader(good), failing{}))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestFilesAreCompressedByTheirNamesAndReadByTheirBytes(t *testing.T) {
	dir := t.TempDir()
	sizes := map[string]int64{}
	for _, name := range []string{"a.jsonl", "a.jsonl.gz"} {
		path := filepath.Join(dir, name)
		w, err := Create(path, header())
		require.NoError(t, err)
		for second := range 100 {
			require.NoError(t, w.Add(interval(second, Main, 10)))
		}
		torn, err := Open(path)
		require.NoError(t, err, "while it is written")
		require.Equal(t, uint64(1500), torn.Total[""].Count)
		require.False(t, torn.Whole)
		require.NoError(t, w.End(End{Reason: "finished"}))
		require.NoError(t, w.Close())
		require.ErrorIs(t, w.Add(interval(1, Main, 1)), os.ErrClosed)
		run, err := Open(path)
		require.NoError(t, err)
		require.True(t, run.Whole)
		require.Equal(t, uint64(1500), run.Total[""].Count)
		info, err := os.Stat(path)
		require.NoError(t, err)
		sizes[name] = info.Size()
	}
	require.Less(t, sizes["a.jsonl.gz"], sizes["a.jsonl"]/3)
	_, err := Open(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), []byte("hello\n"), 0o600))
	_, err = Open(filepath.Join(dir, "other"))
	require.ErrorContains(t, err, "other: ")
	_, err = Create(filepath.Join(dir, "missing", "a"), header())
	require.Error(t, err)
}

// taking takes so many bytes, and then no more.
type taking struct {
	room   int
	err    error
	writes int
}

func (w *taking) Write(p []byte) (int, error) {
	w.writes++
	n := min(w.room, len(p))
	w.room -= n
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

func TestAWriteThatFailsOrIsShortIsToldAndNothingFollowsIt(t *testing.T) {
	for _, cause := range []error{errors.New("disk full"), nil} {
		to := &taking{room: 2000, err: cause}
		w, err := NewWriter(to, header())
		require.NoError(t, err)
		for err == nil {
			err = w.Add(interval(1, Main, 3))
		}
		if cause == nil {
			cause = io.ErrShortWrite
		}
		require.ErrorIs(t, err, cause)
		writes := to.writes
		require.ErrorIs(t, w.End(End{}), cause)
		require.ErrorIs(t, w.Add(interval(1, Main, 3)), cause)
		require.Equal(t, writes, to.writes)
	}
	_, err := NewWriter(&taking{err: io.ErrClosedPipe}, header())
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestALineIsOneWriteAndLinesOfSeveralDoNotMix(t *testing.T) {
	to := &counting{}
	w, err := NewWriter(to, header())
	require.NoError(t, err)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for second := range 20 {
				if err := w.Add(interval(second, Main, i+1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, w.End(End{}))
	require.Error(t, w.End(End{}))
	require.Error(t, w.Add(Interval{Second: -1, Phase: Main}))
	require.Equal(t, 8*20+2, to.writes)
	run, err := Read(bytes.NewReader(to.Bytes()))
	require.NoError(t, err)
	require.Equal(t, uint64(20*(1+2+3+4+5+6+7+8)), run.Total["GET /a"].Count)
}

type counting struct {
	bytes.Buffer
	writes int
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes++
	return c.Buffer.Write(p)
}

func TestARunOfTenMillionRequestsMakesAFileOfAFewMegabytes(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, header())
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	o := &Operation{Count: 20_000, Response: NewHistogram(), Service: NewHistogram(), Lag: NewHistogram(), Wait: NewHistogram(), Success: NewHistogram()}
	for range 20_000 {
		d := time.Duration(300_000 * (1 + random.ExpFloat64()))
		for _, h := range []*Histogram{o.Response, o.Service, o.Success} {
			h.Record(d)
		}
		o.Lag.Record(time.Duration(50_000 * random.ExpFloat64()))
		o.Wait.Record(time.Duration(5_000 * random.ExpFloat64()))
	}
	require.NoError(t, w.Add(Interval{Phase: Main, Operations: map[string]*Operation{"GET /": o}}))
	t.Logf("%d bytes for a second of 20,000 requests", out.Len())
	require.Less(t, out.Len(), 20_000, "500 of them are 10 MB")
}

func FuzzReadingEitherFailsOrGivesARunThatCanBeWrittenAgain(f *testing.F) {
	f.Add(written(f, header(), []Interval{interval(0, WarmUp, 1), interval(9000, Main, 2)}, &End{Reason: "finished"}))
	f.Add([]byte(`{"format":"sluice-results/1"}` + "\n" + `{"interval":{"s":3,"phase":"main","ops":{"a":null,"b":{"response":""}},"gauges":{"limits":[{"id":"x"}]}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		run, err := Read(bytes.NewReader(raw))
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(run.Series), MostIntervals)
		other := *run
		other.Header.Environment.Host += " and another"
		merged, err := Merge(run, &other)
		require.NoError(t, err)
		require.GreaterOrEqual(t, merged.Total[""].Count, run.Total[""].Count)
		again := written(t, run.Header, nil, &run.End)
		_, err = Read(bytes.NewReader(again))
		require.NoError(t, err)
		_ = fmt.Sprint(run.Total[""].Response.Quantiles())
	})
}
