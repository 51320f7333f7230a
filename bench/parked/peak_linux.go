package parked

import "syscall"

// peakBytes is the most memory that this process was ever resident with.
func peakBytes() (int64, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, err
	}
	return used.Maxrss * 1024, nil // told in kilobytes
}
