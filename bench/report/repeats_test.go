package report

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
)

func TestWhatTheClientRepeatedIsTold(t *testing.T) {
	run := &results.Run{Total: map[string]*results.Operation{"": {Count: 10, Repeats: 9}, "GET /": {Count: 10, Repeats: 9}}}
	var out bytes.Buffer
	require.NoError(t, Text(&out, run, 0))
	require.Contains(t, out.String(), "repeated    9 times the client sent a request once more")
	out.Reset()
	require.NoError(t, JSON(&out, run))
	require.Contains(t, out.String(), `"repeats": 9`)
	out.Reset()
	run.Total[""].Repeats = 0
	require.NoError(t, Text(&out, run, 0))
	require.NotContains(t, out.String(), "repeated")
}
