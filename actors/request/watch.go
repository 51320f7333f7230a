package request

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// watch aborts the exchange of a slot's request when its context ends, or when the
// attempt has taken too long.
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
	told bool // it is not registered: whoever waits for the request tells of the end
	// alarm rings when the attempt has taken too long; nil if nothing bounds it.
	alarm *time.Timer

	mu      sync.Mutex
	current <-chan struct{} // guarded: equals done, for callbacks that come late
	abort   func()          // guarded: ends the running exchange; nil if none runs
	aborted bool            // guarded: it was ended
	late    bool            // guarded: because it took too long, perhaps among others
	halted  *throttle.Halt  // guarded: because of this, which came before its first byte; nil if not

	conn   protocol.Connection // guarded: of the running exchange; nil if none runs
	serial uint64              // guarded: of the exchange, for alarms that come late
}

// begin watches over an exchange, which may take no longer than bound; zero means
// for ever. A context that tells calls ended by itself, and need not be registered with.
func (w *watch) begin(ctx *wire.Contained, tells bool, lease *ticket.Lease, bound time.Duration) {
	done := ctx.Done()
	if done != w.done || w.told && !tells { // of which nobody would tell
		w.register(ctx, tells, done) // also with nil: the context before must not abort this exchange
	}
	w.mu.Lock()
	w.abort, w.conn, w.aborted, w.late, w.halted = lease.Abort, lease.Conn, false, false, nil
	w.serial++
	serial := w.serial
	w.mu.Unlock()
	if bound > 0 {
		w.alarm = time.AfterFunc(bound, func() { w.overdue(serial) })
	}
	if ctx.Ended() { // it may have ended before the exchange began
		w.ended(done)
	}
}

func (w *watch) register(ctx *wire.Contained, tells bool, done <-chan struct{}) {
	w.release()
	if done == nil {
		return
	}
	w.mu.Lock()
	w.current = done
	w.mu.Unlock()
	if w.told = tells; tells {
		w.stop, w.done = alreadyStopped, done
		return
	}
	// With one of its own, which lives for as long as the registration.
	w.stop = context.AfterFunc(ctx.Copy(), func() { w.ended(done) })
	w.done = done // last: until then there is nothing to take back
}

// alreadyStopped takes back a registration that there is none of.
func alreadyStopped() bool { return false }

// ended is called when a context ends.
func (w *watch) ended(done <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == done {
		w.cut()
	}
}

// overdue is called when the exchange of that number has taken too long.
func (w *watch) overdue(serial uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.serial == serial && w.abort != nil {
		w.late = true
		w.cut()
	}
}

// cut requires that mu is held.
func (w *watch) cut() {
	if w.abort != nil {
		w.aborted = true
		w.abort()
	}
}

// end reports whether the exchange was left alone, and if not, whether it took too
// long. Its connection must not be used again then.
func (w *watch) end() (intact, late bool) {
	w.disarm()
	w.mu.Lock()
	intact, late = !w.aborted, w.late
	w.abort, w.conn, w.aborted, w.late = nil, nil, false, false
	w.mu.Unlock()
	if w.done != nil && w.done != w.last {
		w.last = w.done
		w.release()
	}
	return intact, late
}

// haltedBy returns the halt that ended the last exchange, if one did.
func (w *watch) haltedBy() *throttle.Halt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.halted
}

// disarm needs not wait for an alarm that rings just now: it finds no exchange, or
// another.
func (w *watch) disarm() {
	if w.alarm != nil {
		w.alarm.Stop()
		w.alarm = nil
	}
}

// release takes the registration back.
func (w *watch) release() {
	w.disarm()
	if w.done == nil {
		return
	}
	w.stop()
	w.done, w.stop = nil, nil
	w.mu.Lock()
	w.current = nil
	w.mu.Unlock()
}
