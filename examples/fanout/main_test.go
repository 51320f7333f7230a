package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inFakeTime does the work in a bubble, and tells how long it took there.
func inFakeTime(t *testing.T, w work, out io.Writer) (did account, api *market, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		listener := memnet.Listen()
		api = &market{}
		server := &http.Server{Handler: api}
		go server.Serve(listener)
		defer server.Close()
		began := time.Now()
		did, err = run(t.Context(), engine.Config{BaseURL: listener.URL(), Dial: engine.Dial{DialContext: listener.DialContext}}, w, out)
		took = time.Since(began)
	})
	return did, api, took, err
}

func TestTenThousandRequestsAreDoneWithinTheLimitsOfTheirSymbols(t *testing.T) {
	var out strings.Builder
	did, api, took, err := inFakeTime(t, work{requests: 10_000, symbols: 500}, &out)
	require.NoError(t, err)
	require.Equal(t, account{done: 10_000, candles: 1_000_000}, did)
	require.Equal(t, 10_000, api.asked)
	require.Zero(t, api.refused)
	require.GreaterOrEqual(t, took, 3*time.Second, "twenty of each symbol, five a second")
	require.Less(t, took, 4*time.Second)
	require.Regexp(t, `(?m)^ 2\.0 s  \d\d\.\d%  \d+ of 10000, \d+ wait for symbol, \d+ on their way, ends in [1-3]\.\d s$`, out.String())
	require.Regexp(t, `(?m)^ \d\.\d s 100\.0%  10000 of 10000, 0 wait, 0 on their way$`, out.String())
	require.NotContains(t, out.String(), "\r")
	require.Equal(t, "done              10000, with 1000000 candles\n", did.String())
}

func TestWorkThatIsCancelledSaysWhatWasDoneAndWhatWasNot(t *testing.T) {
	const after = 1500 * time.Millisecond
	did, api, took, err := inFakeTime(t, work{requests: 10_000, symbols: 500, cancelAfter: after}, io.Discard)
	require.ErrorIs(t, err, context.Canceled)
	var ended *engine.RunError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, after, took, "nothing is waited for that is not needed")
	require.EqualValues(t, ended.Pulled, did.read())
	require.Equal(t, 10_000, did.read()+did.unread, "each request is in one of the numbers")
	require.Equal(t, 5000, did.done, "two windows of five, of each symbol")
	require.Positive(t, did.unsent)
	require.Positive(t, did.unread)
	require.Zero(t, did.failed)
	require.Equal(t, did.done+did.doubt, api.asked, "what is said not to be sent was not")
	require.Regexp(t, `(?m)^not sent +\d+\nnot read +\d+$`, did.String())
}

func TestOnATerminalABarIsDrawnOverItself(t *testing.T) {
	var out strings.Builder
	_, _, _, err := inFakeTime(t, work{requests: 100, symbols: 10, bar: true}, &out)
	require.NoError(t, err)
	frames := strings.Split(out.String(), "\r\x1b[K")
	require.Greater(t, len(frames), 10, "ten a second")
	require.Contains(t, frames[5], "["+strings.Repeat("#", 15)+strings.Repeat("·", 15)+"]  50.0%  50 of 100")
	last := frames[len(frames)-1]
	require.Contains(t, last, "["+strings.Repeat("#", 30)+"] 100.0%  100 of 100")
	require.True(t, strings.HasSuffix(last, "\n"))
	require.False(t, isTerminal(&out))
}

// interrupter presses Ctrl-C when the first line is shown.
type interrupter struct {
	strings.Builder
	once sync.Once
	t    *testing.T
}

func (i *interrupter) Write(text []byte) (int, error) {
	i.once.Do(func() {
		self, err := os.FindProcess(os.Getpid())
		require.NoError(i.t, err)
		require.NoError(i.t, self.Signal(os.Interrupt))
	})
	return i.Builder.Write(text)
}

func TestCtrlCEndsTheProgramInTheMiddleWithAnAccount(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can press Ctrl-C for another there")
	}
	out, wrong := &interrupter{t: t}, &strings.Builder{}
	require.Equal(t, 1, start([]string{"--requests", "100", "--symbols", "5"}, out, wrong))
	require.Equal(t, "fanout: context canceled\n", wrong.String(), "all of the input had been read")
	require.Regexp(t, `(?m)^done +\d\d, with \d+ candles\nnot sent +\d\d$`, out.String())
}

func TestHelpHasAnExampleAndMistakesAreTold(t *testing.T) {
	var out, wrong strings.Builder
	require.Zero(t, start([]string{"--help"}, &out, &wrong))
	require.Contains(t, wrong.String(), "go run ./examples/fanout --requests 20000")
	require.Contains(t, wrong.String(), "-cancel-after")
	require.Equal(t, 2, start([]string{"--symbols", "0"}, &out, &wrong))
	require.Equal(t, 2, start([]string{"--nonsense"}, &out, &wrong))
	require.Empty(t, out.String())
}
