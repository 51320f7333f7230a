//go:build linux && !race && !msan && !asan && !386 && !s390x

package wire

import "syscall"

// A socket has calls of its own, which do not go through what all files have in common
// (a lock for the position, who is told of accesses), and take a fifth less of what is not
// the copying.
const (
	receiveCall = uintptr(syscall.SYS_RECVFROM)
	sendCall    = uintptr(syscall.SYS_SENDTO)
	sendFlags   = uintptr(syscall.MSG_NOSIGNAL)
)
