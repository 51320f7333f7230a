package suites

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/suites/carrier"
)

// standIn is a project whose binary for an engine is a script.
func standIn(t *testing.T, script string) *project {
	t.Helper()
	p := &project{
		workshop: workshop{dir: t.TempDir()}, suite: Suite{Name: "s", Excluded: []Exclusion{{Test: "TestNet"}}},
		tested: tested{path: "x", dir: t.TempDir()}, silence: time.Minute, told: func(string) {},
	}
	name := p.binary(carrier.Read)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o755))
	return p
}

func TestABinaryIsAskedForTheTestsThatAreChosen(t *testing.T) {
	p := standIn(t, `echo "$@"`+"\n")
	said, err := p.execute(t.Context(), carrier.Read, some{only: []string{"TestA"}, without: []string{"TestB"}, silence: 10 * time.Second})
	require.NoError(t, err)
	for _, want := range []string{"-test.run=^(TestA)$", "-test.skip=^TestB$|^TestNet$", "-test.timeout=50s"} {
		require.Contains(t, said.String(), want)
	}
	said, err = p.execute(t.Context(), carrier.Read, some{})
	require.NoError(t, err)
	require.NotContains(t, said.String(), "-test.run")
	require.Contains(t, said.String(), "-test.timeout=2m0s")
}

func TestABinaryThatSaysNothingIsEnded(t *testing.T) {
	p := standIn(t, "echo begun\nexec sleep 60\n")
	began := time.Now()
	said, err := p.execute(t.Context(), carrier.Read, some{silence: 50 * time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, "begun\n", said.String())
	require.Less(t, time.Since(began), 30*time.Second)
}

func TestWhatATestTookIsKnown(t *testing.T) {
	p := standIn(t, "echo '=== RUN   TestA'\necho '--- PASS: TestA (15.03s)'\necho PASS\n")
	out, err := p.once(t.Context(), carrier.Read, some{})
	require.NoError(t, err)
	require.Equal(t, map[string]time.Duration{"TestA": 15030 * time.Millisecond}, out.Took)
}

func TestAListedTestIsRunUntilItDiffers(t *testing.T) {
	// Every second run fails. The script knows by a file.
	p := standIn(t, `echo '=== RUN   TestA'
if [ -e seen ]; then rm seen; echo '--- FAIL: TestA (0.00s)'; echo FAIL; exit 1; fi
touch seen
echo '--- PASS: TestA (0.00s)'
echo PASS
`)
	known := Outcomes{Verdicts: map[string]Verdict{"TestA": Pass}}
	all := Outcomes{Verdicts: map[string]Verdict{}, Output: map[string]string{}}
	require.NoError(t, p.apart(t.Context(), carrier.Read, []string{"TestA"}, known, &all))
	require.Equal(t, map[string]Verdict{"TestA": Fail}, all.Verdicts)
}
