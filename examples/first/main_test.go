package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
)

func TestTheFirstProgramAsksAnExchangeForItsTime(t *testing.T) {
	ex, err := exchange.New(exchange.Config{})
	require.NoError(t, err)
	url, err := ex.Start("127.0.0.1:0")
	require.NoError(t, err)
	defer ex.Close()

	read, write, err := os.Pipe()
	require.NoError(t, err)
	args, out := os.Args, os.Stdout
	os.Args, os.Stdout = []string{"first", url}, write
	main()
	os.Args, os.Stdout = args, out
	require.NoError(t, write.Close())
	said, err := io.ReadAll(read)
	require.NoError(t, err)
	require.Regexp(t, `^\d{13} <nil>\n$`, string(said))
}

// The README has it to the letter, but for the comment above.
func TestTheReadmeBeginsWithThisProgram(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(program), "package main\n")
	require.True(t, found)
	require.Contains(t, string(readme), "```go\npackage main\n"+code+"```")
}
