package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

const roleSwitch = "SLUICE_CHILD_TEST_ROLE"

// TestMain lets the test binary be the children.
func TestMain(m *testing.M) {
	switch os.Getenv(roleSwitch) {
	case "":
		goleak.VerifyTestMain(m)
	case "echo":
		words := json.NewDecoder(os.Stdin)
		for {
			var word string
			if words.Decode(&word) != nil {
				os.Exit(0)
			}
			fmt.Printf("%q\n", "heard "+word)
		}
	case "crash":
		fmt.Fprintf(os.Stderr, "\npanic: out of paper\n\ngoroutine 1 [running]:\n")
		os.Exit(3)
	case "deaf":
		UntilParentGone(os.Stdin)
		time.Sleep(time.Hour) // it is asked to end, and does not
	case "silent":
		UntilParentGone(os.Stdin)
		os.Exit(0)
	}
}

func start(t *testing.T, role string) *Process {
	t.Helper()
	t.Setenv(roleSwitch, role)
	self, err := os.Executable()
	require.NoError(t, err)
	p, err := Start(t.Context(), []string{self})
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	return p
}

func TestAChildAnswersWordForWord(t *testing.T) {
	p := start(t, "echo")
	for _, word := range []string{"one", "two"} {
		var answer string
		require.NoError(t, p.Send(word))
		require.NoError(t, p.Receive(t.Context(), &answer))
		require.Equal(t, "heard "+word, answer)
	}
	require.NoError(t, p.Stop(), "it ends by itself when its input does")
}

func TestAChildThatDiesSaysWhatOf(t *testing.T) {
	p := start(t, "crash")
	err := p.Receive(t.Context(), new(string))
	require.ErrorIs(t, err, ErrGone)
	require.ErrorContains(t, err, "exit status 3")
	require.ErrorContains(t, err, "panic: out of paper")
	require.Error(t, p.Stop(), "and Stop says so again")
}

func TestNobodyWaitsForASilentChildBeyondTheContext(t *testing.T) {
	p := start(t, "silent")
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	require.ErrorIs(t, p.Receive(ctx, new(string)), enough)
}

func TestAChildThatDoesNotEndWhenAskedIsKilled(t *testing.T) {
	require.ErrorContains(t, start(t, "deaf").Stop(), "killed")
}

func TestACommandThatCannotStartIsAnError(t *testing.T) {
	_, err := Start(t.Context(), nil)
	require.Error(t, err)
	_, err = Start(t.Context(), []string{t.TempDir() + "/missing"})
	require.ErrorIs(t, err, os.ErrNotExist)
}
