package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// serverCommand makes the test binary the server.
func serverCommand(t *testing.T) []string {
	t.Helper()
	t.Setenv(serverSwitch, "1")
	self, err := os.Executable()
	require.NoError(t, err)
	return []string{self}
}

func tinyCases() []Case {
	return []Case{{Name: "get-64", Callers: 64, Requests: 200}, {Name: "get-1", Callers: 1, Requests: 20}}
}

func TestTheWholeComparisonRuns(t *testing.T) {
	var told []int
	result, err := Run(t.Context(), Config{
		Server:   serverCommand(t),
		Cases:    tinyCases(),
		Rounds:   1,
		Seed:     7,
		Progress: func(done, _ int) { told = append(told, done) },
	})
	require.NoError(t, err)
	require.Equal(t, []int{0}, told)
	require.Equal(t, 1, result.Rounds)
	require.Len(t, result.Rows, 6)

	for i, row := range result.Rows {
		require.Equal(t, tinyCases()[i/3].Name, row.Case)
		require.Equal(t, []string{Engine, NetHTTP, FastHTTP}[i%3], row.Client)
		require.Positive(t, row.CPU)
		require.Positive(t, row.Wall)
		require.GreaterOrEqual(t, row.Bytes, float64(len(answer)), "the caller owns the body")
		require.Positive(t, row.Allocs)
		if row.Client != Engine {
			require.Empty(t, row.CPURatio)
			continue
		}
		for _, peer := range []string{NetHTTP, FastHTTP} {
			ratio, ci := row.CPURatio[peer], row.CPURatioCI[peer]
			require.Positive(t, ratio)
			require.LessOrEqual(t, ci.Low, ratio)
			require.GreaterOrEqual(t, ci.High, ratio)
		}
	}
}

func TestASingleClientRunsWithoutRatios(t *testing.T) {
	result, err := Run(t.Context(), Config{
		Server: serverCommand(t), Cases: tinyCases()[1:], Rounds: 1, Clients: []string{Engine},
	})
	require.NoError(t, err)
	require.Len(t, result.Rows, 1)
	require.Nil(t, result.Rows[0].CPURatio)
}

func TestTheTimeBoundEndsTheComparisonAfterAWholeRound(t *testing.T) {
	result, err := Run(t.Context(), Config{
		Server: serverCommand(t), Cases: tinyCases()[1:], Rounds: 1000, Within: time.Nanosecond,
		Clients: []string{FastHTTP},
	})
	require.NoError(t, err)
	require.Equal(t, 1, result.Rounds)
}

func TestAnInterruptedComparisonSaysWhy(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	_, err := Run(ctx, Config{
		Server: serverCommand(t), Cases: tinyCases(), Rounds: 1000, Clients: []string{FastHTTP},
		Progress: func(done, _ int) {
			if done == 1 {
				cancel(enough)
			}
		},
	})
	require.ErrorIs(t, err, enough)
}

func TestEveryMistakeInAConfigurationIsNamedAtOnce(t *testing.T) {
	_, err := Run(t.Context(), Config{
		Clients: []string{"curl", NetHTTP, NetHTTP},
		Cases:   []Case{{Name: "none", Callers: 0, Requests: 1}},
		Rounds:  -1,
		Within:  -time.Second,
	})
	for _, mistake := range []string{"server process", `"curl" is unknown`, "named twice", `"none": 0 callers`, "-1 rounds", "-1s"} {
		require.ErrorContains(t, err, mistake)
	}
}

func TestAServerThatCannotStartIsAnError(t *testing.T) {
	_, err := Run(t.Context(), Config{Server: []string{filepath.Join(t.TempDir(), "missing")}})
	require.ErrorContains(t, err, "server process")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAServerThatEndsBeforeItListensIsAnError(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	_, err = Run(t.Context(), Config{Server: []string{self, "-test.run=^$", "-test.v=false", "-test.list=^nothing$"}})
	require.ErrorContains(t, err, "ended before it listened")
}

// Each client, against a server that answers something else.
func TestNoClientAcceptsAnotherAnswer(t *testing.T) {
	wrong := map[string]http.HandlerFunc{
		"status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); _, _ = w.Write([]byte(answer)) },
		"length": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer[1:])) },
	}
	for what, handler := range wrong {
		server := httptest.NewServer(handler)
		defer server.Close()
		for _, name := range ClientNames() {
			t.Run(what+" "+name, func(t *testing.T) {
				client, err := openClient(name, site{origin: server.URL}, 1)
				require.NoError(t, err)
				defer client.Close()
				require.Equal(t, name, client.Name())
				require.ErrorIs(t, client.Get(t.Context()), errWrongAnswer)
			})
		}
	}
}

