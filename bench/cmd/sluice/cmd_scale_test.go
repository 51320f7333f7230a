package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/scale"
)

func TestTheScaleVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "scale", "--help")
	require.Zero(t, code)
	for _, want := range []string{
		"Examples:", "Exit codes:", "--curve", "--points", "--rounds", "--quick", "--html", "--json", "--markdown", "--strict", "--limit",
		"ledger-keys", "connections",
	} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "Available Commands", "its processes are its own affair")
}

func TestWrongScaleFlagsAreExplained(t *testing.T) {
	for _, args := range [][]string{
		{"--curve", "nonsense"}, {"--rounds", "0"}, {"--limit", "0s"}, {"--within", "-1s"}, {"--quick", "--rounds", "3"},
		{"--points", "10"}, {"--points", "10", "--curve", "limits,new"}, {"--points", "ten", "--curve", "limits"},
		{"--html", filepath.Join(t.TempDir(), "missing", "file")}, {"--json", filepath.Join(t.TempDir(), "missing", "file")}, {"extra"},
	} {
		code, out, stderr := sluice(t, append([]string{"scale"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}

func TestOneCurveIsMeasuredAndWrittenDown(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	page, figures := filepath.Join(folder, "scale.html"), filepath.Join(folder, "scale.json")
	code, out, stderr := sluice(t, "scale", "--quick", "--curve", "heavy", "--points", "50,100", "--html", page, "--json", figures)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "heavy: A heavy request at a full window")
	require.NotContains(t, out, "feedback")
	require.Contains(t, stderr, "point 2 of 2: heavy 100")
	require.Contains(t, stderr, "left")

	html, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(html), "<svg")
	data, err := os.ReadFile(figures)
	require.NoError(t, err)
	var result scale.Result
	require.NoError(t, json.Unmarshal(data, &result))
	require.Len(t, result.Curves, 1)
	require.Len(t, result.Curves[0].Points, 3)
}

// A full ledger refuses such a weight, and so the point does not come to its end.
func TestOnlyAStrictRunFailsWithItsPoints(t *testing.T) {
	args := []string{"scale", "--quick", "--curve", "heavy", "--points", "1M"}
	code, out, _ := sluice(t, args...)
	require.Zero(t, code)
	require.Contains(t, out, "unfinished points: 1")
	code, _, stderr := sluice(t, append(args, "--strict")...)
	require.Equal(t, exitFound, code)
	require.Contains(t, stderr, "unfinished points: 1")
}

func TestAStrictRunWantsEveryBarMet(t *testing.T) {
	bar := func(met bool) *scale.Result {
		point := scale.Point{Verdicts: []scale.Verdict{{Met: true}, {Met: met}}}
		return &scale.Result{Elapsed: time.Second, Curves: []scale.Line{{Points: []scale.Point{point}}}}
	}
	require.NoError(t, strictly(bar(true)))
	require.EqualError(t, strictly(bar(false)), "1 of 2 bars missed, unfinished points: 0")
}
