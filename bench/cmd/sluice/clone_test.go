package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatNeedsTheSourceSaysSoOutsideOfAClone(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, verb := range [][]string{{"referee", "--arrivals", "1"}, {"mutants", "--sample", "1"}, {"hostile"}, {"suites"}} {
		code, out, stderr := sluice(t, verb...)
		require.Equal(t, exitUsage, code, "%s: %s%s", verb, out, stderr)
		require.Contains(t, stderr, "run it in a clone", "%s", verb)
	}
}
