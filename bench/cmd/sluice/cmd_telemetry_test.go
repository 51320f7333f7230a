package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheTelemetryVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "telemetry", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--rounds", "--callers", "Exit codes"} {
		require.Contains(t, out, want)
	}
}

func TestWrongFlagsOfTheTelemetryVerbAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "0"}, {"--requests", "0"}, {"--callers", "-1"}, {"--seed", "-1"}, {"extra"}} {
		code, out, stderr := sluice(t, append([]string{"telemetry"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}
