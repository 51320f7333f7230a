//go:build linux && !race && !msan && !asan

package wire

import (
	"syscall"
	"unsafe"
)

// A system call of the syscall package tells the scheduler on its way in and out,
// in case it takes long: other goroutines can then have the processor. A read or a
// write of a non-blocking socket copies a few kilobytes and is back after a
// microsecond or some, and the telling costs a tenth of a whole request. So these
// say nothing (docs/decisions/0008).
//
// While such a call lasts, its processor runs nothing else, and a collection that
// has to stop the world waits for it. Hence the bound: no call copies more.
const mostRaw = 64 << 10

func readOnce(fd int, p []byte) (int, error) {
	if len(p) == 0 || len(p) > mostRaw {
		return syscall.Read(fd, p)
	}
	return once(receiveCall, fd, p, 0)
}

func writeOnce(fd int, p []byte) (int, error) {
	if len(p) == 0 || len(p) > mostRaw {
		return syscall.Write(fd, p)
	}
	return once(sendCall, fd, p, sendFlags)
}

func once(call uintptr, fd int, p []byte, flags uintptr) (int, error) {
	// The conversion stands in the argument list: that alone keeps p where it is.
	n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// writeBothOnce writes a, and b behind it.
func writeBothOnce(fd int, a, b []byte) (int, error) {
	both := [2]syscall.Iovec{{Base: unsafe.SliceData(a)}, {Base: unsafe.SliceData(b)}}
	both[0].SetLen(len(a))
	both[1].SetLen(len(b))
	var n uintptr
	var errno syscall.Errno
	if len(a)+len(b) > mostRaw {
		n, _, errno = syscall.Syscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&both)), uintptr(len(both)))
	} else {
		n, _, errno = syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&both)), uintptr(len(both)))
	}
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
