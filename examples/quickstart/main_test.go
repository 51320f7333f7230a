package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheQuickstartRunsWithoutAViolationAndSaysWhatTheREADMEShows(t *testing.T) {
	stdout, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	require.NoError(t, err)
	defer stdout.Close()
	before := os.Stdout
	os.Stdout = stdout
	err = run(t.Context(), nil)
	os.Stdout = before
	require.NoError(t, err)
	said, err := os.ReadFile(stdout.Name())
	require.NoError(t, err)

	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "says what could not be quicker:\n\n")
	require.True(t, found)
	numbers := regexp.MustCompile(`[0-9.]+`)
	printed := numbers.ReplaceAllString(string(said), "n")
	shown := 0
	for line := range strings.Lines(rest) {
		line, indented := strings.CutPrefix(line, "    ")
		if !indented {
			break
		}
		if line != "…\n" {
			require.Contains(t, printed, numbers.ReplaceAllString(line, "n"))
			shown++
		}
	}
	require.Equal(t, 3, shown)
}

func TestTheQuickstartShowsItsPageUntilItIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var state struct {
		Verdict  string
		Requests struct{ Ended int }
	}
	require.NoError(t, run(ctx, func(url string) {
		defer interrupt()
		answer, err := http.Get(url + "?format=json")
		require.NoError(t, err)
		defer answer.Body.Close()
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&state))
	}))
	require.NotEmpty(t, state.Verdict)
	require.Greater(t, state.Requests.Ended, 120)
}
