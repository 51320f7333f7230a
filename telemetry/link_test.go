package telemetry_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// linked are the packages that a program has which imports one of the module.
func linked(t *testing.T, path string) map[string]bool {
	t.Helper()
	list, err := exec.Command("go", "list", "-deps", path).Output()
	require.NoError(t, err)
	all := map[string]bool{}
	for _, name := range strings.Fields(string(list)) {
		all[name] = true
	}
	return all
}

// docs/decisions/0012: this package stands in the module of the engine because of it. What
// OpenTelemetry brings, the actor library has brought already.
func TestTelemetryLinksNothingThatTheEngineDoesNot(t *testing.T) {
	alone, told := linked(t, "../engine"), linked(t, ".")
	require.Greater(t, len(alone), 100)
	const own = "github.com/sluice-engine/sluice/telemetry"
	require.True(t, told[own])
	require.False(t, alone[own], "the engine imports telemetry")
	for name := range told {
		require.True(t, alone[name] || name == own, "telemetry links %s", name)
	}
}

func TestTheEngineItselfDoesNotImportOpenTelemetry(t *testing.T) {
	list, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../engine/...", "../actors/...", "../messages/...", "../throttle/...", "../auth/...", "../memory/...", "../internal/...").Output()
	require.NoError(t, err)
	require.Contains(t, string(list), "sluice/engine ")
	require.NotContains(t, string(list), "go.opentelemetry.io")
}
