package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/parked"
)

func TestTheParkedVerbTellsWhatWaitingCostsAndWritesIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "measured.json")
	code, out, stderr := sluice(t, "parked", "--waiting", "2000", "--requests", "500", "--json", file)
	require.NotEqual(t, exitUsage, code, out+stderr) // a machine that is busy may miss a bar
	require.Contains(t, out, "2000 requests wait for a limit")
	require.Contains(t, out, "10,000 submitted")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var measured struct {
		Parking parked.Parking
		Rows    []parked.Row
	}
	require.NoError(t, json.Unmarshal(text, &measured))
	require.Equal(t, 2000, measured.Parking.Requests)
	require.Less(t, measured.Parking.Goroutines, 20)
	require.Less(t, measured.Parking.BytesEach, 2000.0)
	require.Len(t, measured.Rows, 4)
}

func TestTheParkedVerbSaysWhatItCannotMeasure(t *testing.T) {
	for _, args := range [][]string{{"parked", "--waiting", "0"}, {"parked", "--requests", "-1"}, {"parked", "--json", t.TempDir()}} {
		code, _, stderr := sluice(t, args...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}
