package request

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// With the word that the collector keeps beside it, that is a piece of 576 bytes; the next
// larger one has 640.
func TestAParkedRequestFitsItsPieceOfMemory(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Parked{}), uintptr(576-8))
}
