package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
)

func sluice(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

func TestHelpShowsEveryVerbAndExamples(t *testing.T) {
	code, out, _ := sluice(t, "--help")
	require.Zero(t, code)
	require.Contains(t, out, "exchange")
	code, out, _ = sluice(t, "exchange", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--limit", "--skew", "--delay", "--seed", "Exit codes"} {
		require.Contains(t, out, want)
	}
}

func TestWrongFlagsAreExplainedAllAtOnce(t *testing.T) {
	code, out, stderr := sluice(t, "exchange", "--limit", "weight=x/1m", "--limit", "wait=1/1s",
		"--delay", "5", "--return-delay", "uniform:1ms", "--fault", "200:1", "--ban", "0s", "--for", "-1s")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	for _, want := range []string{`quota "x"`, `kind of limit "wait"`, "--delay", "--return-delay", "--fault", "--ban", "--for", "sluice exchange --help"} {
		require.Contains(t, stderr, want)
	}
	for _, args := range [][]string{{"exchange", "--nonsense"}, {"nonsense"}, {"exchange", "extra"}, {"exchange", "--skew", "soon"}, {"exchange", "--addr", "256.0.0.1:0"}, {"exchange", "--key", ""}} {
		code, _, stderr := sluice(t, args...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}

func TestAPageShowsADemoClientThatKeepsTheLimits(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, in := io.Pipe()
	code := make(chan int)
	go func() {
		var stderr bytes.Buffer
		code <- run(ctx, []string{"exchange", "--addr", "127.0.0.1:0", "--limit", "weight=100/1s,sliding", "--account", "main:k:s", "--page"}, in, &stderr)
		_ = in.CloseWithError(errors.New(stderr.String()))
	}()
	lines := bufio.NewScanner(out)
	url := ""
	for url == "" && lines.Scan() {
		_, url, _ = strings.Cut(lines.Text(), "its live page is at ")
	}
	require.NotEmpty(t, url)
	rest := make(chan string)
	go func() {
		text, _ := io.ReadAll(out)
		rest <- string(text)
	}()
	ended := 0
	for began := time.Now(); ended == 0; time.Sleep(50 * time.Millisecond) {
		require.Less(t, time.Since(began), time.Minute, "for a request to end")
		answer, err := http.Get(url + "state.json")
		require.NoError(t, err)
		var state struct{ Requests struct{ Ended int } }
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&state))
		require.NoError(t, answer.Body.Close())
		ended = state.Requests.Ended
	}
	http.DefaultClient.CloseIdleConnections()
	interrupt()
	require.Zero(t, <-code, "no violation")
	require.NotEmpty(t, <-rest)

	wrong, _, stderr := sluice(t, "exchange", "--addr", "127.0.0.1:0", "--limit", "matching=100/1s,sliding", "--page")
	require.Equal(t, exitUsage, wrong)
	require.Contains(t, stderr, "cannot keep the limit matching")
}

func TestAccountsOfTheExchangeAreGivenByFlags(t *testing.T) {
	f := exchangeFlags{accounts: []string{"alice:key-a:secret:with:colons", "bob:key-b:s"}, ban: 1, banMax: 1}
	c, err := f.config()
	require.NoError(t, err)
	require.Equal(t, []exchange.Account{
		{Name: "alice", Key: "key-a", Secret: "secret:with:colons"}, {Name: "bob", Key: "key-b", Secret: "s"},
	}, c.Accounts)
	code, _, stderr := sluice(t, "exchange", "--account", "key-a:hidden")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "NAME:KEY:SECRET")
	require.NotContains(t, stderr, "hidden")
	code, out := serve(t, func(url string) { hit(t, url+"/api/v3/ping", 200) },
		"--account", "alice:key-a:sa", "--account", "bob:key-b:sb", "--weight", "GET /api/v3/ping=0", "--limit", "orders=2/1s,sliding,symbol")
	require.Zero(t, code, out)
	require.Contains(t, out, "orders=2/1s,sliding,symbol")
	require.Regexp(t, `alice +0 +0 +0 +0 +0\nbob +0 +0 +0 +0 +0\n`, out)
	require.Regexp(t, `GET /api/v3/ping +1 +0 `, out)
}

func TestALimitReplacesTheDefaultsOfItsKind(t *testing.T) {
	limits, err := exchangeLimits([]string{"orders=1/1s,sliding", "orders=5/1m"})
	require.NoError(t, err)
	require.Len(t, limits, 4)
	require.Equal(t, exchange.DefaultLimits()[:2], limits[:2])
	limits, err = exchangeLimits([]string{"none", "weight=1/1s"})
	require.NoError(t, err)
	require.Len(t, limits, 1)
	limits, err = exchangeLimits([]string{"none"})
	require.NoError(t, err)
	require.NotNil(t, limits)
	require.Empty(t, limits)
}

