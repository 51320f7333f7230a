package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/compare"
)

func TestAnInterruptedGridIsWrittenAndDoesNotPass(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	file := filepath.Join(t.TempDir(), "grid.json")
	code, out, stderr := sluiceIn(ctx, "limits", "--quick", "--json", file)
	require.Equal(t, exitFound, code)
	require.Contains(t, out, "not played")
	require.Regexp(t, `^sluice: interrupted after \d+ of the grid's 80 cells\n$`, stderr)
	require.FileExists(t, file)
	code, _, stderr = sluiceIn(ctx, "limits", "--fuzz", "1m")
	require.Equal(t, exitFound, code)
	require.Contains(t, stderr, "before 1m0s were over")
}

func TestAnInterruptedDriveDoesNotPass(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context()) // a deadline would be one of the requests'
	defer time.AfterFunc(300*time.Millisecond, interrupt).Stop()
	code, _, stderr := sluiceIn(ctx, "live", "--duration", "1m", "--jitter", "1ms")
	require.Equal(t, exitFound, code)
	require.Contains(t, stderr, "sluice: interrupted after ")
	code, _, stderr = sluiceIn(t.Context(), "live", "--duration", "0s")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--duration 0s: want a time above zero")
}

func TestWhatNoUsageHelpsAgainstIsToldWithoutIt(t *testing.T) {
	code, out, stderr := sluice(t, "exchange", "--addr", "127.0.0.1:0", "--for", "1s", "--page=bad")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out, "no banner of what does not run")
	require.Contains(t, stderr, "--page: ")
	require.NotContains(t, stderr, "for usage")
	code, _, stderr = sluice(t, "exchange", "--limit", "foo=3")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "weight, raw, orders")
	require.Contains(t, stderr, "for usage")
}

func TestHelpOfAVerbThatThereIsNotIsAMistake(t *testing.T) {
	code, out, stderr := sluice(t, "help", "nope")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, stderr, "there is no verb nope")
	code, out, _ = sluice(t, "help", "live")
	require.Zero(t, code)
	require.Contains(t, out, "--jitter")
	code, out, _ = sluice(t, "help")
	require.Zero(t, code)
	require.Contains(t, out, "Available Commands")
}

func TestOneMistakeIsToldOnce(t *testing.T) {
	_, _, stderr := sluice(t, "run", "http://127.0.0.1:1/", "-c", "-1", "--rate", "1/s")
	require.Equal(t, "sluice: -c, --max-in-flight, --timeout and --drain must not be below zero\nRun 'sluice run --help' for usage.\n", stderr)
}

func TestAWorkerGivesOnlyWhatIsThere(t *testing.T) {
	code, _, stderr := sluice(t, "worker", "--listen", "127.0.0.1:0", "--give", "NOPE_VAR")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--give NOPE_VAR: there is neither a variable")
}

