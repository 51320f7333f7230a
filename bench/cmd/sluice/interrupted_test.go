package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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

func TestWhatAPlayedTestHasFoundIsAFinding(t *testing.T) {
	one := played{broken: "a promise was broken: see above"}
	require.Equal(t, finding{one.broken}, one.judgement(&exec.ExitError{}))
	require.NoError(t, one.judgement(nil))
	refused := errors.New("no such file")
	require.Equal(t, refused, one.judgement(refused))
}
