package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const whole = 3 << 20

// saved runs the program against a store, and returns what it says.
func saved(t *testing.T, s *store, path string) string {
	listener := memnet.Listen()
	server := &http.Server{Handler: s}
	go server.Serve(listener)
	defer server.Close()
	var out strings.Builder
	require.NoError(t, run(t.Context(), engine.Config{BaseURL: listener.URL(), Dial: engine.Dial{DialContext: listener.DialContext}}, path, &out))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, string(content) == string(s.content), "the file is whole")
	left, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Equal(t, []string{path}, left, "and nothing is beside it")
	return out.String()
}

func TestADownloadGoesOnWhereItWasCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(whole, true)
		out := saved(t, s, filepath.Join(t.TempDir(), "klines.zip"))
		require.Equal(t, 2, strings.Count(out, "cut off: "))
		require.Contains(t, out, "100 %\n")
		require.EqualValues(t, 3, s.asked.Load())
		require.EqualValues(t, whole, s.served.Load(), "no byte was sent twice")
	})
}

func TestAServerWithoutRangesIsAskedForTheWholeFileAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(whole, false)
		saved(t, s, filepath.Join(t.TempDir(), "klines.zip"))
		require.EqualValues(t, 3, s.asked.Load())
		require.Greater(t, s.served.Load(), int64(whole))
	})
}

// A part of an older version must not become the beginning of a newer one.
func TestAFileThatHasChangedMeanwhileIsReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "klines.zip")
		require.NoError(t, os.WriteFile(path+".part", []byte("of an older one"), 0o666))
		require.NoError(t, os.WriteFile(path+".etag", []byte(`"0"`), 0o666))
		saved(t, newStore(whole, true), path)
	})
}
