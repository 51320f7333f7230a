package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/limits"
)

func TestLimitsHelpShowsFlagsAndExamples(t *testing.T) {
	code, out, _ := sluice(t, "limits", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--fuzz", "--world", "--scenario", "--seed", "--quick", "--json", "Exit codes"} {
		require.Contains(t, out, want)
	}
}

func TestOneScenarioIsPlayedAndWrittenDown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scenarios.json")
	code, out, stderr := sluice(t, "limits", "--quick", "--scenario", "sliding-100", "--client", "sluice,plainlog", "--json-scenarios", file)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "goal met")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var outcomes []limits.Outcome
	require.NoError(t, json.Unmarshal(data, &outcomes))
	require.Len(t, outcomes, 2)
	require.Zero(t, outcomes[0].Refused)
	require.Positive(t, outcomes[1].Refused)
}

func TestTheGridIsWrittenAsJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "grid.json")
	_, out, _ := sluice(t, "limits", "--quick", "--client", "sluice", "--json", file)
	require.Contains(t, out, "utilisation in %")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows []limits.Row
	require.NoError(t, json.Unmarshal(data, &rows))
	require.Len(t, rows, 16)
}

func TestRandomWorldsAreCountedAndShown(t *testing.T) {
	code, out, stderr := sluice(t, "limits", "--fuzz", "100ms", "--seed", "5")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "0 refused")
	code, out, stderr = sluice(t, "limits", "--world", "5")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "world 5 (")
}

func TestWrongLimitsFlagsAreExplained(t *testing.T) {
	for _, args := range [][]string{
		{"--scenario", "nonsense"}, {"--client", "nonsense"}, {"--fuzz", "0s"}, {"--fuzz", "1s", "--world", "3"},
		{"--json", filepath.Join(t.TempDir(), "missing", "file")}, {"extra"},
	} {
		code, _, stderr := sluice(t, append([]string{"limits"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}
