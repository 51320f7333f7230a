// Package browser looks at pages in a headless Chromium, for tests, and notes what they complain
// of and ask for.
package browser

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// axeVersion is the one whose rules the page is held to: others come by choice.
const axeVersion = "4.14.1"

// missing ends a test for which the machine lacks something: with CI=true it fails, for there
// nothing may be lacking.
func missing(t *testing.T, format string, args ...any) {
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// chromium is where the browser is.
func chromium(t *testing.T) string {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "the page is not looked at in a browser: there is none of %s (apt-get install chromium)", strings.Join(names, ", "))
	return ""
}

// Axe is the source of axe-core, as npm has it.
func Axe(t *testing.T) string {
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "the page is not held to the rules of axe-core: there is no npm")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "install", "--prefix", dir, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "axe-core@"+axeVersion)
	if said, err := install.CombinedOutput(); err != nil {
		missing(t, "the page is not held to the rules of axe-core: npm could not fetch it: %v\n%s", err, said)
	}
	source, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err)
	return string(source)
}
