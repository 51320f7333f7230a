package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/search"
)

// metered is a server that answers 200 requests a second, and 20 more at once, and refuses
// the rest.
func metered(t *testing.T) string {
	var mu sync.Mutex
	last, tokens := time.Now(), 20.0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		tokens = min(20, tokens+200*now.Sub(last).Seconds())
		last = now
		if tokens < 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		tokens--
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTheSearchVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "search", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--slo", "--from", "--to", "--trial", "--width", "--confirm", "--client", "--json", "Exit codes", "19 of 20"} {
		require.Contains(t, out, want)
	}
}

func TestWrongSearchFlagsAreExplainedInOneLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"say what to request", "say what must hold: --slo"}},
		{[]string{"--slo", "p99<5parsecs", "--from", "x", "--trial", "0s", "http://h/"}, []string{"p99<5parsecs", "--from", "--trial"}},
		{[]string{"--slo", "p99<5ms", "--from", "10/s", "--to", "5/s", "http://h/"}, []string{"highest rate of 5/s"}},
		{[]string{"--slo", "p99<5ms", "--from", "0/s", "http://h/"}, []string{"lowest rate of 0/s"}},
		{[]string{"--slo", "p99<5ms", "--confirm", "0", "http://h/"}, []string{"--confirm 0"}},
		{[]string{"--slo", "p99<5ms", "--width", "0%", "http://h/"}, []string{"no percentage above 0"}},
		{[]string{"--slo", "p99<5ms", "--client", "curl", "http://h/"}, []string{`"curl" is unknown`}},
		{[]string{"--slo", "p99<5ms", "--rate", "5/s", "http://h/"}, []string{"unknown flag: --rate"}},
		{[]string{"--slo", "p99<5ms", "--json", filepath.Join(t.TempDir(), "missing", "file"), "http://h/"}, []string{"missing"}},
	} {
		code, out, stderr := sluice(t, append([]string{"search"}, test.args...)...)
		require.Equal(t, exitUsage, code, test.args)
		require.Empty(t, out)
		for _, want := range test.want {
			require.Contains(t, stderr, want)
		}
		require.Regexp(t, `^sluice: [^\n]*\n(Run [^\n]*\n)?$`, stderr)
	}
}

// 20 at once and 60 more in 300 ms are 80 in all, which is 267/s. A machine that has too much
// to do may not make that; then the search says so.
func TestTheRateThatAServerAllowsIsFound(t *testing.T) {
	pressure.Try(t, 4, func() error { return findWhatAServerAllows(t) })
}

func findWhatAServerAllows(t *testing.T) error {
	t.Helper()
	code, out, stderr := sluice(t, "search", "--slo", "errors<1%", "--from", "50/s", "--to", "800/s", "--trial", "300ms", "--warmup", "0s",
		"--pause", "100ms", "--width", "20%", "--confirm", "2", "--client", "fasthttp", "--json", "-", metered(t))
	var report struct {
		search.Report
		HarnessIsTheLimit bool
		Conclusion        string
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report), stderr)
	require.Contains(t, stderr, "doubling")
	require.NotEmpty(t, report.Trials)
	for _, trial := range report.Trials {
		require.GreaterOrEqual(t, trial.Rate, 50.0)
		require.LessOrEqual(t, trial.Rate, 800.0)
		if trial.Outcome == search.Held {
			require.Less(t, trial.Rate, 300.0, "more than the server allows")
		}
	}
	if report.HarnessIsTheLimit {
		require.Contains(t, report.Conclusion, "the harness is the limit")
		return errors.New(report.Conclusion)
	}
	require.Zero(t, code, stderr)
	require.Contains(t, report.Conclusion, "held 2 of 2 at")
	if strings.Contains(report.Conclusion, " was sent in time") && !strings.Contains(report.Conclusion, "errors<1%: ") {
		return errors.New(report.Conclusion) // a machine that is busy for a moment sends late, below what the harness can make
	}
	require.Contains(t, report.Conclusion, "errors<1%: ")
	require.Greater(t, report.FirstFailed, report.Held)
	require.Equal(t, []string{"errors<1%"}, report.Objectives)
	return nil
}

func TestAServerThatIsNotThereHoldsNoRate(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	code, out, stderr := sluice(t, "search", "--slo", "p99<5s", "--from", "50/s", "--trial", "100ms", "--warmup", "0s", "--pause", "0s", "--quiet", server.URL)
	require.Contains(t, []int{exitObjective, exitInvalid}, code)
	require.Contains(t, out, "not even 50/s")
	require.Contains(t, out, "objectives: p99<5s, errors<1%", "errors are asked for in any case")
	require.NotContains(t, stderr, "doubling", "quiet")
}

func TestAnInterruptedMeasurementHasAWholeReport(t *testing.T) {
	t.Parallel()
	url := metered(t)
	for name, args := range map[string][]string{
		"search":   {"search", "--slo", "p99<9s", "--from", "50/s", "--to", "51/s", "--confirm", "1000", "--trial", "100ms", "--warmup", "0s", "--pause", "0s", url},
		"capacity": {"capacity", "--callers", "8", "--step", "300ms", "--warmup", "0s", "--pause", "0s", url},
		"ab":       {"ab", "--a", "", "--b", "", "--pairs", "1000", url},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var out, stderr bytes.Buffer
		code := run(ctx, args, &out, &stderr)
		require.NotEqual(t, exitRegression, code, name)
		if strings.Contains(stderr.String(), "sluice: ") { // nothing was whole yet
			// The harness may not even have made the lowest rate: then the search is over before it is interrupted.
			want := []int{exitFound, exitUsage}
			if strings.Contains(stderr.String(), "INVALID: the harness could not make") {
				want = []int{exitInvalid}
			}
			require.Contains(t, want, code, "%s: %s", name, stderr.String())
		}
		if out.Len() > 0 {
			require.Regexp(t, "interrupted|ended after|harness is the limit", out.String(), name)
		}
	}
}
