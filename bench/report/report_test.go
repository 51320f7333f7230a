package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

var update = flag.Bool("update", false, "write the golden files anew")

var encoded = regexp.MustCompile(`HISTF[A-Za-z0-9+/=]+`)

// hostile is a name that does what it can.
const hostile = "=cmd|' /C calc'!A0 \"q\" \\ \x1b[31mred\u009b2J\r\nsecond,line \u202egnp"

func header() results.Header {
	rate := schedule.Rate{Requests: 100, Per: time.Second}
	return results.Header{
		Format: results.Format, ID: "7f3a", Name: "checkout", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Model: "open",
		Schedule: schedule.Spec{Stages: []schedule.Stage{{From: rate, To: rate, For: 6 * time.Second}}, Poisson: true, Seed: 7, WarmUp: time.Second},
		Planned:  600, Length: 6 * time.Second, WarmUp: time.Second, Client: "engine", Connections: 10, Targets: []string{"GET /b", "GET /a"},
		Objectives: []string{"p99<5ms", "errors<0.1%"},
		Environment: results.Environment{
			Host: "bench-1", System: "linux/amd64", CPU: "A CPU", CPUs: 2, Procs: 2, Go: "go1.26.8", Commit: "abc", Load: 0.25, Governor: "performance",
		},
	}
}

func measured(n, failed int, base time.Duration) *results.Operation {
	o := &results.Operation{
		Response: results.NewHistogram(), Service: results.NewHistogram(), Lag: results.NewHistogram(), Wait: results.NewHistogram(), Success: results.NewHistogram(), Connect: results.NewHistogram(),
		Statuses: map[int]uint64{200: uint64(n - failed), 503: uint64(failed)}, In: uint64(n) * 1500, Out: uint64(n) * 10,
		Stages: results.Stages{Wait: time.Duration(n) * base, Receive: time.Duration(n) * base / 10},
	}
	if failed > 0 {
		o.Errors = map[string]uint64{"status 503": uint64(failed)}
	}
	for i := range n {
		d := base + time.Duration(i)*base/20
		o.Count++
		o.Response.Record(d)
		o.Service.Record(d - base/10)
		o.Lag.Record(time.Duration(i) * time.Microsecond)
		o.Wait.Record(base / 10)
		if i >= failed {
			o.Success.Record(d)
		}
	}
	o.Connect.Record(base)
	return o
}

// sampleRun is six seconds, the first a warm-up, with names of one's choice.
func sampleRun(t require.TestingT, h results.Header, end *results.End, names ...string) *results.Run {
	sum := results.NewSum(h)
	for second := range 7 {
		i := results.Interval{Second: second, Phase: results.Main, Offered: 100, Sent: 100 - uint64(second), Completed: uint64(95 + second), Operations: map[string]*results.Operation{}}
		if second == 0 {
			i.Phase = results.WarmUp
		}
		if second == 6 { // drained
			i.Offered, i.Sent, i.Completed = 0, 10, 10
		} else {
			for at, name := range names {
				o := measured(60-20*at, second%2*3, time.Duration(second+1)*time.Millisecond)
				if o.Failed() > 0 {
					o.KeepSample("status 503", "what was said first of "+name)
				}
				i.Operations[name] = o
			}
		}
		i.Gauges = &results.Gauges{InFlight: second, Connections: 10, CPU: 250 * time.Millisecond, Heap: 1 << 20, Limits: []results.LimitUse{{ID: "weight", Used: 5, Quota: 10}}}
		require.NoError(t, sum.Add(i))
	}
	if end != nil {
		require.NoError(t, sum.End(*end))
	}
	return sum.Run()
}

func goodEnd() *results.End {
	return &results.End{
		Elapsed: 6500 * time.Millisecond, Reason: "finished", Unfinished: 2, NeverSent: 1, Notes: []string{"a note"},
		Verdicts: []results.Verdict{{Objective: "p99<5ms", Measured: "p99=21ms"}, {Objective: "errors<0.1%", Held: true, Measured: "errors=0.01%"}},
	}
}

