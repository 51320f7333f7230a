package wire

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// asked counts how often it is asked for a value.
type asked struct {
	context.Context
	times *int
}

func (c asked) Value(key any) any {
	*c.times++
	return c.Context.Value(key)
}

func TestWhatWasRegisteredIsTakenBackWithoutAQuestionToTheCallersContext(t *testing.T) {
	under, end := context.WithCancel(t.Context())
	defer end()
	times := 0
	own := Contain(asked{under, &times})
	child, cancel := context.WithCancel(own)
	stop := context.AfterFunc(own, func() {})
	require.Equal(t, 1, times)
	stop()
	cancel()
	require.Equal(t, 1, times)
	require.ErrorIs(t, child.Err(), context.Canceled)

	type mine struct{}
	require.Nil(t, own.Value(mine{}))
	require.Equal(t, 2, times, "any other is asked for as ever")
	other := new(int)
	require.Nil(t, own.Value(other))
	require.Nil(t, own.Value(other))
	require.Equal(t, 4, times)

	own.Hold(context.WithValue(t.Context(), other, "another context"))
	require.Equal(t, "another context", own.Value(other), "nothing is left of the one before")
}
