package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/counters"
)

func TestTheCountersVerbPrintsATableAndWritesIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.json")
	code, out, stderr := sluice(t, "counters", "--for", "3m", "--scenario", "haste", "--json", file)
	require.Zero(t, code, out+stderr)
	require.Regexp(t, `engine +decaying, 2.34 a second, up to 125 +15 +\d+ +0 `, out)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows []counters.Row
	require.NoError(t, json.Unmarshal(text, &rows))
	require.Len(t, rows, 1)
	require.Equal(t, 15, rows[0].Meters)
}

func TestTheCountersVerbSaysWhatItCannotPlay(t *testing.T) {
	for _, args := range [][]string{
		{"counters", "--for", "1m"}, {"counters", "--scenario", "nonsense"}, {"counters", "--json", t.TempDir()},
	} {
		code, _, stderr := sluice(t, args...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}
