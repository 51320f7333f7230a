package callsite

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheEnginesOwnFunctionsAreLeftOut(t *testing.T) {
	// This test is one of the engine's own, and so the first that is told is who runs it.
	require.Regexp(t, `^testing\.tRunner \(.*testing\.go:\d+\)$`, Here())
	var stack [8]uintptr
	require.Equal(t, Here(), Of(stack[:runtime.Callers(1, stack[:])]))
	require.Empty(t, Of(nil))
}

func TestNoMoreThanAFewAreTold(t *testing.T) {
	require.Less(t, len(deep(100)), 8*300)
}

func deep(n int) string {
	if n == 0 {
		return Here()
	}
	return deep(n - 1)
}
