package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const guide = "../../docs/guide/start.md"

func TestTwelveRequestsTakeTwoWindowsMoreAndNoneIsRefused(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	out := os.Stdout
	os.Stdout = write
	main()
	os.Stdout = out
	require.NoError(t, write.Close())
	said, err := io.ReadAll(read)
	require.NoError(t, err)
	require.Contains(t, string(said), "12 requests, 0 refused")
	require.Equal(t, 12, strings.Count(string(said), "costs 60000"))
}

// The first page of the guide has the program to the letter, but for the comment above.
func TestTheGuideBeginsWithThisProgram(t *testing.T) {
	require.Equal(t, program(t), firstPiece(t))
}

// Who copies the first page into a module of his own has a program that runs.
func TestTheFirstPageBuildsAndRunsInAModuleOfItsOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds everything anew")
	}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(firstPiece(t)), 0o600))
	const module = "github.com/sluice-engine/sluice"
	for _, command := range [][]string{
		{"go", "mod", "init", "example.com/first"},
		{"go", "mod", "edit", "-require=" + module + "@v0.0.0", "-replace=" + module + "=" + root},
		{"go", "mod", "tidy"},
		{"go", "run", "."},
	} {
		run := exec.Command(command[0], command[1:]...)
		run.Dir = dir
		run.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		said, err := run.CombinedOutput()
		require.NoError(t, err, "%v: %s", command, said)
		if command[1] == "run" {
			require.Contains(t, string(said), "12 requests, 0 refused")
		}
	}
}

func program(t *testing.T) string {
	text, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(text), "package main\n")
	require.True(t, found)
	return "package main\n" + code
}

func firstPiece(t *testing.T) string {
	text, err := os.ReadFile(guide)
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "```go\n")
	require.True(t, found)
	code, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	return code
}
