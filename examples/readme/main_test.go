package main

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/exchange/memnet"
)

// A minute at the limits, in fake time: nothing is refused.
func TestTheReadmesProgramTradesAMinuteWithoutAViolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delay, err := exchange.ParseDelay("uniform:5ms-50ms")
		require.NoError(t, err)
		ex, err := exchange.New(exchange.Config{Skew: 3 * time.Second, Delay: delay, ReturnDelay: delay, Seed: 1})
		require.NoError(t, err)
		listener := memnet.Listen()
		go ex.Serve(listener)

		config := configure(listener.URL(), exchange.DemoKey, exchange.DemoSecret)
		config.Dial.DialContext = listener.DialContext
		require.NoError(t, trade(t.Context(), config, time.Minute))

		report := ex.Report()
		require.Zero(t, report.Violations(), "%s", report)
		require.Zero(t, report.Banned)
		require.Greater(t, report.Requests, int64(600), "the quotas of two minutes are used")
		for _, route := range report.Routes {
			require.Empty(t, route.Statuses["429"], route.Route)
		}
		require.NoError(t, ex.Close())
	})
}

// Every piece of Go in the README that calls the engine stands in main.go, line
// by line, but for the program that it begins with.
func TestTheReadmeSaysWhatThisProgramDoes(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	pieces := 0
	for i, piece := range strings.Split(string(readme), "```go\n") {
		if i == 0 {
			continue
		}
		code, _, _ := strings.Cut(piece, "```")
		if strings.HasPrefix(code, "package main\n") {
			continue // the whole of examples/first, which looks itself
		}
		pieces++
		requireInOrder(t, string(program), code)
	}
	require.Positive(t, pieces)
}

// requireInOrder asserts that the lines of code stand in a program in their
// order; blank lines and lines of the README's own bracketing apart.
func requireInOrder(t *testing.T, program, code string) {
	t.Helper()
	rest := strings.Split(program, "\n")
	for line := range strings.Lines(code) {
		want := strings.TrimSpace(line)
		if want == "" {
			continue
		}
		at := 0
		for at < len(rest) && strings.TrimSpace(rest[at]) != want {
			at++
		}
		require.Less(t, at, len(rest), "the README says %q, and the program does not, or earlier", want)
		rest = rest[at+1:]
	}
}
