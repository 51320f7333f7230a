package compare

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/results"
)

// sides starts two processes that make the same requests of a server of this one, with more
// or less to do beside.
func sides(t *testing.T, burdenA, burdenB string) (a, b *Process) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	start := func(burden string) *Process {
		self, err := os.Executable()
		require.NoError(t, err)
		p, err := StartProcess(context.WithoutCancel(t.Context()), []string{self, sideSwitch, burden, server.URL})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Stop()) })
		return p
	}
	return start(burdenA), start(burdenB)
}

// The gate can fail: side B hashes 400 KB for every request, which is work whatever the machine
// is like, and allocates nothing more.
func TestAClientThatBurnsMoreCPUIsFoundAcrossProcesses(t *testing.T) {
	a, b := sides(t, "0", "100")
	runs := 0
	a.Wrote = func(began time.Time, run *results.Run) error {
		runs++
		require.False(t, began.IsZero())
		require.EqualValues(t, 400, run.Total[""].Count)
		return nil
	}
	pressure.Try(t, 4, func() error { // where the host takes the processor away for long, that counts as CPU time
		runs = 0
		report, err := AB{A: a, B: b, Names: [2]string{"idle", "burning"}, Pairs: 12, Requests: 400, Options: Options{Gate: []Figure{CPU}}}.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, 13, runs, "a slice each, and one before")
		if len(report.Regressions()) == 0 {
			return fmt.Errorf("%+v", report.Effects)
		}
		require.Len(t, report.Regressions(), 1, "%+v", report.Effects)
		require.Equal(t, CPU, report.Regressions()[0].Figure)
		for _, e := range report.Effects {
			if e.Figure == Allocs || e.Figure == ResponseP50 {
				require.Positive(t, e.Old)
				require.InEpsilon(t, e.Old, e.New, 10)
			}
		}
		return nil
	})
}

func TestASideThatCannotMakeItsRequestsSaysWhy(t *testing.T) {
	a, _ := sides(t, "0", "0")
	_, err := a.Slice(t.Context(), 1)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	broken, err := StartProcess(t.Context(), []string{self, sideSwitch, "0", "http://127.0.0.1:1/"})
	require.NoError(t, err)
	defer broken.Stop()
	_, err = broken.Slice(t.Context(), 5)
	require.ErrorContains(t, err, "127.0.0.1:1")
	gone, err := StartProcess(t.Context(), []string{self, sideSwitch, "none", "http://127.0.0.1:1/"})
	require.NoError(t, err)
	defer gone.Stop()
	_, err = gone.Slice(t.Context(), 5)
	require.ErrorContains(t, err, "invalid syntax", "what it wrote to its standard error")
}

func TestAnInterruptedSideEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	self, err := os.Executable()
	require.NoError(t, err)
	a, err := StartProcess(ctx, []string{self, sideSwitch, "0", "http://127.0.0.1:1/"})
	require.NoError(t, err)
	cancel()
	_, err = a.Slice(ctx, 1_000_000)
	require.Error(t, err)
	require.Error(t, a.Stop(), "it was killed")
}

func TestOrdersAreServedUntilTheyEnd(t *testing.T) {
	var out bytes.Buffer
	run := func(_ context.Context, n int) (*results.Run, error) {
		if n == 13 {
			return nil, errors.New("unlucky")
		}
		time.Sleep(20 * time.Millisecond) // the CPU clock must move
		for range 1_000_000 {
			burnt[0]++
		}
		return &results.Run{Total: map[string]*results.Operation{"": {Count: uint64(n), Errors: map[string]uint64{"timeout": 2}, Response: results.NewHistogram()}}}, nil
	}
	require.NoError(t, Serve(t.Context(), strings.NewReader(`{"requests":100}{"requests":13}`), &out, run))
	require.Contains(t, out.String(), `"requests":100,"errors":2`)
	require.Contains(t, out.String(), `"error":"unlucky"`)
	require.Error(t, Serve(t.Context(), strings.NewReader(`{`), &out, run))
	require.Error(t, Serve(t.Context(), strings.NewReader(`nonsense`), &out, run))
}
