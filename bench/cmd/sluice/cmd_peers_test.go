package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/peers"
)

// TestMain lets the test binary be the processes of the measurements: their verbs
// start their own executable again.
func TestMain(m *testing.M) {
	for _, process := range [][]string{{"fanout", fanoutServerVerb}, {"peers", peersServerVerb}, {"scale", scaleServerVerb}, {"scale", scaleWorkerVerb}, {"ab", abSideVerb}, {"rates", ratesServerVerb}, {"telemetry", telemetryServeVerb}, {"memory", memoryServeVerb}, {"memory", memoryWorkVerb}} {
		if len(os.Args) > len(process) && slices.Equal(os.Args[1:1+len(process)], process) {
			main()
		}
	}
	os.Exit(m.Run())
}

func TestThePeersVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "peers", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--case", "--client", "--rounds", "--quick", "--json"} {
		require.Contains(t, out, want)
	}
}

func TestWrongPeersFlagsAreExplained(t *testing.T) {
	for _, args := range [][]string{
		{"--case", "nonsense"}, {"--client", "nonsense"}, {"--rounds", "0"}, {"--quick", "--rounds", "3"},
		{"--case", "crowd-10000", "--client", "nethttp"}, {"--case", "http2-64", "--client", "fasthttp"}, {"--cpuprofile", "x"},
		{"--json", filepath.Join(t.TempDir(), "missing", "file")}, {"extra"},
	} {
		code, out, stderr := sluice(t, append([]string{"peers"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}

func TestOneCaseAloneIsComparedAndWrittenDown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "peers.json")
	code, out, stderr := sluice(t, "peers", "--case", "get-1", "--rounds", "1", "--json", file)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "get-1 500 requests by 1")
	require.NotContains(t, out, "get-64")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows []peers.Row
	require.NoError(t, json.Unmarshal(data, &rows))
	require.Len(t, rows, 7, "guests come to the first round")
	for _, row := range rows {
		require.Equal(t, "get-1", row.Case)
		require.Positive(t, row.CPU)
	}
}