func everyRun(t require.TestingT) map[string]*results.Run {
	h := header()
	bad := goodEnd()
	bad.Invalid = []string{"lag p99 of 9ms is more than a tenth of response p99", "sent 94 % of what was due"}
	closed := header()
	closed.Model, closed.Schedule, closed.Callers, closed.Think, closed.Objectives = "closed", schedule.Spec{}, 8, 5*time.Millisecond, nil
	alone := closed
	alone.WarmUp = 0
	none := results.NewSum(alone)
	require.NoError(t, none.Add(results.Interval{Phase: results.Main, Offered: 5, Sent: 5, Completed: 5, Operations: map[string]*results.Operation{"GET /a": measured(5, 5, time.Millisecond)}}))
	require.NoError(t, none.End(results.End{Elapsed: time.Second, Reason: "finished"}))
	nasty := header()
	nasty.Name, nasty.Client, nasty.ID, nasty.Targets, nasty.Objectives = hostile, hostile, hostile, []string{hostile}, []string{hostile}
	nasty.Environment.Host, nasty.Environment.CPU = hostile, hostile
	nasty.Machines = []string{hostile}
	return map[string]*results.Run{
		"valid":   sampleRun(t, h, goodEnd(), "GET /a", "GET /b"),
		"invalid": sampleRun(t, h, bad, "GET /a"),
		"torn":    sampleRun(t, h, nil, "GET /a", "GET /b"),
		"closed":  sampleRun(t, closed, &results.End{Elapsed: 6 * time.Second, Reason: "finished"}, "GET /a"),
		"none":    none.Run(),
		"nasty":   sampleRun(t, nasty, &results.End{Reason: hostile, Invalid: []string{hostile}, Notes: []string{hostile}, Verdicts: []results.Verdict{{Objective: hostile, Measured: hostile}}}, hostile, "-"+hostile),
		"empty":   results.NewSum(results.Header{}).Run(),
	}
}

func TestReportsAreAsTheGoldenFilesHaveThem(t *testing.T) {
	for name, run := range everyRun(t) {
		for _, format := range Formats {
			var out bytes.Buffer
			require.NoError(t, Write(&out, format, run, 100), name)
			file := filepath.Join("testdata", name+"."+format)
			// What deflate makes of a histogram may change with Go; its reader is asked below.
			told := encoded.ReplaceAllString(out.String(), "HISTF…")
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(file, []byte(told), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), told, file)
		}
	}
	require.ErrorContains(t, Write(io.Discard, "xml", everyRun(t)["valid"], 0), "none of text, json")
	require.True(t, Known("hlog"))
	require.False(t, Known("xml"))
}

func TestNoNameReachesTheTerminal(t *testing.T) {
	for name, run := range everyRun(t) {
		for _, format := range Formats {
			var out bytes.Buffer
			require.NoError(t, Write(&out, format, run, 80))
			require.True(t, utf8.Valid(out.Bytes()))
			for _, r := range out.String() {
				if r != '\n' && r != '\t' && !(format == "csv" && r == '\r') {
					require.True(t, unicode.IsPrint(r), "%s of %s has %U", format, name, r)
				}
			}
			require.NotContains(t, out.String(), "\nsecond,line", "%s of %s", format, name)
		}
	}
}

func TestTheTextBeginsWithTheVerdictAndFitsItsWidth(t *testing.T) {
	runs := everyRun(t)
	for name, want := range map[string]string{"valid": "VALID\n", "invalid": "INVALID\n  - lag p99 of 9ms", "torn": "INCOMPLETE\n  - the file has no end", "closed": "VALID\n", "none": "VALID\nNO REQUEST SUCCEEDED\n"} {
		for _, width := range []int{1, 60, 80, 132} {
			var out bytes.Buffer
			require.NoError(t, Text(&out, runs[name], width))
			text := out.String()
			require.True(t, strings.HasPrefix(strings.Join(strings.Fields(text), " "), strings.Join(strings.Fields(want), " ")), text)
			for line := range strings.Lines(text) {
				// The table of latencies needs 65 columns and is not broken.
				require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), max(width, 66), "%q", line)
			}
		}
	}
	text := func(name string) string {
		var out bytes.Buffer
		require.NoError(t, Text(&out, runs[name], 100))
		return out.String()
	}
	require.Contains(t, text("valid"), "OBJECTIVES FAILED: 1 of 2\n  FAILED  p99<5ms: measured p99=21ms\n  held    errors<0.1%")
	require.Contains(t, text("valid"), "unfinished  2 had no answer")
	require.Contains(t, text("torn"), "FAILED  p99<5ms: measured not judged")
	require.Contains(t, text("closed"), "is omitted")
	require.Contains(t, text("valid"), "response by percentile")
}

