package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/fanout"
)

func TestTheFanoutVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "fanout", "--help")
	require.Zero(t, code)
	for _, want := range []string{
		"Examples:", "Exit codes:", "--connections", "--window", "--requests", "--rounds", "--inputs", "--quick", "--json", "--strict", "64 MB", "1.2", "1.9",
	} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "Available Commands", "its process is its own affair")
}

func TestWrongFanoutFlagsAreExplained(t *testing.T) {
	for _, args := range [][]string{
		{"--connections", "0"}, {"--requests", "0"}, {"--rounds", "0"}, {"--window", "-1"}, {"--inputs", "-1"}, {"--quick", "--rounds", "3"},
		{"--json", filepath.Join(t.TempDir(), "missing", "file")}, {"extra"},
	} {
		code, out, stderr := sluice(t, append([]string{"fanout"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}

func TestAFanoutIsMeasuredAndWrittenDown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fanout.json")
	code, out, stderr := sluice(t, "fanout", "--requests", "200", "--rounds", "2", "--inputs", "1000", "--connections", "4", "--json", file)
	require.Zero(t, code, stderr)
	for _, want := range []string{"1000 inputs in", "medians of 4 slices of 200 requests on 4 connections", "Stream ", "Do ", "net/http ", "bar ≤ 64: met", "bar ≤ 1.2: ", "bar ≥ 1.9: "} {
		require.Contains(t, out, want)
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var told struct {
		Verdicts []fanout.Verdict
		Memory   fanout.Memory
		Costs    map[string][]json.RawMessage
	}
	require.NoError(t, json.Unmarshal(raw, &told))
	require.Len(t, told.Verdicts, 3)
	require.Equal(t, 1000, told.Memory.Inputs)
	require.Positive(t, told.Memory.Late)
	for _, name := range []string{fanout.Stream, fanout.Do, fanout.NetHTTP} {
		require.Len(t, told.Costs[name], 4)
	}
}
