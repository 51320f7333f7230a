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
	before, err := ReadMeters()
	if err != nil {
		return Cost{}, err
	}
	if err := run(n); err != nil {
		return Cost{}, err
	}
	return before.CostSince(n)
}

// Meters is a reading of everything that is measured.
type Meters struct {
	at      time.Time
	cpu     time.Duration // user and system time of this process
	mallocs uint64
	bytes   uint64
}

// ReadMeters reads the clocks last, so that reading the heap, which stops the
// world, is not measured.
func ReadMeters() (m Meters, err error) {
	m.readHeap()
	err = m.readClocks()
	return m, err
}

// CostSince returns what each of n requests has cost since m was read. It reads the
// clocks first, for the same reason.
func (m *Meters) CostSince(n int) (Cost, error) {
	var now Meters
	if err := now.readClocks(); err != nil {
		return Cost{}, err
	}
	now.readHeap()
	if now.cpu <= m.cpu {
		return Cost{}, fmt.Errorf("the CPU clock of this system did not move during %d requests", n)
	}

	each := float64(n)
	return Cost{
		CPU:    micros(now.cpu-m.cpu) / each,
		Wall:   micros(now.at.Sub(m.at)) / each,
		Allocs: float64(now.mallocs-m.mallocs) / each,
		Bytes:  float64(now.bytes-m.bytes) / each,
	}, nil
}

func (m *Meters) readClocks() (err error) {
	m.at = time.Now()
	m.cpu, err = CPUTime()
	return err
}

func (m *Meters) readHeap() {
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
