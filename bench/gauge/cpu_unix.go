//go:build unix

package gauge

import (
	"syscall"
	"time"
)

// CPUTime returns the user and system time this process has used so far
// (getrusage, RUSAGE_SELF): all its threads, not its children.
func CPUTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
