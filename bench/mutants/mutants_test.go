package mutants

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// aModule has one rule and one test of it, which looks at half of the rule.
func aModule(t *testing.T) (root string) {
	t.Setenv("GOWORK", "off")
	root = t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module module.test\n\ngo 1.26\n",
		"even/even.go": "package even\n\nfunc Is(n int) bool {\n\tif n < 0 {\n\t\treturn false\n\t}\n\treturn n%2 == 0\n}\n",
		"even/even_test.go": "package even\n\nimport \"testing\"\n\n" +
			"func TestOddIsNot(t *testing.T) {\n\tif Is(3) || !Is(4) {\n\t\tt.Fatal()\n\t}\n}\n",
	} {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	return root
}

func TestAMutantIsKilledSurvivesOrProvesNothing(t *testing.T) {
	root := aModule(t)
	without := func(what, old, replaced string) Mutant {
		return Mutant{Rule: 1, Without: what, File: "even/even.go", Old: old, New: replaced, Test: "TestOddIsNot"}
	}
	told := 0
	outcomes, err := Run(t.Context(), Config{Root: root, Jobs: 2, Told: func(Outcome) { told++ }, Mutants: []Mutant{
		without("oddity", "n%2 == 0", "true"),
		without("sign", "n < 0", "false"),
		without("sense", "n%2 == 0", "n%2 = 0"),
		without("a place", "n%3", ""),
		without("one place", "return", ""),
		without("an end of its own", "n%2 == 0", "func() bool { panic(n) }()"),
	}})
	require.NoError(t, err)
	require.Equal(t, 6, told)
	for i, want := range []Fate{Killed, Survived, Unproven, Unproven, Unproven, Killed} {
		require.Equal(t, want, outcomes[i].Fate, outcomes[i].Mutant)
		require.Equal(t, want == Unproven, outcomes[i].Reason != nil)
	}
	require.ErrorContains(t, outcomes[2].Reason, "does not build")
	require.ErrorContains(t, outcomes[3].Reason, "holds 0 times")
	require.ErrorContains(t, outcomes[4].Reason, "holds 2 times")

	var table bytes.Buffer
	failures, err := WriteTable(&table, outcomes)
	require.NoError(t, err)
	require.Equal(t, 4, failures)
	require.Contains(t, table.String(), "2 of 6 mutants killed")
}

func TestTestsThatProveNothingByThemselvesAreAnError(t *testing.T) {
	root := aModule(t)
	missing := Mutant{Rule: 1, File: "even/even.go", Old: "n%2 == 0", New: "true", Test: "TestMissing"}
	_, err := Run(t.Context(), Config{Root: root, Mutants: []Mutant{missing}})
	require.ErrorContains(t, err, "TestMissing does not pass")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	missing.Test = "TestOddIsNot"
	_, err = Run(ctx, Config{Root: root, Mutants: []Mutant{missing}})
	require.Error(t, err)
}

func TestEveryMutantCanBeMade(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, m := range All {
		_, err := m.source(root)
		require.NoError(t, err, m)
		require.False(t, seen[m.String()], "%v is there twice", m)
		seen[m.String()] = true
	}
}

func TestASampleTakesSomeOfEveryRule(t *testing.T) {
	all, err := Choose(nil, 0)
	require.NoError(t, err)
	require.Len(t, all, len(All))
	some, err := Choose(nil, 2)
	require.NoError(t, err)
	require.Len(t, some, 2*(len(Rules)-1))
	five, err := Choose([]int{5}, 1000)
	require.NoError(t, err)
	require.Greater(t, len(five), 5)
	for _, m := range five {
		require.Equal(t, 5, m.Rule)
	}
	_, err = Choose([]int{0, 11}, 0)
	require.ErrorContains(t, err, "rule 0")
	require.ErrorContains(t, err, "rule 11")
}
