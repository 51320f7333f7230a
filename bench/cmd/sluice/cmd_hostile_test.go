package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/hostile"
)

func TestTheHostileVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "hostile", "--help")
	require.Zero(t, code)
	for _, want := range append(hostile.Names(), "Examples:", "--seed", "--cases", "--part", "Exit codes") {
		require.Contains(t, out, want)
	}
}

func TestWrongFlagsOfTheHostileVerbAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--cases", "-1"}, {"--part", "none"}, {"--seed", "-1"}, {"extra"}} {
		code, out, stderr := sluice(t, append([]string{"hostile"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}

func TestAPartIsPlayedAlone(t *testing.T) {
	t.Parallel()
	code, out, stderr := sluice(t, "hostile", "--part", "mutants", "--cases", "200", "--seed", "3")
	require.Zero(t, code, out+stderr)
	require.Contains(t, out, "mutants           200        0")
	require.NotContains(t, out, "tunnels")
}