// console is a buffer that a test reads while the command writes.
type console struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// serve runs the exchange verb on a free port, lets visit use it, interrupts
// it, and returns the exit code and what was printed.
func serve(t *testing.T, visit func(url string), flags ...string) (int, string) {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, stderr console
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"exchange", "--addr", "127.0.0.1:0"}, flags...), &out, &stderr)
	}()
	url := regexp.MustCompile(`exchange at (http://\S+)`)
	require.Eventually(t, func() bool { return url.MatchString(out.String()) }, time.Minute, time.Millisecond, stderr.String())
	visit(url.FindStringSubmatch(out.String())[1])
	interrupt()
	return <-code, out.String()
}

func hit(t *testing.T, url string, want int) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, want, resp.StatusCode)
}

func TestAPoliteVisitEndsWithZero(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	code, out := serve(t, func(url string) { hit(t, url+"/api/v3/time", 200) }, "--skew", "2s", "--report", file)
	require.Zero(t, code, out)
	require.Contains(t, out, "violations: 0\n")
	require.Contains(t, out, "clock   +2000 ms ahead")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var report exchange.Report
	require.NoError(t, json.Unmarshal(text, &report))
	require.EqualValues(t, 1, report.Requests)
}

func TestViolationsEndWithOne(t *testing.T) {
	code, out := serve(t, func(url string) {
		hit(t, url+"/api/v3/ping", 200)
		hit(t, url+"/api/v3/ping", 429)
		hit(t, url+"/api/v3/ping", 418)
	}, "--limit", "weight=1/1h,sliding", "--secret", "not to be printed")
	require.Equal(t, exitFound, code)
	require.Contains(t, out, "violations: 2\n")
	require.NotContains(t, out, "not to be printed")
}

func TestItStopsByItselfAfterTheGivenTime(t *testing.T) {
	code, out, stderr := sluice(t, "exchange", "--addr", "127.0.0.1:0", "--for", "1ms")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "violations: 0\n")
}

func TestProgressIsOneLineASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, err := exchange.New(exchange.Config{})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		time.AfterFunc(1500*time.Millisecond, func() {
			ex.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/v3/ping", nil))
		})
		var line console
		showProgress(ctx, ex, &line)
		require.Equal(t, "\r\x1b[K0 requests, 0/s, 0 violations\r\x1b[K1 requests, 1/s, 0 violations\r\x1b[K", line.String())
	})
}

func TestAnyAPICanBeRefereedFromTheCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	code, out := serve(t, func(url string) {
		hit(t, url+"/v1/items", 200)
		hit(t, url+"/v1/other", 404)
		answer, err := http.Get(url + "/metrics")
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Contains(t, string(text), `sluice_exchange_requests_total{route="GET /v1/items",status="200"} 1`)
	}, "--route", "GET /v1/items=weight 2,body [1,2]", "--limit", "weight=10/1h", "--metrics", "--report", file, "--seed", "42", "--ban-factor", "2")
	require.Zero(t, code, out)
	for _, want := range []string{"route   GET /v1/items, weight 2", "metrics at http://", "seed    42", "0 violations in 2 windows, used 30.0 % of the allowance"} {
		require.Contains(t, out, want)
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var report struct {
		Headline string
		Seed     uint64
	}
	require.NoError(t, json.Unmarshal(text, &report))
	require.Contains(t, report.Headline, "0 violations")
	require.EqualValues(t, 42, report.Seed)
}

func TestMetricsHaveAnAddressOfTheirOwnOrOneThatIsTaken(t *testing.T) {
	address := regexp.MustCompile(`metrics at (http://\S+)`)
	code, out := serve(t, func(url string) { hit(t, url+"/metrics", 404) }, "--metrics=127.0.0.1:0")
	require.Zero(t, code, out)
	require.Regexp(t, address, out)
	ex, err := exchange.New(exchange.Config{})
	require.NoError(t, err)
	defer ex.Close()
	f := exchangeFlags{metrics: "127.0.0.1:0"}
	var console console
	end, err := f.startMetrics(&console, "", ex)
	require.NoError(t, err)
	taken := strings.TrimSuffix(strings.TrimPrefix(address.FindStringSubmatch(console.String())[1], "http://"), "/")
	hit(t, "http://"+taken, 200)
	code, _, stderr := sluice(t, "exchange", "--addr", "127.0.0.1:0", "--metrics="+taken)
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "--metrics")
	end()
	http.DefaultClient.CloseIdleConnections()
}

func TestFaultsOfTheCommandLineAreToldAsTheyAreDrawn(t *testing.T) {
	code, out := serve(t, func(url string) { hit(t, url+"/api/v3/time", 503) },
		"--status", "503:100", "--stall", "1ms@0s", "--stall", "1ms@1s", "--delay", "150us:10,2ms:5")
	require.Zero(t, code, out)
	for _, want := range []string{"faults  503:1", "stalls  1ms@0s, 1ms@1s", "delay   150us:10,2ms:5", "503 "} {
		require.Contains(t, out, want)
	}
	code, _, stderr := sluice(t, "exchange", "--status", "503", "--stall", "x", "--route", "x", "--delay", "150us:101", "--fault", "rest:1")
	require.Equal(t, exitUsage, code)
	first, _, _ := strings.Cut(stderr, "\n")
	for _, want := range []string{"--status: ", "--stall: ", "--route: ", "--delay: ", "--fault: "} {
		require.Contains(t, first, want, "one line says all of it")
	}
}
