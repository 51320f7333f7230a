package wire

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// Contained is a caller's context, whose methods may be the caller's own code: a panic
// in one does not go any further. A value that could not be looked up is not there, and
// a context whose Err panics has ended, for that reason. What package context starts a
// goroutine for, or calls while something is held, is given one of these.
//
// All methods are safe for concurrent use, if the context's are.
type Contained struct {
	of     context.Context
	values context.Context // where values are looked up; mostly the same
	done   <-chan struct{}
	failed atomic.Pointer[error]
	root   root
}

// root is which of package context's own contexts one ends with, as it asks by a key of its
// own. It asks when it registers something, and again when that is taken back; there, on
// whatever goroutine that is and in the middle of giving things back, nobody's Value is to be
// called, for it may end the goroutine.
type root struct {
	known atomic.Uint32 // see below
	key   *int          // written once, while known is rootWritten
	value any           // likewise
}

// What is known of a root.
const (
	rootUnknown = iota
	rootWritten // by somebody, just now
	rootKnown
)

func (r *root) of(key *int) (value any, known bool) {
	if r.known.Load() != rootKnown || r.key != key {
		return nil, false
	}
	return r.value, true
}

func (r *root) set(key *int, value any) {
	if r.known.CompareAndSwap(rootUnknown, rootWritten) {
		r.key, r.value = key, value
		r.known.Store(rootKnown)
	}
}

// forget requires that nobody else has the context.
func (r *root) forget() {
	if r.known.Load() != rootUnknown {
		r.key, r.value = nil, nil
		r.known.Store(rootUnknown)
	}
}

// Contain calls ctx.Done, where a panic is the caller's own to hear of.
func Contain(ctx context.Context) *Contained {
	return &Contained{of: ctx, values: ctx, done: ctx.Done()}
}

// ContainAgain is Contain for a context whose channel is known already: it calls nothing.
func ContainAgain(ctx context.Context, done <-chan struct{}) *Contained {
	return &Contained{of: ctx, values: ctx, done: done}
}

// Copy returns another of the same context, which may outlive this one.
func (c *Contained) Copy() *Contained { return &Contained{of: c.of, values: c.values, done: c.done} }

// Hold is Contain for one that is there already. Nobody else may have it.
func (c *Contained) Hold(ctx context.Context) { c.HoldWith(ctx, ctx) }

// HoldWith is Hold for a context whose values are looked up in another.
func (c *Contained) HoldWith(ctx, values context.Context) {
	c.of, c.values, c.done = ctx, values, ctx.Done()
	c.failed.Store(nil)
	c.root.forget()
}

// Deadline is part of context.Context. One that panics has none.
func (c *Contained) Deadline() (at time.Time, ok bool) {
	c.call(func() { at, ok = c.of.Deadline() })
	return at, ok
}

// Done is part of context.Context.
func (c *Contained) Done() <-chan struct{} { return c.done }

// Err is part of context.Context.
func (c *Contained) Err() (err error) {
	if panicked := c.call(func() { err = c.of.Err() }); panicked != nil {
		return panicked
	}
	return err
}

// Value is part of context.Context. What package context asks by a pointer of its own it is
// told as it was at first.
func (c *Contained) Value(key any) (value any) {
	own, asksRoot := key.(*int)
	if asksRoot {
		if value, known := c.root.of(own); known {
			return value
		}
	}
	c.call(func() { value = c.values.Value(key) })
	if asksRoot {
		c.root.set(own, value)
	}
	return value
}

func (c *Contained) call(f func()) error {
	panicked := Guard(messages.Exchanging, f)
	if panicked != nil {
		c.remember(panicked)
	}
	return panicked
}

// remember is apart from call because it allocates.
func (c *Contained) remember(panicked error) { c.failed.CompareAndSwap(nil, &panicked) }

// Failure is the first panic that was contained; nil if there was none.
func (c *Contained) Failure() error {
	if failed := c.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// Ended reports whether the context has ended. It asks the channel alone.
func (c *Contained) Ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
