package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/referee"
)

func TestTheRefereeVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "referee", "--help")
	require.Zero(t, code)
	for _, want := range append(referee.Names(), "Examples:", "--seed", "--arrivals", "--scenario", "Exit codes") {
		require.Contains(t, out, want)
	}
}

func TestWrongFlagsOfTheRefereeVerbAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--arrivals", "0"}, {"--scenario", "none"}, {"--seed", "-1"}, {"extra"}} {
		code, out, stderr := sluice(t, append([]string{"referee"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}

func TestAScenarioIsPlayedAlone(t *testing.T) {
	t.Parallel()
	code, out, stderr := sluice(t, "referee", "--scenario", "blind", "--arrivals", "3000", "--seed", "3")
	require.Zero(t, code, out+stderr)
	require.Contains(t, out, "blind        seed 3: ")
	require.Contains(t, out, ", 0 violations")
}
