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

// Value is part of context.Context.
func (c *Contained) Value(key any) (value any) {
	c.call(func() { value = c.values.Value(key) })
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
