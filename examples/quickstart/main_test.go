package main

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheQuickstartRunsWithoutAViolation(t *testing.T) {
	require.NoError(t, run(t.Context(), nil))
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
