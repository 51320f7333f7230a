package request

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// tenure is the context of a submitted request while a goroutine is lent to it. It ends with
// the caller's own context, which the crowd tells it of, or by Parked.Cancel: so nothing is
// registered with the caller's context for it.
type tenure struct {
	of   *Parked
	done <-chan struct{}
	ends chan struct{} // the same, to be closed; nil if it is that of the caller's context, which he watches himself
	err  error         // guarded by of.mu; nil until it ends
	slot *slot         // guarded by of.mu: whose exchange is aborted then; nil if none is

	// A streamed answer goes on behind the request's end, and so its context is one of the
	// standard library's, which this ends: nil otherwise.
	cancel context.CancelFunc
}

// Deadline is part of context.Context.
func (t *tenure) Deadline() (at time.Time, ok bool) { return t.of.parent.Deadline() }

// Done is part of context.Context.
func (t *tenure) Done() <-chan struct{} { return t.done }

// Err is part of context.Context.
func (t *tenure) Err() error {
	t.of.mu.Lock()
	err := t.err
	t.of.mu.Unlock()
	if err == errParentEnded || err == nil && t.ends == nil && isClosed(t.done) {
		return cmp.Or(t.of.parent.Err(), context.Canceled)
	}
	return err
}

// Value is part of context.Context.
func (t *tenure) Value(key any) any { return t.of.parent.Value(key) }

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// beginTenure makes what a life has for its context from here on, which may have ended.
func (p *Parked) beginTenure() *tenure {
	t := &tenure{of: p}
	if h, waits := p.by.(*handed); waits {
		t.done = h.done
	} else {
		t.ends = make(chan struct{})
		t.done = t.ends
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tenure = t
	switch {
	case p.news&newsCancelled != 0:
		t.err = context.Canceled
	case p.news&newsEnded != 0:
		t.err = errParentEnded
	default:
		return t
	}
	if t.ends != nil {
		close(t.ends)
	}
	return t
}

// errParentEnded stands for the error of the caller's context, which is the caller's own
// code to ask for.
var errParentEnded = errors.New("the caller's context has ended")

// hold gives a slot the context of its life.
func (t *tenure) hold(r *slot) {
	var ctx context.Context = t
	var cancel context.CancelFunc
	if r.asked.Stream {
		ctx, cancel = context.WithCancel(t.of.contained())
	}
	t.of.mu.Lock()
	t.slot, t.cancel = r, cancel
	cancelled := t.err == context.Canceled
	t.of.mu.Unlock()
	if cancel != nil && cancelled {
		cancel()
	}
	r.from, r.ctx, r.tenure = ctx, ctx, t
	if r.observed {
		r.ctx = &valued{ctx, r.terms.Watch.Values}
	}
	r.own.HoldWith(ctx, r.ctx)
}

// end ends the context, for a reason, and aborts what is exchanged under it. What the caller's
// own context ends by itself, with its own reason, is left to that.
func (t *tenure) end(err error) {
	t.of.mu.Lock()
	if t.err != nil {
		t.of.mu.Unlock()
		return
	}
	t.err = err
	r, cancel := t.slot, t.cancel
	t.of.mu.Unlock()
	if t.ends != nil {
		close(t.ends)
	}
	if r != nil {
		r.watch.ended(t.done)
	}
	if cancel != nil && err != errParentEnded {
		cancel()
	}
}

// callersEnded reports whether the caller's context has ended, of which a tenure is told later: each
// member of a group in its turn. A nil one has none.
func (t *tenure) callersEnded() bool { return t != nil && isClosed(t.of.group.done) }

// contextEnded is why nothing of a request may leave any more: its context has ended, or the caller's
// has, with which that is about to. Nil lets it leave. The last looks before it is signed and before its
// bytes are written ask this, for many end together and are told one after the other, and the
// connection that the first of them gives back is lent to one at once that has not been told yet.
func (r *slot) contextEnded() error {
	switch s := r.terms.Standby; {
	case r.own.Ended():
		return cmp.Or(messages.ContextError(&r.own), context.Canceled)
	case r.tenure.callersEnded():
		return cmp.Or(r.tenure.of.contextError(), context.Canceled)
	case s != nil:
		return s.Over()
	}
	return nil
}

// valued is a context with the values that observers have given another.
type valued struct {
	context.Context
	values context.Context
}

// Value is part of context.Context.
func (v *valued) Value(key any) any { return v.values.Value(key) }

// callersOwn returns the context that the caller gave.
func callersOwn(ctx context.Context) context.Context {
	if t, ok := ctx.(*tenure); ok {
		return t.of.parent
	}
	return ctx
}