func TestTheMachineThatRunsNeedsNoSecretsOfItsWorkers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "venue.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"base_url": "http://127.0.0.1:1",
		"auth": {"scheme": "binance", "key": {"env": "NOT_HERE_KEY"}, "secret": {"file": "not-here"}},
		"dial": {"proxy": {"env": "NOT_HERE_PROXY"}}}`), 0o600))
	for elsewhere, wrong := range map[bool]string{true: "", false: "NOT_HERE_KEY"} {
		var flags loadFlags
		flags.how.config, flags.how.client, flags.how.elsewhere = file, "engine", elsewhere
		var mistakes mistakes
		flags.how.read(&mistakes)
		if wrong == "" {
			require.NoError(t, mistakes.err())
		} else {
			require.ErrorContains(t, mistakes.err(), wrong)
		}
	}
}

func TestAnInterruptedPlayIsNoFault(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, args := range [][]string{{"referee"}, {"hostile"}, {"parked", "--waiting", "10", "--requests", "0"}, {"report", "/dev/stdin"}, {"compare", "/dev/stdin", "/dev/stdin"}} {
		code, _, stderr := sluiceIn(ctx, args...)
		require.Equal(t, exitFound, code, args)
		require.Regexp(t, "^sluice: interrupted ", stderr, args)
	}
}

// What a signal ends tells of that, and not of what it has torn: neither of a request that got no
// answer, nor of a process that was killed.
func TestAnInterruptedMeasurementSaysOnlyThat(t *testing.T) {
	for _, test := range []struct {
		args  []string
		after string
	}{
		{[]string{"mutants", "--sample", "1", "--jobs", "1"}, `(nothing: the source was looked for|0 of \d+ mutants)`},
		{[]string{"rates", "--turn", "1m", "--client", "nethttp"}, "0 turns"},
		{[]string{"counters", "--for", "100000h"}, "0 counters: the rest was not played"},
		{[]string{"clock"}, "a part of the table, which is judged as a whole"},
		{[]string{"clock", "--day"}, "a part of the day, which is judged as a whole"},
		{[]string{"clock", "--signed", "1000000"}, `\d+ of 1000000 requests`},
		{[]string{"memory", "--kills", "1000000"}, `\d+ of 1000000 kills`},
		{[]string{"memory", "--cost", "--requests", "1000000"}, "0 of 30 rounds"},
		{[]string{"fanout", "--inputs", "100000000"}, "(nothing|memory: a stream of 100000000 inputs) had begun"},
		{[]string{"telemetry", "--requests", "1000000"}, "0 of 21 rounds"},
		{[]string{"peers", "--within", "0", "--rounds", "1000000"}, `(nothing: the clients were being started|\d+ of 1000000 rounds)`},
		{[]string{"scale", "--curve", "limits"}, `0 of \d+ points`},
		{[]string{"ab", "--a", "", "--b", "", "--requests", "1000000", swallowing(t)}, "less than a pair"},
	} {
		for _, when := range []time.Duration{0, 300 * time.Millisecond} {
			ctx, interrupt := context.WithCancelCause(t.Context())
			defer time.AfterFunc(when, func() { interrupt(errors.New("interrupt signal received")) }).Stop()
			code, _, stderr := sluiceIn(ctx, test.args...)
			require.Equal(t, exitFound, code, stderr)
			require.Regexp(t, `(^|\n)sluice: interrupted after `+test.after+`\n$`, stderr)
			require.Equal(t, 1, strings.Count(stderr, "interrupt"), "and nothing else of it")
			_, help, _ := sluice(t, test.args[0], "--help")
			require.Regexp(t, `Exit codes: [^.]*1 [^.]*interrupted`, help)
		}
	}
}

func TestAnInterruptedComparisonThatFoundNothingYetDoesNotPass(t *testing.T) {
	var ab abFlags
	ab.pairs = 60
	ctx, interrupt := context.WithCancel(t.Context())
	few := &compare.Report{Count: [2]int{3, 3}, Effects: []compare.Effect{{Figure: compare.CPU, Gated: true}}}
	require.NoError(t, ab.undecided(ctx, few), "it was not interrupted")
	interrupt()
	require.Equal(t, finding{"interrupted after 3 of 60 pairs: no regression found, and none could have been in cpu"}, ab.undecided(ctx, few))
	enough := &compare.Report{Count: [2]int{30, 30}, Effects: []compare.Effect{{Figure: compare.CPU, Gated: true, Findable: 0.1}}}
	require.NoError(t, ab.undecided(ctx, enough))
	all := &compare.Report{Count: [2]int{60, 60}, Effects: few.Effects}
	require.NoError(t, ab.undecided(ctx, all), "nothing was left out")
}

func TestAnABThatIsInterruptedAfterItsFirstPairsIsExitCode1(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if served.Add(1) == 8*1500+750 { // in the fourth pair: a slice of each side goes before
			interrupt()
		}
	}))
	defer server.Close()
	code, out, stderr := sluiceIn(ctx, "ab", "--a", "", "--b", "", "-c", "16", "--requests", "1500", server.URL)
	require.Equal(t, exitFound, code, stderr)
	require.Contains(t, out, "too little data")
	require.Regexp(t, `^sluice: interrupted after 3 of 60 pairs: no regression found, and none could have been in [^\n]*\n$`, stderr)
}

func TestWhatAPlayedTestHasFoundIsAFinding(t *testing.T) {
	one := played{broken: "a promise was broken: see above"}
	require.Equal(t, finding{one.broken}, one.judgement(&exec.ExitError{}))
	require.NoError(t, one.judgement(nil))
	refused := errors.New("no such file")
	require.Equal(t, refused, one.judgement(refused))
}
