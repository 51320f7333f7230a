package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
)

// sluiceIn runs one command line.
func sluiceIn(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(ctx, args, &out, &err)
	return code, out.String(), err.String()
}

func greeting(t *testing.T) (url string, served *atomic.Int64) {
	served = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.URL.Path == "/slow" {
			time.Sleep(30 * time.Millisecond)
		}
		io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	return server.URL, served
}

func TestRunMeasuresReportsAndKeepsWhatItMeasured(t *testing.T) {
	url, served := greeting(t)
	dir := t.TempDir()
	file, page := filepath.Join(dir, "run.jsonl"), filepath.Join(dir, "run.html")
	code, stdout, stderr := sluiceIn(context.Background(), "run", url+"/a", url+"/b", "--rate", "200/s", "--duration", "400ms", "--warmup", "100ms",
		"--seed", "7", "-H", "X-A: b", "--body", "hi", "--client", "nethttp", "-o", file, "--html", page, "--slo", "errors<1%", "--name", "first")
	require.Contains(t, []int{0, exitInvalid}, code, stderr) // a busy machine may be late
	require.EqualValues(t, 100, served.Load())
	for _, part := range []string{"POST /a", "POST /b", "held", "errors<1%", "first", "response", "service", "lag"} {
		require.Contains(t, stdout, part)
	}
	kept, err := results.Open(file)
	require.NoError(t, err)
	require.True(t, kept.Whole)
	require.EqualValues(t, 80, kept.Total[""].Count)
	require.EqualValues(t, 20, kept.Warm[""].Count)
	require.EqualValues(t, 160, kept.Total[""].Out)
	require.EqualValues(t, 160, kept.Total[""].In)
	require.Equal(t, "open", kept.Header.Model)
	require.EqualValues(t, 7, kept.Header.Schedule.Seed)
	require.EqualValues(t, 100, kept.Header.Planned)
	require.Equal(t, "nethttp", kept.Header.Client)
	require.NotEmpty(t, kept.Header.Environment.Go)
	require.Equal(t, []string{"errors<1%"}, kept.Header.Objectives)
	require.True(t, kept.End.Verdicts[0].Held)
	drawn, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(drawn), "first")
}

func TestRunMakesAClosedLoopAndSaysSo(t *testing.T) {
	url, served := greeting(t)
	code, stdout, stderr := sluiceIn(context.Background(), "run", strings.TrimPrefix(url, "http://"), "-c", "3", "-n", "50", "--quiet", "--client", "fasthttp")
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	require.EqualValues(t, 50, served.Load())
	require.Contains(t, stdout, "closed")
	require.Contains(t, stdout, "omit")
}

func TestAnObjectiveThatFailsIsExitCode99(t *testing.T) {
	url, _ := greeting(t)
	code, _, stderr := sluiceIn(context.Background(), "run", url+"/slow", "-c", "1", "-n", "5", "--quiet", "--slo", "p50<1ms", "--slo", "errors<1%")
	require.Equal(t, exitObjective, code)
	require.Contains(t, stderr, "p50<1ms")
	require.NotContains(t, stderr, "errors<1%")
}

func TestAnObjectiveThatFailsEndsTheRunEarlyWhereAsked(t *testing.T) {
	t.Parallel()
	url, served := greeting(t)
	begun := time.Now()
	code, stdout, _ := sluiceIn(context.Background(), "run", url+"/slow", "-c", "2", "--duration", "60s", "--quiet", "--slo", "max<1ms", "--abort-after", "500ms")
	require.Equal(t, exitObjective, code)
	require.Less(t, time.Since(begun), 50*time.Second)
	require.Less(t, served.Load(), int64(1000))
	require.Contains(t, strings.Join(strings.Fields(stdout), " "), "objective failed")
}

func TestARunThatDoesNotHoldItsRateIsExitCode98(t *testing.T) {
	t.Parallel()
	url, _ := greeting(t)
	code, stdout, stderr := sluiceIn(context.Background(), "run", url+"/slow", "--rate", "200/s", "--duration", "250ms", "--max-in-flight", "1",
		"--quiet", "--slo", "p50<1ms") // that fails as well: INVALID wins
	require.Equal(t, exitInvalid, code)
	require.Contains(t, stdout, "INVALID")
	require.Contains(t, stderr, "INVALID: achieved")
	require.Contains(t, stderr, "1 requests at once")
}

