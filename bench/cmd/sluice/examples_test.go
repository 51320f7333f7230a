package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/shellwords"
)

// examplesOf are the lines of a verb's examples, joined where one goes on, without comments.
func examplesOf(verb *cobra.Command) (lines []string) {
	text := regexp.MustCompile(`\\\n *`).ReplaceAllString(verb.Example, "")
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "  ") // what people are told of it is behind two blanks
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// Every example is a command line of a verb that there is, with flags and a number of arguments
// that it takes, and names no server that is but a word.
func TestEveryExampleIsACommandLineThatWorksAsItIsPrinted(t *testing.T) {
	root := newRootCommand()
	tried := 0
	for _, verb := range append(root.Commands(), root) {
		for _, line := range examplesOf(verb) {
			words, err := shellwords.Split(strings.ReplaceAll(line, "$(openssl rand -hex 16)", "secret"))
			require.NoError(t, err, line)
			for len(words) > 0 {
				words = tryExample(t, line, words)
				tried++
			}
		}
	}
	require.Greater(t, tried, 80)
}

// tryExample parses the words up to the next of another command line, and returns those behind.
func tryExample(t *testing.T, line string, words []string) []string {
	t.Helper()
	for strings.Contains(words[0], "=") { // of the environment
		words = words[1:]
	}
	if words[0] != "sluice" {
		return nil // of another program's
	}
	words = words[1:]
	end, next := len(words), len(words)
	for i, word := range words {
		if word == "|" || word == "&&" || word == ">" {
			end, next = i, i+1
			break
		}
	}
	verb, args, err := newRootCommand().Find(words[:end])
	require.NoError(t, err, line)
	require.NoError(t, verb.ParseFlags(args), line)
	for _, argument := range verb.Flags().Args() {
		require.NotRegexp(t, "^[A-Z]+$", argument, "%s: it is no server", line)
	}
	return words[next:]
}
