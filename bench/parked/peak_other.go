//go:build !linux

package parked

import "runtime"

// peakBytes is what the runtime has taken from the system, where the system is not asked.
func peakBytes() (int64, error) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Sys), nil
}

// firstTouch is zero where it is not measured.
func firstTouch() (float64, error) { return 0, nil }
