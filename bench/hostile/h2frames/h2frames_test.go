package h2frames

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	only    = flag.String("case", "", "those cases alone whose name contains it")
	verbose = flag.Bool("each", false, "print every case")
	asked   = flag.Bool("opinion", false, "ask net/http as well")
)

func TestNoFramesOfAServerBreakAPromise(t *testing.T) {
	report, err := Run(t.Context(), Options{Only: *only, Verbose: *verbose, Opinion: *asked, Out: os.Stdout})
	require.NoError(t, err)
	require.Empty(t, report.Violations)
	if *only == "" {
		require.GreaterOrEqual(t, report.Cases, 80)
	}
}

func TestEachCaseHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range Names() {
		require.False(t, seen[name], name)
		require.NotEmpty(t, strings.TrimSpace(name))
		seen[name] = true
	}
}
