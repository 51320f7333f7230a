package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
)

// aFile writes results of 300 requests in three seconds.
func aFile(t *testing.T, dir, name, id, host string, end *results.End, objectives ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	w, err := results.Create(path, results.Header{
		ID: id, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Model: "open", Planned: 300, Length: 3 * time.Second, Client: "engine",
		Targets: []string{"GET /a"}, Objectives: objectives, Environment: results.Environment{Host: host, Procs: 2},
	})
	require.NoError(t, err)
	o := &results.Operation{Count: 100, Response: results.NewHistogram(), Service: results.NewHistogram(), Lag: results.NewHistogram()}
	for i := range 100 {
		o.Response.Record(time.Duration(i+1) * time.Millisecond)
		o.Service.Record(time.Duration(i+1) * time.Millisecond)
		o.Lag.Record(time.Microsecond)
	}
	for second := range 3 {
		require.NoError(t, w.Add(results.Interval{
			Second: second, Phase: results.Main, Offered: 100, Sent: 100, Completed: 100, Operations: map[string]*results.Operation{"GET /a": o},
		}))
	}
	if end != nil {
		require.NoError(t, w.End(*end))
	}
	require.NoError(t, w.Close())
	return path
}

func finished() *results.End { return &results.End{Elapsed: 3 * time.Second, Reason: "finished"} }

func TestTheReportVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "report", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "Exit codes", "--format", "--out", "benchstat", "98", "99", "html", "hlog", "prom", "csv"} {
		require.Contains(t, out, want)
	}
}

