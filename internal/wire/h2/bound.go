package h2

import (
	"net/http"
	"sync"
	"sync/atomic"
)

// streamBound is how many streams the peer allows at a time, and who waits for one. It is safe
// for concurrent use.
//
// Which streams count is for net/http to say. It counts one beyond the end of its exchange:
// while a call of the reader of its request's body does not return, and, if it was given up
// before anything came, until the peer has acknowledged the PING behind the reset. And whoever
// waits there for another is not looked at when the peer raises its bound, nor told whether
// anything was sent. Hence every exchange has its stream reserved there before it begins (see
// conn.reserve), in its turn (see Stream.takeTurn), and waits here as long as that fails. Only if
// the peer lowers its bound between the two does it wait in net/http: one of them for each
// connection, which then counts as one that may have been sent.
type streamBound struct {
	allowed atomic.Int32

	waiting atomic.Int32 // who waits for a change
	told    sync.Once    // by the first of them: from then on net/http says which streams are over
	mu      sync.Mutex
	changed chan struct{} // guarded by mu; nil while nobody waits
}

func (b *streamBound) get() int { return int(b.allowed.Load()) }

func (b *streamBound) set(n int) {
	b.allowed.Store(int32(n))
	b.wake()
}

func (b *streamBound) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// change returns a channel that is closed with the next change, end of a stream or
// goodbye. What is to change is looked at after the call.
func (b *streamBound) change() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

// reserve has net/http count the stream of an exchange that is about to begin, if the peer
// allows another. The exchange's RoundTrip takes the reservation up.
func (c *conn) reserve() bool { return c.client.Reserve() == nil }

// mayBegin reports whether the peer allows another stream now.
func (c *conn) mayBegin() bool { return c.client.Available() > 0 }

// listen has whoever waits for a stream woken when net/http has let go of one, or has acted on
// a bound that was raised. It does not always say so: if between two of its own looks one was taken
// and another let go, as many are free as before. Most connections have nobody wait, and the hook
// costs every exchange a few locks: hence it is not there before somebody does.
func (c *conn) listen() {
	bound := &c.frames.bound
	bound.told.Do(func() {
		c.client.SetStateHook(func(*http.ClientConn) { // on any goroutine, and inline
			if bound.waiting.Load() > 0 { // whoever begins to wait now looks again once it is counted
				bound.wake()
			}
		})
	})
}
