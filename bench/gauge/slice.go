package gauge

import (
	"fmt"
	"runtime"
	"time"
)

// Cost is what one request of a slice cost on average.
type Cost struct {
	CPU    float64 `json:"cpu_us"` // user and system time of this process, in microseconds
	Wall   float64 `json:"wall_us"`
	Allocs float64 `json:"allocs"`
	Bytes  float64 `json:"bytes"`
}

// Measure runs one slice of n requests, after a collection and so many untimed
// ones: no slice pays for its predecessor's garbage, or for pools that the
// collection emptied. The process must do nothing else meanwhile.
func Measure(run func(n int) error, untimed, n int) (Cost, error) {
	runtime.GC()
	if err := run(untimed); err != nil {
		return Cost{}, err
	}
	before, err := readMeters()
	if err != nil {
		return Cost{}, err
	}
	if err := run(n); err != nil {
		return Cost{}, err
	}
	return before.costSince(n)
}

// meters is a reading of everything that is measured.
type meters struct {
	at      time.Time
	cpu     time.Duration // user and system time of this process
	mallocs uint64
	bytes   uint64
}

// readMeters reads the clocks last, so that reading the heap, which stops the
// world, is not measured.
func readMeters() (m meters, err error) {
	m.readHeap()
	err = m.readClocks()
	return m, err
}

// costSince reads the clocks first, for the same reason.
func (m *meters) costSince(requests int) (Cost, error) {
	var now meters
	if err := now.readClocks(); err != nil {
		return Cost{}, err
	}
	now.readHeap()
	if now.cpu <= m.cpu {
		return Cost{}, fmt.Errorf("the CPU clock of this system did not move during %d requests", requests)
	}

	n := float64(requests)
	return Cost{
		CPU:    micros(now.cpu-m.cpu) / n,
		Wall:   micros(now.at.Sub(m.at)) / n,
		Allocs: float64(now.mallocs-m.mallocs) / n,
		Bytes:  float64(now.bytes-m.bytes) / n,
	}, nil
}

func (m *meters) readClocks() (err error) {
	m.at = time.Now()
	m.cpu, err = CPUTime()
	return err
}

func (m *meters) readHeap() {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.mallocs, m.bytes = stats.Mallocs, stats.TotalAlloc
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// MemoryInUse is heap and stacks after two collections, in bytes: the second
// takes what the first one's finalizers and emptied pools have let go of.
func MemoryInUse() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc + stats.StackInuse)
}