func TestAnInterruptedRunReportsWhole(t *testing.T) {
	url, served := greeting(t)
	file := filepath.Join(t.TempDir(), "run.jsonl")
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(600*time.Millisecond, cancel)
	code, stdout, _ := sluiceIn(ctx, "run", url, "--rate", "100/s", "--duration", "1h", "--quiet", "-o", file)
	require.Contains(t, []int{0, exitInvalid}, code)
	require.Contains(t, stdout, "interrupted")
	kept, err := results.Open(file)
	require.NoError(t, err)
	require.True(t, kept.Whole)
	require.EqualValues(t, served.Load(), kept.Total[""].Count)
	require.Positive(t, kept.Total[""].Count)
}

func TestWrongFlagsAreAllNamedInOneLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"run"}, []string{"say what to request", "say how much"}},
		{[]string{"run", "u", "--rate", "5", "--stage", "1s:5/s", "-n", "3", "-H", "odd", "--slo", "p99", "--client", "curl", "--proxy", "ftp://x"},
			[]string{"--rate, --stage and --replay", `-H "odd"`, "--slo", "curl", "--proxy"}},
		{[]string{"run", "u", "--rate", "many"}, []string{"--rate"}},
		{[]string{"run", "u", "--stage", "1s"}, []string{"--stage"}},
		{[]string{"run", "u", "--rate", "5/s", "-n", "3"}, []string{"-n and --think"}},
		{[]string{"run", "u", "--rate", "5/s", "--speed", "2"}, []string{"--speed is for --replay"}},
		{[]string{"run", "u", "-c", "2", "--abort-after", "1s"}, []string{"--abort-after needs"}},
		{[]string{"run", "u", "-c", "1000001"}, []string{"-c 1000001: a closed run has at most 1000000 callers"}},
		{[]string{"capacity", "u", "--callers", "1000001"}, []string{"--callers 1000001: at most 1000000 can be"}},
		{[]string{"run", "--targets", "none.txt", "-c", "2"}, []string{"--targets", "none.txt"}},
		{[]string{"run", "u", "-c", "2", "--config", "none.json"}, []string{"--config", "none.json"}},
		{[]string{"run", "u", "-c", "2", "--client", "fasthttp", "--http2"}, []string{"no HTTP/2"}},
		{[]string{"run", "u", "--stage", "1s:0/s-100/s", "--warmup", "500ms"}, []string{"ends within the ramp"}},
		{[]string{"run", "u", "-c", "2", "-o", "/nowhere/at/all"}, []string{"--out"}},
		{[]string{"run", "u", "-c", "2", "--page", "nowhere"}, []string{"--page"}},
		{[]string{"rates", "--client", "curl", "--rounds", "0"}, []string{`"curl"`, "--rounds"}},
	} {
		code, stdout, stderr := sluiceIn(context.Background(), c.args...)
		require.Equal(t, exitUsage, code, "%v", c.args)
		require.Empty(t, stdout, "%v", c.args)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		require.LessOrEqual(t, len(lines), 2, "one line, and where help is: %s", stderr)
		for _, want := range c.want {
			require.Contains(t, lines[0], want, "%v", c.args)
		}
	}
}

