//go:build unix

package peers

import (
	"syscall"
	"time"
)

// cpuTime returns the user and system time this process has used so far
// (getrusage, RUSAGE_SELF): all its threads, not its children.
func cpuTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
