package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/compare"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// writeRun writes a file of results: a minute at 50/s, whose responses take so long, give or
// take a tenth.
func writeRun(t *testing.T, name string, took time.Duration, change func(*results.Header, *results.End)) string {
	t.Helper()
	rate := schedule.Rate{Requests: 50, Per: time.Second}
	header := results.Header{
		Model: "open", Length: time.Minute, Planned: 3000, Client: "engine", Targets: []string{"GET /"},
		Schedule:    schedule.Spec{Stages: []schedule.Stage{{From: rate, To: rate, For: time.Minute}}},
		Environment: results.Environment{Host: "here", CPUs: 2},
	}
	end := results.End{Reason: "finished", Elapsed: time.Minute}
	if change != nil {
		change(&header, &end)
	}
	file := filepath.Join(t.TempDir(), name)
	out, err := results.Create(file, header)
	require.NoError(t, err)
	for second := range 60 {
		op := &results.Operation{Count: 50, Response: results.NewHistogram(), Service: results.NewHistogram()}
		for i := range 50 {
			d := took + took*time.Duration((i+7*second)%21-10)/100
			op.Response.Record(d)
			op.Service.Record(d)
		}
		require.NoError(t, out.Add(results.Interval{
			Second: second, Phase: results.Main, Offered: 50, Sent: 50, Completed: 50,
			Operations: map[string]*results.Operation{"GET /": op}, Gauges: &results.Gauges{CPU: 5 * time.Millisecond},
		}))
	}
	require.NoError(t, out.End(end))
	require.NoError(t, out.Close())
	return file
}

func TestTheCompareVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "compare", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--paired", "--anyway", "--gate", "--threshold", "--json", "Exit codes", "service.p99", "Holm"} {
		require.Contains(t, out, want)
	}
}

func TestWrongCompareFlagsAreExplainedInOneLine(t *testing.T) {
	a := writeRun(t, "a.jsonl", time.Millisecond, nil)
	garbage := filepath.Join(t.TempDir(), "garbage")
	require.NoError(t, os.WriteFile(garbage, []byte("no results\n"), 0o644))
	for _, test := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"say what to compare"}},
		{[]string{a}, []string{"say what to compare"}},
		{[]string{a, a, "--old", a}, []string{"say what to compare"}},
		{[]string{"--old", a}, []string{"say what to compare"}},
		{[]string{a, "missing", "--gate", "allocs"}, []string{"missing", `"allocs" is not measured`}},
		{[]string{a, garbage}, []string{"garbage", "not a file of results"}},
		{[]string{a + "," + a, a, "--paired"}, []string{"make no pairs"}},
		{[]string{a, a, "--threshold", "-5%"}, []string{"no percentage"}},
		{[]string{a, a, "--threshold", "NaN"}, []string{"no percentage"}},
		{[]string{a, a, "--json", filepath.Join(a, "x")}, []string{"x"}},
	} {
		code, out, stderr := sluice(t, append([]string{"compare"}, test.args...)...)
		require.Equal(t, exitUsage, code, test.args)
		require.Empty(t, out)
		for _, want := range test.want {
			require.Contains(t, stderr, want)
		}
		require.Regexp(t, `^sluice: [^\n]*\n(Run [^\n]*\n)?$`, stderr)
	}
}

func TestASlowerRunIsARegressionAndExits97(t *testing.T) {
	old, new := writeRun(t, "old.jsonl", 10*time.Millisecond, nil), writeRun(t, "new.jsonl", 11*time.Millisecond, nil)
	code, out, stderr := sluice(t, "compare", old, new)
	require.Equal(t, exitRegression, code, stderr)
	require.Contains(t, out, "REGRESSION: p50 +10")
	require.Contains(t, stderr, "REGRESSION: p50 +10")
	code, out, stderr = sluice(t, "compare", "--old", old, "--new", old)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "no regression found")
	code, _, _ = sluice(t, "compare", old, new, "--threshold", "20%")
	require.Zero(t, code, "less than the threshold")
	code, _, _ = sluice(t, "compare", old, new, "--gate", "cpu,rate")
	require.Zero(t, code, "not in what is gated")
	code, _, _ = sluice(t, "compare", new, old)
	require.Zero(t, code, "faster is no regression")
}

