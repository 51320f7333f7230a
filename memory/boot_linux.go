package memory

import (
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func thisMachine() Clock {
	return Clock{Boot: bootName(), Now: monotonic}
}

// bootName is the id of the boot, and of the time namespace: in another one the same
// clock is shifted.
func bootName() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(id))
	if space, err := os.Readlink("/proc/self/ns/time"); err == nil {
		name += " " + space
	}
	return name
}

const clockMonotonic = 1

func monotonic() time.Duration {
	var t syscall.Timespec
	if _, _, failed := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&t)), 0); failed != 0 {
		return 0 // no Linux that Go runs on is without it
	}
	return time.Duration(t.Nano())
}
