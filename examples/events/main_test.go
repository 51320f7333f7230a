package main

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNoPriceIsMissedThoughTheConnectionBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := memnet.Listen()
		server := &http.Server{Handler: http.HandlerFunc(serve)}
		go server.Serve(listener)
		defer server.Close()
		var out strings.Builder
		require.NoError(t, run(t.Context(), engine.Config{BaseURL: listener.URL(), Dial: engine.Dial{DialContext: listener.DialContext}}, &out))
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		require.Len(t, lines, prices+3)
		require.Equal(t, "1: price 60001", lines[0])
		require.Contains(t, lines[5], "connection 1: EOF; again in ")
		require.Contains(t, lines[10], "connection 2: the stream of events brought no byte")
		require.Equal(t, "12: price 60012", lines[13])
	})
}
