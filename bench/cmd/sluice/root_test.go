package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
)

func TestAValueThatIsNoneIsToldInPlainWords(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "u", "-n", "-1"}, "-n -1: want a whole number from 0 on"},
		{[]string{"run", "u", "-n", "99999999999999999999"}, "-n 99999999999999999999: that is more than can be kept"},
		{[]string{"run", "u", "-c", "2.5"}, "-c 2.5: want a whole number"},
		{[]string{"run", "u", "--duration", "30"}, "--duration 30: want a time such as 30s, 500ms or 1m30s"},
		{[]string{"run", "u", "--speed", "fast\x1b[2J"}, `--speed fast\x1b[2J: want a number`},
		{[]string{"run", "u", "--quiet=perhaps"}, "--quiet perhaps: want true or false"},
		{[]string{"capacity", "u", "--callers", "1,two"}, "--callers 1,two: want whole numbers, with commas between them"},
		{[]string{"compare", "a", "b", "--threshold", "-5"}, `--threshold -5: "-5" is no percentage above 0 such as 5%`},
	} {
		code, stdout, stderr := sluiceIn(context.Background(), c.args...)
		require.Equal(t, exitUsage, code, "%v", c.args)
		require.Empty(t, stdout)
		require.Equal(t, "sluice: "+c.want+"\nRun 'sluice "+c.args[0]+" --help' for usage.\n", stderr)
	}
}

// Whatever flags a verb has, nobody is told the name of a function.
func TestNoVerbTellsTheNamesOfFunctions(t *testing.T) {
	tried := 0
	for _, verb := range newRootCommand().Commands() {
		verb.Flags().VisitAll(func(flag *pflag.Flag) {
			if err := flag.Value.Set("odd"); err == nil {
				return // any text will do
			}
			code, stdout, stderr := sluiceIn(context.Background(), verb.Name(), "--"+flag.Name+"=odd")
			require.Equal(t, exitUsage, code, "%s --%s", verb.Name(), flag.Name)
			require.Empty(t, stdout)
			for _, name := range []string{"strconv", "Parse", "time:", "invalid argument"} {
				require.NotContains(t, stderr, name, "%s --%s", verb.Name(), flag.Name)
			}
			require.Equal(t, 2, strings.Count(stderr, "\n"))
			tried++
		})
	}
	require.Greater(t, tried, 60)
}

func TestHTTP2WithoutTLSIsNoted(t *testing.T) {
	url, _ := greeting(t)
	file := filepath.Join(t.TempDir(), "run.jsonl")
	code, stdout, stderr := sluiceIn(context.Background(), "run", url, "--http2", "-n", "2", "--quiet", "-o", file)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "spoke HTTP/1.1")
	kept, err := results.Open(file)
	require.NoError(t, err)
	require.Contains(t, strings.Join(kept.End.Notes, "\n"), "--http2 is of https origins")
	targets := filepath.Join(t.TempDir(), "targets.txt")
	require.NoError(t, os.WriteFile(targets, []byte("GET /a\n"), 0o600))
	var flags loadFlags
	command := &cobra.Command{}
	flags.register(command.Flags())
	for base, noted := range map[string]int{"https://h": 0, "http://h": 1} {
		require.NoError(t, command.ParseFlags([]string{"--http2", "-n", "2", "--targets", targets, "--base", base}))
		cfg, done, err := flags.plan(nil)
		require.NoError(t, err)
		done()
		require.Len(t, cfg.Notes, noted, base)
	}
}

func TestHelpSaysWhatShortFormsMean(t *testing.T) {
	_, help, _ := sluiceIn(context.Background(), "run", "--help")
	help = strings.Join(strings.Fields(help), " ")
	for _, said := range []string{"500 means 500/s", "0 means 30s", "in shuffled blocks", "take turns", "speak HTTP/1.1"} {
		require.Contains(t, help, said)
	}
	_, help, _ = sluiceIn(context.Background(), "doctor", "--help")
	require.Contains(t, help, "twenty on a busy machine")
}
