package gauge

import (
	"context"
	"sync"
	"sync/atomic"
)

// Getter makes one request. It is safe for concurrent use, and returns nil only for
// an answer that is as it should be.
type Getter interface {
	Get(ctx context.Context) error
}

// RunIn is how many untimed requests every caller makes before a slice.
const RunIn = 4

// Callers are goroutines that live as long as the comparison, so that no slice
// pays for starting them or for growing their stacks. Each has a context of its
// own that can be cancelled, as the workers of a program have: children of one
// shared context would contend for its lock in the clients that watch it. One
// run at a time.
type Callers struct {
	wake []chan *batch // one each, so that no caller takes the place of two
	gone sync.WaitGroup
}

// NewCallers returns n callers, whose contexts end with ctx.
func NewCallers(ctx context.Context, n int) *Callers {
	c := &Callers{wake: make([]chan *batch, n)}
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

// Count returns how many there are.
func (c *Callers) Count() int { return len(c.wake) }

// Run makes the given number of requests and returns the first error, after
// which it makes no more.
func (c *Callers) Run(client Getter, requests int) error {
	b := &batch{client: client}
	b.left.Store(int64(requests))
	b.working.Add(len(c.wake))
	for _, wake := range c.wake {
		wake <- b
	}
	b.working.Wait()
	return b.err
}

// Stop ends them, and returns when they are gone.
func (c *Callers) Stop() {
	for _, wake := range c.wake {
		close(wake)
	}
	c.gone.Wait()
}

// Measure runs one slice of a client's requests, after so many untimed ones by
// every caller; see the func of that name.
func (c *Callers) Measure(client Getter, requests, untimed int) (Cost, error) {
	return Measure(func(n int) error { return c.Run(client, n) }, untimed*c.Count(), requests)
}

// batch is the requests of one run, shared by all callers.
type batch struct {
	client  Getter
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
