package h2

import (
	"sync"
	"sync/atomic"
)

// streamBound is how many streams the peer allows at a time, and how many exchanges run. It
// is safe for concurrent use. net/http counts streams as well; but it does not look again when
// the peer raises its bound, and says of who waited there not whether anything was sent.
type streamBound struct {
	allowed atomic.Int32
	running atomic.Int32 // no more than allowed, unless the peer has lowered that since

	waiting atomic.Int32 // who waits for a change
	mu      sync.Mutex
	changed chan struct{} // guarded by mu; nil while nobody waits
}

func (b *streamBound) get() int { return int(b.allowed.Load()) }

func (b *streamBound) set(n int) {
	b.allowed.Store(int32(n))
	b.wake()
}

// take has one more exchange run, if the peer allows another stream.
func (b *streamBound) take() bool {
	for {
		running := b.running.Load()
		if running >= b.allowed.Load() {
			return false
		}
		if b.running.CompareAndSwap(running, running+1) {
			return true
		}
	}
}

// giveBack ends an exchange that was taken.
func (b *streamBound) giveBack() {
	b.running.Add(-1)
	if b.waiting.Load() > 0 { // whoever begins to wait now looks again once it is counted
		b.wake()
	}
}

func (b *streamBound) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// change returns a channel that is closed with the next change, end of an exchange or
// goodbye. What is to change is looked at after the call.
func (b *streamBound) change() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}