func TestTheOutcomeIsNeverBetterThanTheRun(t *testing.T) {
	runs := everyRun(t)
	o := Judge(runs["valid"])
	require.True(t, o.Valid())
	require.Equal(t, 1, o.Failed())
	require.False(t, Judge(runs["invalid"]).Valid())
	torn := Judge(runs["torn"])
	require.False(t, torn.Valid())
	require.Equal(t, 2, torn.Failed(), "what was not judged has not held")
	require.Len(t, runs["valid"].End.Verdicts, 2, "the run is as it was")
}

func TestTheJSONSaysWhatWasMeasuredInItsUnits(t *testing.T) {
	run := everyRun(t)["valid"]
	var out bytes.Buffer
	require.NoError(t, JSON(&out, run))
	var d document
	in := json.NewDecoder(&out)
	in.DisallowUnknownFields()
	require.NoError(t, in.Decode(&d))
	require.Equal(t, JSONFormat, d.Format)
	require.True(t, d.Verdict.Valid)
	require.Equal(t, 1, d.Verdict.Failed)
	require.InDelta(t, 5, d.Requests.Over, 1e-9)
	require.Equal(t, uint64(500), d.Requests.Offered)
	require.InDelta(t, 100, d.Requests.OfferedRate, 1e-9)
	require.Equal(t, []string{"GET /b", "GET /a"}, []string{d.Operations[0].Name, d.Operations[1].Name}, "as the targets are ordered")
	q := run.Total[""].Response.Quantile(0.99)
	require.InDelta(t, float64(q)/1000, d.All.Response.P99, 1e-6)
	require.Equal(t, uint64(100), d.WarmUp.Count)
	require.Len(t, d.Intervals, 7)
	require.Equal(t, "warmup", d.Intervals[0].Phase)

	nasty := everyRun(t)["nasty"]
	out.Reset()
	require.NoError(t, JSON(&out, nasty))
	require.NoError(t, json.Unmarshal(out.Bytes(), &d))
	require.Equal(t, hostile, d.Run.Name, "a name is itself again")
	require.Equal(t, hostile, d.Operations[0].Name)
}

func TestTheCSVHasARowForEachIntervalAndOperationAndNoFormula(t *testing.T) {
	for name, run := range everyRun(t) {
		var out bytes.Buffer
		require.NoError(t, CSV(&out, run))
		rows, err := csv.NewReader(bytes.NewReader(out.Bytes())).ReadAll()
		require.NoError(t, err)
		require.Equal(t, csvColumns, rows[0])
		require.Equal(t, strings.Count(out.String(), "\n"), strings.Count(out.String(), "\r\n"))
		var offered, count int
		for _, row := range rows[1:] {
			for _, cell := range row {
				if cell != "" {
					require.NotContains(t, "=+-@\t\r", cell[:1], name)
				}
			}
			if row[3] == "" {
				offered++
			} else {
				count++
			}
		}
		require.Equal(t, len(run.Series), offered)
		if name == "valid" {
			require.Equal(t, 12, count)
			require.Equal(t, "100", rows[1][4])
		}
	}
}

