package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/capacity"
)

func TestTheCapacityVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "capacity", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--callers", "--step", "--think", "--client", "--json", "Exit codes", "N* ="} {
		require.Contains(t, out, want)
	}
}

func TestWrongCapacityFlagsAreExplainedInOneLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"say what to request"}},
		{[]string{"--callers", "0", "--step", "0s", "http://h/"}, []string{"--callers", "--step"}},
		{[]string{"--callers", "1,-2", "http://h/"}, []string{"--callers"}},
		{[]string{"--callers", "1,2,4,8", "http://h/"}, []string{"--callers: 4 steps are too few", "at least 5 are needed"}},
		{[]string{"--slo", "p99<5ms", "http://h/"}, []string{"unknown flag: --slo"}},
		{[]string{"--think", "-1s", "--proxy", "ftp://x", "http://h/"}, []string{"--think", "--proxy"}},
		{[]string{"--json", filepath.Join(t.TempDir(), "missing", "file"), "http://h/"}, []string{"missing"}},
	} {
		code, out, stderr := sluice(t, append([]string{"capacity"}, test.args...)...)
		require.Equal(t, exitUsage, code, test.args)
		require.Empty(t, out)
		for _, want := range test.want {
			require.Contains(t, stderr, want)
		}
		require.Regexp(t, `^sluice: [^\n]*\n(Run [^\n]*\n)?$`, stderr)
	}
}

func TestStepsAreMeasuredAndTheLawIsFitted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "capacity.json")
	code, out, stderr := sluice(t, "capacity", "--callers", "5,1,2,3,4,4", "--step", "150ms", "--warmup", "30ms", "--pause", "0s", "--client", "fasthttp", "--predict", "10,11", "--json", file, server.URL)
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "5 callers")
	for _, want := range []string{"closed model", "law: λ ", "peak: ", "measured: ", "throughput over callers, 1 to 5"} {
		require.Contains(t, out, want)
	}
	var report capacity.Report
	readJSON(t, file, &report)
	require.Len(t, report.Steps, 5)
	for i, step := range report.Steps {
		require.Equal(t, i+1, step.Callers)
		require.Positive(t, step.Throughput)
		require.Positive(t, step.P99)
	}
	require.Equal(t, 5, report.Fit.Measured)
	require.Empty(t, report.Predictions[0].Refused)
	require.Contains(t, report.Predictions[1].Refused, "more than twice the 5")
}

func TestOneNumberOfCallersIsDoubledUpTo(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	code, out, _ := sluice(t, "capacity", "--callers", "9", "--step", "50ms", "--warmup", "0s", "--pause", "0s", "--quiet", "--json", "-", server.URL)
	require.Zero(t, code)
	var report capacity.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Len(t, report.Steps, 5)
	require.Equal(t, 9, report.Steps[4].Callers)
}

func TestCapacityThatIsInterruptedBeforeItsFirstStepIsNoMistakeOfTheFlags(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	code, _, stderr := sluiceIn(ctx, "capacity", swallowing(t), "--quiet")
	require.Equal(t, exitFound, code)
	require.Contains(t, stderr, "interrupted")
	require.NotContains(t, stderr, "--help")
}
