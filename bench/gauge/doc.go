// Package gauge measures slices of work and compares them with their neighbours.
//
// A slice is a fixed number of requests, or of anything else that can be counted.
// CPU is the growth of user and system time of this process (getrusage), so a
// server in a process of its own is not in it; allocations and bytes are those of
// [runtime.MemStats]. Slices of what is compared are best run in mirrored order,
// A B B A: a ratio is taken within each half, where whatever disturbs the machine
// disturbs both, and the median of those ratios has a bootstrap interval.
//
// The reading order: slice.go (one measurement), callers.go (who makes the
// requests), stats.go (what the numbers say).
package gauge
