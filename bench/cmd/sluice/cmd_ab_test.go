package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/compare"
	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/results"
)

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(written, into))
}

// swallowing is a server that reads what it is sent.
func swallowing(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTheABVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "ab", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--a", "--b", "--pairs", "--gate", "--threshold", "--rate", "A B B A", "Exit codes", "7 % more CPU"} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "Available Commands", "the process of a side is nobody's verb")
}

func TestWrongABFlagsAreExplainedInOneLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"http://h/"}, []string{"say what to compare"}},
		{[]string{"--a", "", "http://h/"}, []string{"say what to compare"}},
		{[]string{"--a", "--nonsense", "--b", "'x", "http://h/"}, []string{"--a: unknown flag: --nonsense", "--b: a quote has no end"}},
		{[]string{"--a", "-c x", "--b", "", "http://h/"}, []string{"--a: -c x: want a whole number"}},
		{[]string{"--a", "", "--b", ""}, []string{"--a: say what to request", "--b: say what to request"}},
		{[]string{"--a", "--client curl", "--b", "--rate x --think 1s", "http://h/"}, []string{`"curl" is unknown`, "--rate", "--think"}},
		{[]string{"--a", "--help", "--b", "--rate 0/s", "http://h/"}, []string{"--help is not of a side", "above zero"}},
		{[]string{"--a", "", "--b", "", "--pairs", "0", "--requests", "10", "--gate", "rate", "http://h/"}, []string{"--pairs 0", "--requests 10", `"rate" is not measured`}},
		{[]string{"--a", "", "--b", "--targets -"}, []string{"--targets -"}},
		{[]string{"--a", "", "--b", "", "--json", filepath.Join(t.TempDir(), "missing", "file"), "http://h/"}, []string{"missing"}},
	} {
		code, out, stderr := sluice(t, append([]string{"ab"}, test.args...)...)
		require.Equal(t, exitUsage, code, test.args)
		require.Empty(t, out)
		for _, want := range test.want {
			require.Contains(t, stderr, want)
		}
		require.Regexp(t, `^sluice: [^\n]*\n(Run [^\n]*\n)?$`, stderr)
	}
}

// Side B sends 64 KB with every request, so its client does more work whatever the machine is
// like: the gate must fail.
func TestASideThatDoesMoreWorkIsARegressionAndExits97(t *testing.T) {
	body := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(body, make([]byte, 64<<10), 0o644))
	code, out, stderr := sluice(t, "ab", "--a", "", "--b", "--body-file '"+body+"'", "-m", "POST", "-c", "4", "--client", "nethttp", "--pairs", "10", swallowing(t))
	require.Equal(t, exitRegression, code, "%s%s", out, stderr)
	// Of the processor's time a busy machine may say too little.
	require.Regexp(t, `REGRESSION: .*bytes \+`, out)
	require.Regexp(t, `REGRESSION: .*bytes \+`, stderr)
}

func TestEachSideHasItsOwnProcessAndItsOwnFile(t *testing.T) {
	pressure.Try(t, 4, func() error { return keepTwoSides(t) })
}

func keepTwoSides(t *testing.T) error {
	t.Helper()
	dir := t.TempDir()
	url := swallowing(t)
	code, out, stderr := sluice(t, "ab", "--a", "-H 'X-Side: of a' --name first", "--b", "--rate 20000/s "+url, "-H", "X-Both: 1", "-c", "4", "--client", "fasthttp",
		"--pairs", "2", "-o", filepath.Join(dir, "ab.jsonl"), "--json", "-", url+"/shared")
	if code == exitInvalid {
		require.Contains(t, stderr, "INVALID", "the machine has too much to do for that rate")
		return errors.New(stderr)
	}
	require.Zero(t, code, stderr)
	var report compare.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, [2]int{2, 2}, report.Count)
	require.Equal(t, []string{"A (-H 'X-Side: of a' --name first)"}, report.Old)
	for _, effect := range report.Effects {
		require.False(t, effect.Regression, "two pairs find nothing")
		if effect.Figure == compare.CPU || effect.Figure == compare.Allocs {
			require.Positive(t, effect.Old)
			require.Positive(t, effect.New)
		}
	}
	a, err := results.Open(filepath.Join(dir, "ab.a.jsonl"))
	require.NoError(t, err)
	require.True(t, a.Whole)
	require.EqualValues(t, 2*compare.DefaultRequests, a.Total[""].Count, "two slices, and not the one before")
	require.Equal(t, "closed", a.Header.Model)
	b, err := results.Open(filepath.Join(dir, "ab.b.jsonl"))
	require.NoError(t, err)
	require.Equal(t, "open", b.Header.Model)
	require.EqualValues(t, 2*compare.DefaultRequests, b.Total[""].Count)
	require.Contains(t, b.Header.Name, "B (--rate 20000/s")
	return nil
}

func TestASideThatCannotBeServedIsNamed(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	code, out, stderr := sluice(t, "ab", "--a", "", "--b", "", "--pairs", "1", server.URL)
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, stderr, "of 1500 requests failed")
}

func TestNamesOfSidesFilesKeepTheirEnding(t *testing.T) {
	require.Equal(t, "x/ab.a.jsonl", sideFile("x/ab.jsonl", "a"))
	require.Equal(t, "ab.b.jsonl.gz", sideFile("ab.jsonl.gz", "b"))
	require.Equal(t, "ab.b", sideFile("ab", "b"))
}

func TestSharedFlagsAreToldBothSides(t *testing.T) {
	command := newABCommand()
	require.NoError(t, command.ParseFlags([]string{"-H", "A: 1", "-H", "B: 2,3", "--http2", "--pairs", "3", "--rate", "5/s"}))
	require.Equal(t, []string{"--header=A: 1", "--header=B: 2,3", "--http2=true", "--rate=5/s"}, sharedArgs(command.Flags()))
	side, err := readSide([]string{"--header=A: 1", "--rate=5/s"}, "-H 'C: 4' --rate 6/s http://b/", []string{"http://shared/"})
	require.NoError(t, err)
	require.Equal(t, []string{"--header=A: 1", "--header=C: 4", "--rate=6/s", "--", "http://b/"}, side.args)
}
