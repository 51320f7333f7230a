package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/doctor"
)

func TestTheDoctorVerbExplainsItself(t *testing.T) {
	code, out, _ := sluice(t, "doctor", "--help")
	require.Zero(t, code)
	for _, want := range []string{"Examples:", "--quick", "--json", "Exit codes"} {
		require.Contains(t, out, want)
	}
	for _, args := range [][]string{{"extra"}, {"--nonsense"}, {"--json=" + filepath.Join(t.TempDir(), "missing", "file")}} {
		code, _, stderr := sluice(t, append([]string{"doctor"}, args...)...)
		require.Equal(t, exitUsage, code, args)
		require.Contains(t, stderr, "sluice: ", args)
	}
}

func TestAnInterruptedDoctorStillReports(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var out, stderr bytes.Buffer
	code := run(ctx, []string{"doctor", "--json"}, &out, &stderr)
	require.Equal(t, exitFound, code, "nobody is told that all is well")
	var report doctor.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), "the standard output is JSON alone")
	require.True(t, report.Interrupted)
	require.NotEmpty(t, report.Findings)
	require.Contains(t, stderr.String(), "processors", "the lines are beside it")

	out.Reset()
	code = run(ctx, []string{"doctor"}, &out, &stderr)
	require.Equal(t, exitFound, code)
	require.Contains(t, out.String(), "Interrupted")
	require.Contains(t, stderr.String(), "sluice: interrupted: ")
}