func TestAComparisonIsWrittenAsJSON(t *testing.T) {
	old, new := writeRun(t, "old.jsonl", 10*time.Millisecond, nil), writeRun(t, "new.jsonl", 11*time.Millisecond, nil)
	code, out, _ := sluice(t, "compare", old, new, "--json", "-")
	require.Equal(t, exitRegression, code)
	var report compare.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, []string{"old.jsonl"}, report.Old)
	require.InDelta(t, 1.1, report.Effects[0].Ratio, 0.02)
	file := filepath.Join(t.TempDir(), "report.json")
	code, out, _ = sluice(t, "compare", old, new, "--json", file)
	require.Equal(t, exitRegression, code)
	require.Contains(t, out, "figure")
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	var again compare.Report
	require.NoError(t, json.Unmarshal(written, &again))
	require.Equal(t, report, again)
}

func TestUnlikeAndInvalidFilesAreRefused(t *testing.T) {
	old := writeRun(t, "old.jsonl", 10*time.Millisecond, nil)
	other := writeRun(t, "other.jsonl", 10*time.Millisecond, func(h *results.Header, _ *results.End) {
		h.Environment.Host, h.Client = "there", "nethttp"
	})
	code, out, stderr := sluice(t, "compare", old, other)
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, stderr, "host: here and there; client: engine and nethttp; --anyway")
	code, out, _ = sluice(t, "compare", old, other, "--anyway")
	require.Zero(t, code)
	require.Contains(t, out, "NOT ALIKE: client: engine and nethttp")
	invalid := writeRun(t, "invalid.jsonl", 10*time.Millisecond, func(_ *results.Header, e *results.End) { e.Invalid = []string{"late"} })
	code, _, stderr = sluice(t, "compare", old, invalid, "--anyway")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "INVALID")
}

func TestSeveralFilesAreComparedAsPairsOrSets(t *testing.T) {
	var old, new string
	for i := range 12 {
		if i > 0 {
			old, new = old+",", new+","
		}
		old += writeRun(t, "old.jsonl", 10*time.Millisecond+time.Duration(i)*10*time.Microsecond, nil)
		new += writeRun(t, "new.jsonl", 11*time.Millisecond+time.Duration(i)*10*time.Microsecond, nil)
	}
	code, out, _ := sluice(t, "compare", old, new, "--paired", "--gate", "p50")
	require.Equal(t, exitRegression, code)
	require.Contains(t, out, "12 old and 12 new side by side")
	code, out, _ = sluice(t, "compare", old, new, "--gate", "p50")
	require.Equal(t, exitRegression, code)
	require.Contains(t, out, "U-test")
}

func TestAComparisonThatCouldHaveFoundNothingDoesNotPass(t *testing.T) {
	files := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, writeRun(t, fmt.Sprint(i, ".jsonl"), time.Millisecond+time.Duration(i)*time.Microsecond, nil))
		}
		return strings.Join(all, ",")
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{files(2), files(2)}, exitInvalid, "5 runs of each side are needed"},
		{[]string{files(3), files(3), "--gate", "p99"}, exitInvalid, "4 runs of each side are needed"},
		{[]string{files(4), files(4), "--gate", "p99"}, 0, "no regression found"},
		{[]string{files(5), files(5)}, 0, "no regression found"},
		{[]string{files(3), files(3), "--paired"}, exitInvalid, "10 pairs are needed"},
		{[]string{files(10), files(10), "--paired"}, 0, "no regression found"},
	} {
		code, out, errs := sluice(t, append([]string{"compare"}, c.args...)...)
		require.Equal(t, c.code, code, "%s%s", out, errs)
		require.Contains(t, out+errs, c.says)
	}
}
