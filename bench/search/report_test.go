package search

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARateIsWrittenWithAllItsDigits(t *testing.T) {
	require.Equal(t, "1234567.5/s", exactly(1234567.5))
}