func TestHdrHistogramsReaderReadsTheLog(t *testing.T) {
	for name, run := range everyRun(t) {
		var out bytes.Buffer
		require.NoError(t, HistogramLog(&out, run))
		in := hdrhistogram.NewHistogramLogReader(&out)
		sums := map[string]*hdrhistogram.Histogram{}
		for {
			h, err := in.NextIntervalHistogram()
			require.NoError(t, err)
			if h == nil {
				break
			}
			if sums[h.Tag()] == nil {
				sums[h.Tag()] = results.NewHistogram().HDR()
			}
			require.Zero(t, sums[h.Tag()].Merge(h))
			if name == "valid" {
				require.GreaterOrEqual(t, h.StartTimeMs(), run.Header.Started.UnixMilli()+1000)
				require.Equal(t, int64(1000), h.EndTimeMs()-h.StartTimeMs())
			}
		}
		total := run.Total[""]
		if total.Count == 0 {
			require.Empty(t, sums)
			continue
		}
		require.True(t, total.Response.HDR().Equals(sums[""]), name)
		require.True(t, total.Service.HDR().Equals(sums["service"]), name)
		require.True(t, total.Lag.HDR().Equals(sums["lag"]), name)
		require.True(t, total.Wait.HDR().Equals(sums["wait"]), name)
		names := operationsOf(run)
		if len(names) > 1 {
			require.Len(t, sums, 4+len(names))
		}
		if name == "valid" {
			require.True(t, run.Total["GET /a"].Response.HDR().Equals(sums["GET_a"]))
		}
	}
}

func TestBenchstatsReaderReadsTheBenchmarkFormat(t *testing.T) {
	runs := everyRun(t)
	var out bytes.Buffer
	require.NoError(t, Bench(&out, runs["valid"], runs["invalid"], runs["nasty"], runs["empty"]))
	in := benchfmt.NewReader(&out, "report")
	var names, verdicts []string
	for in.Scan() {
		switch r := in.Result().(type) {
		case *benchfmt.Result:
			names = append(names, string(r.Name.Full()))
			verdicts = append(verdicts, r.GetConfig("verdict"))
			for _, unit := range []string{"sec/op", "p50-sec", "p99-sec", "p99.9-sec", "service-p99-sec", "req/s", "errors/req"} {
				v, ok := r.Value(unit)
				require.True(t, ok, unit)
				require.False(t, math.IsNaN(v))
			}
			if len(names) == 1 {
				v, _ := r.Value("p99-sec")
				require.InDelta(t, runs["valid"].Total[""].Response.Quantile(0.99).Seconds(), v, 1e-9)
				require.Equal(t, "A CPU", r.GetConfig("cpu"))
			}
		case *benchfmt.SyntaxError:
			t.Fatal(r)
		}
	}
	require.NoError(t, in.Err())
	require.Equal(t, []string{"Run/op=all-2", "Run/op=GET_b-2", "Run/op=GET_a-2", "Run/op=all-2"}, names[:4])
	require.Equal(t, []string{"VALID", "VALID", "VALID", "INVALID", "INVALID"}, verdicts[:5])
	require.Len(t, names, 7)
	unit, ok := in.Units()[benchfmt.UnitMetadataKey{Unit: "req/s", Key: "better"}]
	require.True(t, ok)
	require.Equal(t, "higher", unit.Value)
}

func TestPrometheussParserReadsTheMetrics(t *testing.T) {
	for name, run := range everyRun(t) {
		var out bytes.Buffer
		require.NoError(t, Prometheus(&out, run))
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(&out)
		require.NoError(t, err, name)
		valid := families["sluice_run_valid"].Metric[0].Gauge.GetValue()
		require.Equal(t, Judge(run).Valid(), valid == 1)
		require.Equal(t, name == "none", families["sluice_run_none_succeeded"].Metric[0].Gauge.GetValue() == 1, name)
		if name != "valid" {
			continue
		}
		response := families["sluice_response_seconds"]
		require.Len(t, response.Metric, 2)
		require.Equal(t, "GET /b", response.Metric[0].Label[0].GetValue())
		require.Equal(t, run.Total["GET /b"].Response.Count(), response.Metric[0].Summary.GetSampleCount())
		require.InDelta(t, run.Total["GET /b"].Response.Quantile(0.99).Seconds(), response.Metric[0].Summary.Quantile[3].GetValue(), 1e-12)
		require.Len(t, families["sluice_objective_held"].Metric, 2)
		require.InDelta(t, 2, families["sluice_requests_unfinished"].Metric[0].Gauge.GetValue(), 0)
	}
}