// The child answers on its own loopback port and is gone once its input ends,
// which is what happens when its parent dies.
func TestTheServerEndsWithItsParent(t *testing.T) {
	server, err := startServer(t.Context(), serverCommand(t))
	require.NoError(t, err)
	client, err := openClient(FastHTTP, server.sites[HTTP], 1)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Get(t.Context()))

	require.NoError(t, server.Stop(), "it ends by itself, with success")
}

func TestTheServerAnswersOnlyItsOnePath(t *testing.T) {
	server, err := startServer(t.Context(), serverCommand(t))
	require.NoError(t, err)
	defer server.stop()
	resp, err := http.Get(server.sites[HTTP].origin + "/other")
	require.NoError(t, err)
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestTheAnswerIsSmallJSON(t *testing.T) {
	require.True(t, json.Valid([]byte(answer)))
	require.InDelta(t, 130, len(answer), 15)
}

func sampleResult() *Result {
	return &Result{
		Rows: []Row{
			{Case: "get-64", Client: Engine, CPU: 20, Wall: 30, Allocs: 7, Bytes: 800,
				CPURatio:   map[string]float64{NetHTTP: 0.5, FastHTTP: 1.25},
				CPURatioCI: map[string]gauge.Interval{NetHTTP: {Low: 0.45, High: 0.55}, FastHTTP: {Low: 1.2, High: 1.3}}},
			{Case: "get-64", Client: NetHTTP, CPU: 40, Wall: 50, Allocs: 50, Bytes: 4000},
			{Case: "get-64", Client: FastHTTP, CPU: 16, Wall: 25, Allocs: 1, Bytes: 130},
			{Case: "http2-64", Client: FastHTTP, Cannot: "it speaks no HTTP/2"},
		},
		Rounds: 75, Cases: Cases(), Seed: 42, Elapsed: 61 * time.Second,
	}
}

func TestTheJSONIsAnArrayOfRows(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, sampleResult().WriteJSON(&out))
	require.JSONEq(t, `[
	  {"case": "get-64", "client": "engine", "cpu_us_per_request": 20, "wall_us_per_request": 30,
	   "allocs_per_request": 7, "bytes_per_request": 800, "cpu_ratio": {"nethttp": 0.5, "fasthttp": 1.25},
	   "cpu_ratio_ci95": {"nethttp": {"low": 0.45, "high": 0.55}, "fasthttp": {"low": 1.2, "high": 1.3}}},
	  {"case": "get-64", "client": "nethttp", "cpu_us_per_request": 40, "wall_us_per_request": 50,
	   "allocs_per_request": 50, "bytes_per_request": 4000},
	  {"case": "get-64", "client": "fasthttp", "cpu_us_per_request": 16, "wall_us_per_request": 25,
	   "allocs_per_request": 1, "bytes_per_request": 130},
	  {"case": "http2-64", "client": "fasthttp", "cannot": "it speaks no HTTP/2", "cpu_us_per_request": 0,
	   "wall_us_per_request": 0, "allocs_per_request": 0, "bytes_per_request": 0}
	]`, out.String())
}

func TestTheTableStandsUnderEverythingNeededToJudgeIt(t *testing.T) {
	var out bytes.Buffer
	env := ReadEnvironment()
	require.NoError(t, sampleResult().WriteTable(&out, env))
	for _, text := range []string{
		env.Command, env.CPU, env.Go, "75 rounds", "150 pairs", "seed 42", "get-1 500 requests by 1",
		"0.50 [0.45, 0.55]", "1.25 [1.20, 1.30]",
	} {
		require.Contains(t, out.String(), text)
	}
	require.Regexp(t, `get-64 +nethttp +40\.00 .*0\.50 \[0\.45, 0\.55\]`, out.String())
	require.Regexp(t, `get-64 +fasthttp +16\.00 .*1\.25 \[1\.20, 1\.30\]`, out.String())
	require.Regexp(t, `http2-64 +fasthttp +– .*it speaks no HTTP/2`, out.String())
}
