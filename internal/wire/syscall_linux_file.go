//go:build linux && !race && !msan && !asan && (386 || s390x)

package wire

import "syscall"

// Here the calls for sockets are one call, with its arguments in memory. These do as well,
// and take no notice of flags.
const (
	receiveCall = uintptr(syscall.SYS_READ)
	sendCall    = uintptr(syscall.SYS_WRITE)
	sendFlags   = uintptr(0)
)