func TestADiskThatIsFullIsTold(t *testing.T) {
	for _, format := range Formats {
		require.ErrorIs(t, Write(full{}, format, everyRun(t)["valid"], 80), io.ErrShortBuffer, format)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortBuffer }

func TestNoDurationIsWrittenWithAnExponent(t *testing.T) {
	for us, want := range map[float64]string{999.4: "999µs", 999.7: "1.00ms", 1000: "1.00ms", 999_700: "1.00s", 12_345: "12.3ms"} {
		require.Equal(t, want, Microseconds(us))
	}
}

func TestDurationsAndCountsAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 7: "7ns", 999: "999ns", 1500: "1.50µs", 99_960: "100µs", 999_400: "999µs", 999_600: "1.00ms", 12_345_678: "12.3ms",
		999_600_000: "1.00s", 61 * time.Second: "61.0s", 90 * time.Minute: "1h30m0s", -1500: "-1.50µs", math.MinInt64: "-2562047h47m16.854775807s",
	} {
		require.Equal(t, want, Duration(d))
	}
	require.Equal(t, "1,234,567", thousands(1_234_567))
	require.Equal(t, "12", thousands(12))
	require.Equal(t, "1,000/s", Rate(999.96))
	require.Equal(t, "0.50/s", Rate(0.5))
	require.Equal(t, "999 B", size(999))
	require.Equal(t, "1.50 MB", size(1_500_000))
}

func TestNamesBecomeWordsOfTheirOwn(t *testing.T) {
	got := words([]string{"GET /a", "GET  /a", "", "é", "a b\n"})
	require.Equal(t, map[string]string{"GET /a": "GET_a", "GET  /a": "GET_a.2", "": "_", "é": "_.2", "a b\n": "a_b"}, got)
	require.Equal(t, "'=1+1", harmless("=1+1"))
	require.Equal(t, "'-1", harmless("-1"))
	require.Equal(t, `\t=x`, harmless("\t=x"))
	require.Equal(t, "GET /a", harmless("GET /a"))
	require.NotEqual(t, Printable("a\n"), Printable(`a\n`))
}

func FuzzNoTextIsDangerousOncePrintable(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Printable(s) {
			require.True(t, unicode.IsPrint(r))
		}
		for _, r := range harmless(s) {
			require.NotContains(t, "=+-@", string(r))
			break
		}
		require.NotEmpty(t, word(s))
		require.NotContains(t, word(s), " ")
	})
}

// TestEveryNameOfTheJSONIsDocumented reads the package's own documentation.
func TestEveryNameOfTheJSONIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	told := map[string]bool{}
	for _, w := range strings.FieldsFunc(string(doc), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }) {
		told[w] = true
	}
	var out bytes.Buffer
	require.NoError(t, JSON(&out, everyRun(t)["valid"]))
	var d any
	require.NoError(t, json.Unmarshal(out.Bytes(), &d))
	var walk func(v any)
	names := 0
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			for name, one := range v {
				if name == "statuses" || name == "errors" || name == "samples" && told[name] || name == "stages_s" || name == "modules" {
					continue // have names of the run
				}
				require.True(t, told[name], "%s is not in doc.go", name)
				names++
				walk(one)
			}
		}
	}
	walk(d)
	require.Greater(t, names, 80)
}

func TestRatesOfAnInterruptedRunAreOverTheTimeForWhichItIssued(t *testing.T) {
	h := header()
	h.WarmUp, h.Length, h.Schedule.WarmUp = 0, time.Minute, 0
	sum := results.NewSum(h)
	for second, n := range []uint64{20, 20, 11, 0, 0} {
		i := results.Interval{Second: second, Phase: results.Main, Offered: n, Sent: n, Completed: n}
		if n > 0 {
			i.Operations = map[string]*results.Operation{"GET /a": measured(int(n), 0, time.Millisecond)}
		}
		require.NoError(t, sum.Add(i))
	}
	require.NoError(t, sum.End(results.End{Elapsed: 5500 * time.Millisecond, Issued: 2500 * time.Millisecond, Reason: "interrupted"}))
	run := sum.Run()
	var out bytes.Buffer
	require.NoError(t, Text(&out, run, 80))
	require.Contains(t, out.String(), "20.4/s due, 20.4/s sent, 20.4/s completed, over 2.50s")
	out.Reset()
	require.NoError(t, Bench(&out, run))
	require.Contains(t, out.String(), "\t20.4 req/s\n")
	out.Reset()
	require.NoError(t, JSON(&out, run))
	require.Contains(t, out.String(), `"issued_s": 2.5`)
}

