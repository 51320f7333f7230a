package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

var workerAddress = regexp.MustCompile(`worker listens at (\S+)`)

// work runs the verb worker, and returns where it listens.
func work(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out console
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"worker", "--listen", "127.0.0.1:0"}, args...), &out, io.Discard)
	}()
	t.Cleanup(func() {
		cancel()
		require.Zero(t, <-ended)
	})
	require.Eventually(t, func() bool { return workerAddress.MatchString(out.String()) }, time.Minute, 10*time.Millisecond)
	return workerAddress.FindStringSubmatch(out.String())[1]
}

func TestThreeWorkersSendEveryArrivalOnce(t *testing.T) {
	var mu sync.Mutex
	counts := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		counts[r.URL.Query().Get("n")+" "+r.Header.Get("X-Of")]++
	}))
	defer server.Close()
	t.Setenv(tokenVariable, "a token of all machines")
	var workers []string
	for i := range 3 {
		workers = append(workers, work(t, "--name", fmt.Sprintf("m%d", i), "--clock-skew", fmt.Sprintf("%dm", i*17)))
	}
	folder := t.TempDir()
	rows := "n\n"
	for n := range 300 {
		rows += fmt.Sprintln(n)
	}
	data, out := filepath.Join(folder, "n.csv"), filepath.Join(folder, "run.jsonl")
	require.NoError(t, os.WriteFile(data, []byte(rows), 0o600))

	for _, client := range []string{"engine", "nethttp", "fasthttp"} {
		clear(counts)
		var text, said console
		loud := client == "engine"
		code := run(t.Context(), []string{
			"run", server.URL + "/?n={{n}}", "--data", data, "-H", "X-Of: all", "--rate", "600/s", "--duration", "500ms", "--poisson", "--seed", "7",
			"--client", client, "--workers", strings.Join(workers, ","), "--clock-bound", "2s", "-o", out, "--slo", "errors<1%", fmt.Sprintf("--quiet=%v", !loud),
		}, &text, &said)
		require.Contains(t, []int{0, exitInvalid}, code, said.String()) // a busy machine may not hold the rate, and says so
		measured, err := results.Open(out)
		require.NoError(t, err)
		require.True(t, measured.Whole)
		require.Equal(t, measured.Header.Planned, measured.Total[""].Count)
		require.Len(t, counts, int(min(measured.Header.Planned, 300)))
		for n, count := range counts {
			require.LessOrEqual(t, count, 1+int(measured.Header.Planned)/300, n) // Poisson may plan some more than there are rows
		}
		require.Equal(t, []string{"m0", "m1", "m2"}, measured.Header.Machines)
		require.Len(t, measured.End.Verdicts, 1)
		require.True(t, measured.End.Verdicts[0].Held)
		require.Equal(t, loud, strings.Contains(said.String(), "machine m1 ("+workers[1]+"): its clock is +17m0"), said.String())
		require.Contains(t, text.String(), client)
	}

	var said console
	closed := run(t.Context(), []string{"run", server.URL, "-c", "6", "-n", "100", "--workers", strings.Join(workers, ","), "--clock-bound", "2s", "-o", out, "--quiet"}, io.Discard, &said)
	require.Zero(t, closed, said.String())
	measured, err := results.Open(out)
	require.NoError(t, err)
	require.EqualValues(t, 100, measured.Total[""].Count)
	require.Equal(t, "closed", measured.Header.Model)
}

func TestARunOnWorkersEndsEarlyOnceAnObjectiveHasFailed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	worker := work(t)
	var said console
	began := time.Now()
	code := run(t.Context(), []string{
		"run", server.URL, "--rate", "100/s", "--duration", "120s", "--workers", worker, "--clock-bound", "2s",
		"--slo", "errors<1%", "--abort-after", "1s", "--timeout", "2s", "--quiet",
	}, io.Discard, &said)
	require.Contains(t, []int{exitObjective, exitInvalid}, code, said.String())
	require.Less(t, time.Since(began), 90*time.Second)
}

