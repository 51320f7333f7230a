package h2

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHTTP2IsThereUnlessTheProgramIsToldOtherwise(t *testing.T) {
	require.True(t, Available())
	t.Setenv("GODEBUG", "http2client=0")
	require.False(t, Available())
}
