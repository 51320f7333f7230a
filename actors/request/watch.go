package request

import (
	"context"
	"sync"
)

// watch aborts the exchange of a slot's request when its context ends.
//
// To register with a context costs more than an actor's whole life, and a
// caller in a loop asks under the same context again and again. So a slot that
// meets the same context twice in a row stays registered, until it meets
// another or is dropped.
type watch struct {
	// Owned by the goroutine that runs the request.
	done <-chan struct{} // what it is registered with; nil if with none
	last <-chan struct{} // what the request before waited for
	stop func() bool

	mu      sync.Mutex
	current <-chan struct{} // guarded: equals done, for callbacks that come late
	abort   func()          // guarded: ends the running exchange; nil if none runs
	aborted bool            // guarded: it was ended
}

// begin watches over an exchange.
func (w *watch) begin(ctx context.Context, abort func()) {
	done := ctx.Done()
	if done != w.done {
		w.register(ctx, done) // also with nil: the context before must not abort this exchange
	}
	w.mu.Lock()
	w.abort, w.aborted = abort, false
	w.mu.Unlock()
	if done == nil {
		return
	}
	if ctx.Err() != nil { // it may have ended before the exchange began
		w.ended(done)
	}
}

func (w *watch) register(ctx context.Context, done <-chan struct{}) {
	w.release()
	if done == nil {
		return
	}
	w.mu.Lock()
	w.current = done
	w.mu.Unlock()
	w.done = done
	w.stop = context.AfterFunc(ctx, func() { w.ended(done) })
}

// ended is called when a context ends.
func (w *watch) ended(done <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == done && w.abort != nil {
		w.aborted = true
		w.abort()
	}
}

// end reports whether the exchange was left alone; otherwise its connection
// must not be used again.
func (w *watch) end() (intact bool) {
	w.mu.Lock()
	intact = !w.aborted
	w.abort, w.aborted = nil, false
	w.mu.Unlock()
	if w.done != nil && w.done != w.last {
		w.last = w.done
		w.release()
	}
	return intact
}

// release takes the registration back.
func (w *watch) release() {
	if w.done == nil {
		return
	}
	w.stop()
	w.done, w.stop = nil, nil
	w.mu.Lock()
	w.current = nil
	w.mu.Unlock()
}
