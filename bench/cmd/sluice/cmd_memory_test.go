package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheMemoryVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "memory", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--kills", "--cost", "--most", "Exit codes"} {
		require.Contains(t, out, want)
	}
}

func TestWrongFlagsOfTheMemoryVerbAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--kills", "0"}, {"--least", "2s", "--most", "1s"}, {"--cost", "--rounds", "0"}, {"--seed", "-1"}, {"extra"}} {
		code, out, stderr := sluice(t, append([]string{"memory"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}
