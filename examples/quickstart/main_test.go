package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheQuickstartRunsWithoutAViolation(t *testing.T) {
	require.NoError(t, run(t.Context()))
}