// constantRun is of 100 requests a second, 50 of them in the half of a second at its end, and of
// a drain.
func constantRun(t *testing.T, warmUp, length time.Duration, end results.End) *results.Run {
	h := header()
	h.WarmUp, h.Length = warmUp, length
	sum := results.NewSum(h)
	for second := range 8 {
		from := time.Duration(second) * time.Second
		n := 100 * min(max(length-from, 0), time.Second) / time.Second
		i := results.Interval{Second: second, Phase: results.Main, Offered: uint64(n), Sent: uint64(n), Completed: uint64(n), Gauges: &results.Gauges{}}
		if from < warmUp {
			i.Phase = results.WarmUp
		}
		if n > 0 {
			i.Operations = map[string]*results.Operation{"GET /a": measured(int(n), 0, time.Millisecond)}
		}
		require.NoError(t, sum.Add(i))
	}
	require.NoError(t, sum.End(end))
	return sum.Run()
}

func TestChartsHaveNoFallThatIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		warmUp, length time.Duration
		end            results.End
		want           string
	}{
		"whole":              {0, 5 * time.Second, results.End{Elapsed: 8 * time.Second, Issued: 5 * time.Second, Reason: "finished"}, "from second 0 to 5\n"},
		"half a second":      {0, 5500 * time.Millisecond, results.End{Elapsed: 8 * time.Second, Issued: 5500 * time.Millisecond, Reason: "finished"}, "from second 0 to 5\n"},
		"warm-up":            {2 * time.Second, 5 * time.Second, results.End{Elapsed: 8 * time.Second, Reason: "finished"}, "from second 2 to 5, behind the warm-up\n"},
		"warm-up and a half": {1500 * time.Millisecond, 5 * time.Second, results.End{Elapsed: 8 * time.Second, Reason: "finished"}, "from second 2 to 5, behind the warm-up\n"},
		"interrupted":        {0, 7 * time.Second, results.End{Elapsed: 8 * time.Second, Issued: 4700 * time.Millisecond, Reason: "interrupted"}, "from second 0 to 4\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, Text(&out, constantRun(t, c.warmUp, c.length, c.end), 80))
			_, chart, found := strings.Cut(out.String(), "requests due a second, ")
			require.True(t, found)
			require.True(t, strings.HasPrefix(chart, c.want), chart)
			chart, _, _ = strings.Cut(chart, "requests sent")
			require.NotContains(t, chart, "╮", "all seconds are the same")
		})
	}
	var out bytes.Buffer
	require.NoError(t, Text(&out, constantRun(t, 2*time.Second, 3*time.Second, results.End{Elapsed: 3 * time.Second, Reason: "finished"}), 80))
	require.NotContains(t, out.String(), "from second", "one point is no chart")
	for _, warmUp := range []time.Duration{math.MaxInt64, math.MinInt64, math.MaxInt64 - 1} {
		for _, elapsed := range []time.Duration{math.MaxInt64, math.MinInt64, 1} {
			run := constantRun(t, 0, 5*time.Second, results.End{Elapsed: elapsed, Issued: elapsed, Reason: "interrupted"})
			for _, step := range []int{-1, 1, 1 << 60} {
				run.Header.WarmUp, run.Header.Length, run.Step = warmUp, elapsed, step
				require.NotPanics(t, func() { require.NoError(t, Text(&out, run, 80)) })
			}
		}
	}
}

func TestALegendIsOfARow(t *testing.T) {
	o := measured(10, 0, time.Millisecond)
	o.Connect = nil
	run := &results.Run{Total: map[string]*results.Operation{"GET /a": o, "": o}}
	text := func() string {
		var out bytes.Buffer
		require.NoError(t, Text(&out, run, 80))
		return out.String()
	}
	for _, absent := range []string{"set-up of connections", "of those without an error"} {
		require.NotContains(t, text(), absent)
	}
	require.Contains(t, text(), "from the instant due to the end")
	failed := measured(10, 1, time.Millisecond)
	run.Total["GET /a"], run.Total[""] = failed, failed
	for _, present := range []string{"set-up of connections", "of those without an error"} {
		require.Contains(t, text(), present)
	}
}
