package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheMutantsVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "mutants", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--rule", "--sample", "--jobs", "Exit codes"} {
		require.Contains(t, out, want)
	}
}

func TestWrongMutantsFlagsAreExplained(t *testing.T) {
	for _, args := range [][]string{{"--rule", "99"}, {"--rule", "x"}, {"--rule", "1", "--root", t.TempDir()}, {"extra"}} {
		code, out, stderr := sluice(t, append([]string{"mutants"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}
