package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatWasToldIsPrinted(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Regexp(t, `http\.client\.request\.duration +15 times, `, out.String())
	require.Regexp(t, `sluice\.limit\.quota +20 \{weight\} \{sluice\.limit\.id=weight\}`, out.String())
	require.Regexp(t, `sluice\.permit\.wait\.duration +\d+ times, `, out.String())
	require.Contains(t, out.String(), "15 spans, the slowest of them:\nGET took ")
}
