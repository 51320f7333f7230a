//go:build !race && !msan && !asan

package h2

import (
	"net"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// shallow knows where the stack of its caller's caller ends.
type shallow struct {
	net.Conn
	at uintptr
}

//go:noinline
func (s *shallow) Write(p []byte) (int, error) {
	var here byte
	s.at = uintptr(unsafe.Pointer(&here))
	return len(p), nil
}

//go:noinline
func depthOf(c net.Conn, under *shallow) uintptr {
	var here byte
	at := uintptr(unsafe.Pointer(&here))
	_, _ = c.Write([]byte{0})
	return at - under.at
}

func TestAConnectionUnderNetHTTPTakesLittleOfTheStackOfItsCaller(t *testing.T) {
	under := &shallow{}
	framed := &framedConn{Conn: under, frames: newFrameScan(1 << 10)}
	alone := depthOf(under, under)
	for range 3 { // the stack itself may grow the first time, and then both ends have moved
		if depth := depthOf(framed, under); depth-alone <= 9*unsafe.Sizeof(alone) {
			return
		}
	}
	require.Fail(t, "a larger frame has the stack of every request's goroutine grow: see framedConn.Write")
}
