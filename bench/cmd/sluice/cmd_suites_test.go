package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheSuitesVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "suites", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--suite", "--mode", "--subset", "--list", "--dir", "Exit codes"} {
		require.Contains(t, out, want)
	}
}

func TestTheSuitesVerbListsWhatThereIs(t *testing.T) {
	code, out, _ := sluice(t, "suites", "--list")
	require.Zero(t, code)
	require.Contains(t, out, "connectrpc.com/connect")
	require.Contains(t, out, "net/http")

	code, out, _ = sluice(t, "suites", "--list", "--subset")
	require.Zero(t, code)
	require.NotContains(t, out, "connectrpc.com/connect")
}

func TestWrongSuitesFlagsAreExplained(t *testing.T) {
	for _, args := range [][]string{{"--suite", "slng"}, {"--mode", "whole"}, {"extra"}} {
		code, out, stderr := sluice(t, append([]string{"suites"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Empty(t, out, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}
