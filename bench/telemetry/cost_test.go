package telemetry

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/peers"
)

// The server is this test program again.
const inChild = "SLUICE_TELEMETRY_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(inChild) != "" {
		if err := peers.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// Each slice is checked to have told of all its requests, or Run fails.
func TestEveryWayToObserveIsMeasuredAgainstNone(t *testing.T) {
	t.Setenv(inChild, "yes")
	self, err := os.Executable()
	require.NoError(t, err)
	for _, plain := range []bool{false, true} {
		rounds := 0
		r, err := Run(t.Context(), Config{
			Server: []string{self}, Plain: plain, Rounds: 1, Requests: 300, Callers: 2, Seed: 1, Progress: func(int, int) { rounds++ },
		})
		require.NoError(t, err)
		require.Equal(t, 2, rounds)
		wantAllSubjects(t, r)
	}
}

func wantAllSubjects(t *testing.T, r *Result) {
	require.Len(t, r.Subjects, len(subjects)+len(lookedAt))
	bars := map[string]float64{}
	for i, s := range r.Subjects {
		require.Positive(t, s.CPU, s.Name)
		require.Equal(t, i == 0 || i == len(subjects), s.Ratio == 0, s.Name)
		bars[s.Name] = s.Bar
	}
	require.Equal(t, 1.01, bars["off: no providers"])
	require.Equal(t, 1.05, bars["metrics"])
	require.Equal(t, 1.06, bars["traces, 1 % sampled"])
	require.Equal(t, 1.15, bars["traces, all sampled"])
	require.Equal(t, 1.02, bars["live page, one viewer"])
	require.Equal(t, 1.02, bars["live page without its observer, one viewer"])
}

func TestASliceThatWasNotToldOfIsAnError(t *testing.T) {
	for _, s := range subjects {
		if !s.metrics && s.traces == 0 {
			continue
		}
		c := &client{subject: s}
		require.NoError(t, c.open(server{origin: "http://127.0.0.1:1"}))
		err := c.told(t.Context(), 10_000)
		require.NoError(t, c.close())
		require.Error(t, err, s.name)
	}
}

func TestAVerdictIsTheWholeIntervals(t *testing.T) {
	r := &Result{Config: Config{Rounds: 3}, Subjects: []Subject{
		{Name: "none", CPU: 20}, // and no ratio
		{Name: "a", Bar: 1.05, Ratio: 1.02, Interval: gauge.Interval{Low: 1.01, High: 1.04}},
		{Name: "b", Bar: 1.05, Ratio: 1.05, Interval: gauge.Interval{Low: 1.01, High: 1.06}},
		{Name: "c", Bar: 1.05, Ratio: 1.09, Interval: gauge.Interval{Low: 1.06, High: 1.12}},
		{Name: "d", Ratio: 9, Interval: gauge.Interval{Low: 8, High: 10}},
	}}
	require.Equal(t, 1, r.Exceeding())
	var out strings.Builder
	require.NoError(t, r.WriteText(&out))
	for _, want := range []string{"1.05: kept", "1.05: not decided", "1.05: exceeded", "9.000", "8.000 to 10.000"} {
		require.Contains(t, out.String(), want)
	}
}
