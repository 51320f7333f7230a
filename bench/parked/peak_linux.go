package parked

import (
	"os"
	"syscall"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// peakBytes is the most memory that this process was ever resident with.
func peakBytes() (int64, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, err
	}
	return used.Maxrss * 1024, nil // told in kilobytes
}

// touched is how much memory firstTouch takes.
const touched = 256 << 20

// firstTouch is how many nanoseconds of CPU the system takes for a byte of memory that this process
// has not used before: it is cleared, and entered in a table, page by page. On a machine of its
// own that is a tenth of a nanosecond, and on one within another it may be fifty times as much.
func firstTouch() (float64, error) {
	memory, err := syscall.Mmap(-1, 0, touched, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return 0, err
	}
	defer func() { _ = syscall.Munmap(memory) }()
	before, err := gauge.CPUTime()
	if err != nil {
		return 0, err
	}
	for at := 0; at < len(memory); at += os.Getpagesize() {
		memory[at] = 1
	}
	now, err := gauge.CPUTime()
	return float64(now-before) / touched, err
}