func TestWrongReportFlagsAreExplainedInOneLine(t *testing.T) {
	dir := t.TempDir()
	good := aFile(t, dir, "a.jsonl", "1", "one", finished())
	other := aFile(t, dir, "b.jsonl", "2", "one", finished())
	foreign := filepath.Join(dir, "foreign")
	require.NoError(t, os.WriteFile(foreign, []byte("hello\n"), 0o600))
	for want, args := range map[string][]string{
		"no file of results is given":            {},
		`"xml" is none of html, text`:            {"--format", "xml", good},
		"no such file":                           {filepath.Join(dir, "missing")},
		"is a folder":                            {dir},
		"are the same file":                      {good, filepath.Join(dir, ".", "a.jsonl"), dir + "/./a.jsonl"},
		`"-" is given twice`:                     {"-", "-"},
		"is one of the files to be read":         {good, "-o", good},
		"foreign: not a file of results":         {foreign},
		"--format csv is of one run":             {good, other, "--format", "csv"},
		"missing/report.txt: no such file":       {good, "-o", filepath.Join(dir, "missing", "report.txt")},
		"no file of results is given; --format ": {"--format", "xml"},
	} {
		code, out, stderr := sluice(t, append([]string{"report"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, want, args)
		require.Equal(t, 2, strings.Count(stderr, "\n"), stderr)
	}
	run, err := results.Open(good)
	require.NoError(t, err)
	require.True(t, run.Whole, "what was read is as it was")
}

func TestARunIsReportedInEveryFormat(t *testing.T) {
	dir := t.TempDir()
	file := aFile(t, dir, "run.jsonl.gz", "1", "one", finished())
	for format, want := range map[string]string{
		"text": "VALID\n", "json": `"format": "sluice-report/1"`, "csv": "second,seconds,phase", "hlog": "#[Histogram log format version",
		"bench": "BenchmarkRun/op=all-2\t300", "prom": "sluice_run_valid 1", "html": "<!doctype html>",
	} {
		code, out, stderr := sluice(t, "report", file, "--format", format)
		require.Zero(t, code, stderr)
		require.Empty(t, stderr)
		require.Contains(t, strings.ToLower(out), strings.ToLower(want))
		to := filepath.Join(dir, "out."+format)
		args := []string{"report", file, "-o", to}
		if format == "text" {
			args = append(args, "--format", "text")
		}
		code, told, stderr := sluice(t, args...)
		require.Zero(t, code, stderr)
		require.Empty(t, told)
		written, err := os.ReadFile(to)
		require.NoError(t, err)
		require.Equal(t, out, string(written), "the name's end says the format")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "out.hlog"))
	require.NoError(t, err)
	h, err := hdrhistogram.NewHistogramLogReader(bytes.NewReader(raw)).NextIntervalHistogram()
	require.NoError(t, err)
	require.Equal(t, int64(100), h.TotalCount())
}

func TestExitCodesAreThoseOfTheRun(t *testing.T) {
	dir := t.TempDir()
	failed, invalid, both := finished(), finished(), finished()
	failed.Verdicts = []results.Verdict{{Objective: "p99<5ms", Measured: "p99=99ms"}}
	invalid.Invalid = []string{"the lag"}
	both.Verdicts, both.Invalid = failed.Verdicts, []string{"the lag\x1b[31m"}
	good := aFile(t, dir, "good", "0", "one", finished())
	cases := []struct {
		file, says string
		code       int
	}{
		{aFile(t, dir, "failed", "1", "one", failed, "p99<5ms"), "1 of 1 objectives failed", exitObjective},
		{aFile(t, dir, "unjudged", "2", "one", finished(), "p99<5ms"), "1 of 1 objectives failed", exitObjective},
		{aFile(t, dir, "invalid", "3", "one", invalid), "INVALID: the lag", exitInvalid},
		{aFile(t, dir, "both", "4", "one", both, "p99<5ms"), `INVALID: the lag\x1b[31m`, exitInvalid},
		{aFile(t, dir, "torn", "5", "one", nil), "INCOMPLETE: the file has no end", exitInvalid},
	}
	for _, c := range cases {
		code, out, stderr := sluice(t, "report", c.file)
		require.Equal(t, c.code, code, c.file)
		require.Contains(t, stderr, c.says)
		require.Contains(t, out, "p50", "the report is there all the same")
		code, _, _ = sluice(t, "report", good, c.file, "--format", "bench")
		require.Equal(t, c.code, code, "the worst of several")
	}
	code, _, stderr := sluice(t, "report", cases[0].file, cases[2].file)
	require.Equal(t, exitInvalid, code, "INVALID wins")
	require.Contains(t, stderr, "run 3: INVALID")
}

func TestFilesOfOneRunAreMergedAndOfSeveralCompared(t *testing.T) {
	dir := t.TempDir()
	one := aFile(t, dir, "one", "same", "one", finished())
	two := aFile(t, dir, "two.gz", "same", "two", finished())
	other := aFile(t, dir, "three", "other", "three", finished())
	code, out, stderr := sluice(t, "report", one, two, "--format", "json")
	require.Zero(t, code, stderr)
	var told struct {
		Requests struct{ Offered uint64 } `json:"requests"`
		Run      struct{ Machines []string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &told))
	require.Equal(t, uint64(600), told.Requests.Offered)
	require.Equal(t, []string{"one", "two"}, told.Run.Machines)

	code, out, _ = sluice(t, "report", one, other, two)
	require.Zero(t, code)
	require.Equal(t, 2, strings.Count(out, "VALID\n"))
	code, out, _ = sluice(t, "report", one, other, "--format", "bench")
	require.Zero(t, code)
	require.Equal(t, 2, strings.Count(out, "BenchmarkRun/op=all"))
	code, out, _ = sluice(t, "report", one, other, "--format", "html")
	require.Zero(t, code)
	require.Contains(t, out, "other")
}

func TestResultsCanComeFromStandardInput(t *testing.T) {
	file, err := os.Open(aFile(t, t.TempDir(), "run", "1", "one", finished()))
	require.NoError(t, err)
	defer file.Close()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetArgs([]string{"report", "-"})
	root.SetIn(file)
	root.SetOut(&out)
	require.NoError(t, root.ExecuteContext(t.Context()))
	require.Contains(t, out.String(), "300 due, 300 sent, 300 completed, 0 failed")
}

func TestAReportIsAsWideAsTheTerminal(t *testing.T) {
	file := aFile(t, t.TempDir(), "run", "1", "one", finished())
	for columns, want := range map[string]bool{"70": true, "120": false} {
		t.Setenv("COLUMNS", columns)
		_, out, _ := sluice(t, "report", file)
		narrow := true
		for line := range strings.Lines(out) {
			narrow = narrow && len([]rune(line)) <= 72
		}
		require.Equal(t, want, narrow, columns)
	}
}