func TestMistakesOfARunOnWorkersAreOneLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"--workers", "m1,m1:0"}, []string{`worker "m1": it must be host:port`, `worker "m1:0": it must be host:port`}},
		{[]string{"--workers", "127.0.0.1:1", "--on-lost", "weep", "--silence", "1h"}, []string{`on lost "weep"`, "a silence of 1h0m0s"}},
		{[]string{"--workers", "127.0.0.1:1", "--tls-cert", "x.pem"}, []string{"--tls-cert, --tls-key and --ca belong together"}},
		{[]string{"--workers", "127.0.0.1:1", "--token", "short"}, []string{"the token has 5 characters"}},
		{[]string{"--workers", "127.0.0.1:1"}, []string{"worker 127.0.0.1:1: nobody listens there"}},
		{[]string{"--workers", ""}, []string{"--workers names no machine"}},
		{[]string{"--token", "a token of all machines", "--on-lost", "fail"}, []string{"--on-lost, --token: for --workers only"}},
	} {
		var said console
		code := run(t.Context(), append([]string{"run", "http://127.0.0.1:1/", "--rate", "10/s", "--duration", "1s", "--quiet"}, c.args...), io.Discard, &said)
		require.Equal(t, exitUsage, code, said.String())
		for _, part := range c.says {
			require.Contains(t, said.String(), part)
		}
		require.Equal(t, 2, strings.Count(said.String(), "\n"), "the mistakes, and where help is: %s", said.String())
	}
	var said console
	require.Equal(t, exitUsage, run(t.Context(), []string{"worker", "--listen", "0.0.0.0:0"}, io.Discard, &said))
	require.Contains(t, said.String(), "needs a token")
}

func TestTheWorkersHelpHasExamples(t *testing.T) {
	var out console
	require.Zero(t, run(t.Context(), []string{"worker", "--help"}, &out, io.Discard))
	require.Contains(t, out.String(), "openssl rand -hex 16")
	require.Contains(t, out.String(), "--workers m1:7070,m2:7070,m3:7070")
	require.NotContains(t, out.String(), "clock-skew")
}

func TestAWorkerGivesARunNothingButWhatItsOwnerGives(t *testing.T) {
	t.Setenv("CREW_KEY", "k")
	t.Setenv("CREW_SECRET", "s")
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("s\n"), 0o600))
	config := func(secret string) remoteClient {
		return remoteClient{Client: "engine", VenueName: "venue.json", Venue: []byte(`{"auth": {"scheme": "binance", "key": {"env": "CREW_KEY"}, "secret": ` + secret + `}}`)}
	}
	open := func(r remoteClient, given ...string) error {
		text, err := json.Marshal(r)
		require.NoError(t, err)
		client, err := openRemoteClients(given)(text, crew.Share{Worker: 0, Workers: 2})
		if err == nil {
			client.Close()
		}
		return err
	}
	byEnv, byFile := config(`{"env": "CREW_SECRET"}`), config(fmt.Sprintf(`{"file": %q}`, secret))
	require.NoError(t, open(byEnv, "CREW_KEY", "CREW_SECRET"))
	require.NoError(t, open(byFile, "CREW_KEY", secret))
	require.ErrorContains(t, open(byEnv, "CREW_KEY"), "CREW_SECRET")
	require.ErrorContains(t, open(byEnv), "--give")
	require.ErrorContains(t, open(byFile, "CREW_KEY"), "which this worker does not give (--give)")
	twice := config(fmt.Sprintf(`{"file": %q}, "auth": {"secret": {"file": %q}}`, "/etc/shadow", secret))
	require.ErrorContains(t, open(twice, "CREW_KEY", secret), "/etc/shadow")
}

func TestEveryFileThatAConfigurationNamesIsFound(t *testing.T) {
	files, err := filesNamedIn([]byte(`{"a": {"FILE": "1"}, "b": [{"x_file": "2"}, {"file": "3", "file": "4"}], "file": ["5", {"n": "no"}, "6"], "c": "file", "limits_file": "7", "file": {"file": "8"}}`))
	require.NoError(t, err)
	for _, want := range []string{"1", "2", "3", "4", "5", "7", "8"} {
		require.Contains(t, files, want)
	}
	require.NotContains(t, files, "no")
	_, err = filesNamedIn([]byte(`{"file": `))
	require.Error(t, err)
}

func TestAWorkersClientIsWhatTheFlagsDescribe(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	defer server.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	require.NoError(t, os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	for _, name := range []string{"engine", "nethttp", "fasthttp"} {
		flags := clientFlags{client: name, caCert: roots}
		text, err := flags.describe(5)
		require.NoError(t, err)
		var r remoteClient
		require.NoError(t, json.Unmarshal(text, &r))
		how, err := r.read(crew.Share{Worker: 1, Workers: 2}, nil)
		require.NoError(t, err)
		require.Equal(t, 2, how.Connections, "5 of two machines")
		client, err := openRemoteClients(nil)(text, crew.Share{Worker: 1, Workers: 2})
		require.NoError(t, err)
		var answer load.Answer
		client.Do(t.Context(), &targets.Request{Step: &targets.Step{}, Method: "GET", URL: server.URL}, &answer)
		client.Close()
		require.NoError(t, answer.Err, name)
		require.Equal(t, 200, answer.Status)
	}
	_, err := openRemoteClients(nil)([]byte(`{"client":"engine","proxy":"ftp://x","roots":"eA=="}`), crew.Share{Workers: 1})
	require.ErrorContains(t, err, "--proxy: scheme ftp")
	require.ErrorContains(t, err, "--cacert: there is no certificate in it")
}
