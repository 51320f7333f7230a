package peers

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// cost is what one request of a slice cost on average.
type cost struct {
	cpuMicros, wallMicros float64
	allocs, bytes         float64
}

// runIn is how many untimed requests every caller makes before a slice.
const runIn = 4

// measure runs one slice, after so many untimed requests by every caller. The
// process must do nothing else meanwhile.
func measure(client Client, callers *callers, requests, untimed int) (cost, error) {
	runtime.GC()
	if err := callers.run(client, untimed*callers.count()); err != nil {
		return cost{}, err
	}
	before, err := readMeters()
	if err != nil {
		return cost{}, err
	}
	if err := callers.run(client, requests); err != nil {
		return cost{}, err
	}
	return before.costSince(requests)
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
func (m *meters) costSince(requests int) (cost, error) {
	var now meters
	if err := now.readClocks(); err != nil {
		return cost{}, err
	}
	now.readHeap()
	if now.cpu <= m.cpu {
		return cost{}, fmt.Errorf("the CPU clock of this system did not move during %d requests", requests)
	}

	n := float64(requests)
	return cost{
		cpuMicros:  micros(now.cpu-m.cpu) / n,
		wallMicros: micros(now.at.Sub(m.at)) / n,
		allocs:     float64(now.mallocs-m.mallocs) / n,
		bytes:      float64(now.bytes-m.bytes) / n,
	}, nil
}

func (m *meters) readClocks() (err error) {
	m.at = time.Now()
	m.cpu, err = cpuTime()
	return err
}

func (m *meters) readHeap() {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.mallocs, m.bytes = stats.Mallocs, stats.TotalAlloc
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// callers are goroutines that live as long as the comparison, so that no slice
// pays for starting them or for growing their stacks. Each has a context of its
// own that can be cancelled, as the workers of a program have: children of one
// shared context would contend for its lock in the clients that watch it. One
// run at a time.
type callers struct {
	wake []chan *batch // one each, so that no caller takes the place of two
	gone sync.WaitGroup
}

// newCallers returns n callers, whose contexts end with ctx.
func newCallers(ctx context.Context, n int) *callers {
	c := &callers{wake: make([]chan *batch, n)}
	for i := range c.wake {
		wake := make(chan *batch)
		c.wake[i] = wake
		c.gone.Go(func() {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			for b := range wake {
				b.work(ctx)
			}
		})
	}
	return c
}

func (c *callers) count() int { return len(c.wake) }

// run makes the given number of requests and returns the first error, after
// which it makes no more.
func (c *callers) run(client Client, requests int) error {
	b := &batch{client: client}
	b.left.Store(int64(requests))
	b.working.Add(len(c.wake))
	for _, wake := range c.wake {
		wake <- b
	}
	b.working.Wait()
	return b.err
}

func (c *callers) stop() {
	for _, wake := range c.wake {
		close(wake)
	}
	c.gone.Wait()
}

// batch is the requests of one run, shared by all callers.
type batch struct {
	client  Client
	left    atomic.Int64
	working sync.WaitGroup

	failed sync.Once
	err    error // read once nobody works
}

// work makes requests until there are none left.
func (b *batch) work(ctx context.Context) {
	defer b.working.Done()
	for b.left.Add(-1) >= 0 {
		if err := b.client.Get(ctx); err != nil {
			b.failed.Do(func() { b.err = err })
			b.left.Store(0)
			return
		}
	}
}