func TestRunTakesTargetsDataAndReplaysFromFiles(t *testing.T) {
	url, served := greeting(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	targets := write("targets.txt", "GET "+url+"/{{user}}\nX-A: b\n\nPOST "+url+"/p\n@"+write("body.txt", "some")+"\n")
	data := write("data.csv", "user\nanna\nben\n")
	code, stdout, stderr := sluiceIn(context.Background(), "run", "--targets", targets, "--data", data, "-c", "1", "-n", "10", "--quiet")
	require.Zero(t, code, stderr)
	require.EqualValues(t, 10, served.Load())
	require.Contains(t, stdout, "/{{user}}")

	served.Store(0)
	log := write("access.log", `1.2.3.4 - - [10/Oct/2025:13:55:36 +0000] "GET /one HTTP/1.1" 200 5
1.2.3.4 - - [10/Oct/2025:13:55:37 +0000] "GET /two HTTP/1.1" 200 5
1.2.3.4 - - [10/Oct/2025:13:55:39 +0000] "GET /three HTTP/1.1" 200 5
`)
	begun := time.Now()
	code, stdout, stderr = sluiceIn(context.Background(), "run", "--replay", log, "--base", url, "--speed", "10", "--quiet")
	require.Contains(t, []int{0, exitInvalid}, code, stderr)
	require.EqualValues(t, 3, served.Load())
	require.GreaterOrEqual(t, time.Since(begun), 300*time.Millisecond)
	require.Contains(t, stdout, "GET /three")
}

func TestRunSendsByTheConfigurationOfAVenue(t *testing.T) {
	url, served := greeting(t)
	file := filepath.Join(t.TempDir(), "venue.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"base_url": "`+url+`", "limits": [{"id": "slow", "quota": 1, "per": "100ms"}], "default_limit": "slow"}`), 0o600))
	code, stdout, stderr := sluiceIn(context.Background(), "run", "/a", "--config", file, "-c", "4", "-n", "5", "--quiet")
	require.Zero(t, code, stderr)
	require.EqualValues(t, 5, served.Load())
	require.Contains(t, stdout, "queue") // of the stages: requests waited for the limit
}

func TestRunIsLookedAtWhileItGoesOn(t *testing.T) {
	url, _ := greeting(t)
	code, _, stderr := sluiceIn(context.Background(), "run", url, "--rate", "50/s", "--duration", "600ms", "--page", "127.0.0.1:0")
	require.Contains(t, []int{0, exitInvalid}, code, stderr)
	require.Contains(t, stderr, "live at http://127.0.0.1:")
	require.Contains(t, stderr, "ended")
}

func TestHelpOfRunAndRatesHasExamples(t *testing.T) {
	for _, verb := range []string{"run", "rates"} {
		code, stdout, _ := sluiceIn(context.Background(), verb, "--help")
		require.Zero(t, code)
		require.Contains(t, stdout, "Examples:")
		require.Contains(t, stdout, "sluice "+verb)
	}
}

func TestARunOfWhichNoRequestSucceededIsExitCode1(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	dir := t.TempDir()
	file, page := filepath.Join(dir, "run.jsonl"), filepath.Join(dir, "run.html")
	code, stdout, stderr := sluiceIn(context.Background(), "run", closed.URL, "-n", "5", "--quiet", "-o", file, "--html", page)
	require.Equal(t, exitFound, code)
	require.Contains(t, stdout, "VALID\nNO REQUEST SUCCEEDED\n")
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(written), "<b>No request succeeded.</b>")
	require.Contains(t, stdout, "5 failed")
	require.Contains(t, stderr, "no request succeeded")
	for format, want := range map[string]string{
		"text": "VALID\nNO REQUEST SUCCEEDED\n", "html": "<b>No request succeeded.</b>", "json": `"no_request_succeeded": true`, "prom": "sluice_run_none_succeeded 1\n",
	} {
		code, stdout, stderr = sluiceIn(context.Background(), "report", "--format", format, file)
		require.Equal(t, exitFound, code)
		require.Contains(t, stdout, want)
		require.Contains(t, stderr, "no request succeeded")
	}
	code, _, _ = sluiceIn(context.Background(), "run", closed.URL, "-n", "5", "--quiet", "--slo", "errors<1%")
	require.Equal(t, exitObjective, code, "an objective says more")
}

// A run of hours must not be lost at its end to a folder that is not there.
func TestAPageThatCannotBeWrittenIsToldBeforeTheRun(t *testing.T) {
	url, served := greeting(t)
	page := filepath.Join(t.TempDir(), "missing", "run.html")
	code, _, stderr := sluiceIn(context.Background(), "run", url, "-n", "5", "--quiet", "--html", page)
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--html")
	require.Zero(t, served.Load())
}

// Machines are not to be taken, nor asked in vain, for a run that could not be kept.
func TestAFileThatCannotBeWrittenIsToldBeforeMachinesAreAsked(t *testing.T) {
	asked, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer asked.Close()
	knocked := make(chan struct{})
	go func() {
		defer close(knocked)
		if conn, err := asked.Accept(); err == nil {
			conn.Close()
			t.Error("a machine was asked")
		}
	}()
	file := filepath.Join(t.TempDir(), "missing", "run.jsonl")
	code, _, stderr := sluiceIn(context.Background(), "run", "http://x/", "--rate", "5/s", "--quiet", "--workers", asked.Addr().String(), "-o", file)
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--out")
	asked.Close()
	<-knocked
}

func TestAWrongURLIsNamedOnce(t *testing.T) {
	code, _, stderr := sluiceIn(context.Background(), "run", "ftp://x/", "-n", "5")
	require.Equal(t, exitUsage, code)
	require.Equal(t, 1, strings.Count(stderr, "targets:"), stderr)
}

// The last request of 10/s is due a tenth of a second before the schedule ends: the rate is of
// the schedule's length all the same.
func TestTheRateThatWasDueIsTheOneThatWasAskedFor(t *testing.T) {
	url, _ := greeting(t)
	_, stdout, _ := sluiceIn(context.Background(), "run", url, "--rate", "10/s", "--duration", "500ms", "--quiet")
	require.Contains(t, stdout, "10.0/s due")
}
