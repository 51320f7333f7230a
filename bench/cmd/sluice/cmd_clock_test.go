package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/clocks"
)

func TestTheClockVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "clock", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--json", "--quick", "--seed", "--day", "--signed", "Exit codes"} {
		require.Contains(t, out, want)
	}
}

func TestWrongFlagsOfTheClockVerbAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"--signed", "0"}, {"--signed", "-1"}, {"--day", "--signed", "1"}, {"--quick", "--signed", "1"},
		{"--seed", "x"}, {"extra"}, {"--json", filepath.Join(t.TempDir(), "no", "such", "folder")},
	} {
		code, out, stderr := sluice(t, append([]string{"clock"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}

func TestTheDayIsPrintedAndWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "day.json")
	code, out, stderr := sluice(t, "clock", "--day", "--quick", "--json", file)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "kept    orders accepted after the caller's deadline: 0 of ")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows []clocks.DayRow
	require.NoError(t, json.Unmarshal(text, &rows))
	require.NotEmpty(t, rows)
}

func TestSignedRequestsAreSentAndJudged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "live.json")
	code, out, stderr := sluice(t, "clock", "--signed", "100", "--json", file)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "100 signed: 100 accepted")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var rows []clocks.LiveRow
	require.NoError(t, json.Unmarshal(text, &rows))
	require.Equal(t, 100, rows[0].Accepted)
}

func TestABrokenPromiseIsAFinding(t *testing.T) {
	err := concludeClock(outputs{people: &console{}}, "", []clocks.Row{}, []clocks.Verdict{{Kept: true}, {Kept: false}})
	require.ErrorIs(t, err, finding{"1 of 2 promises broken"})
	require.NoError(t, concludeClock(outputs{people: &console{}}, "", []clocks.Row{}, []clocks.Verdict{{Kept: true}}))
}
