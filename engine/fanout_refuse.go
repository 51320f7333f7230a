package engine

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// What ends requests that wait in a run, for their turn or until they go again: the end of the
// run, a halt, and FanOut.Each. They are on nobody's way, and so nobody else would tell them.

// runs are those that last: a halt goes through them, and the end of the engine.
type runs struct {
	mu   sync.Mutex
	last map[*run]struct{} // guarded by mu
}

func (all *runs) add(r *run) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.last == nil {
		all.last = make(map[*run]struct{})
	}
	all.last[r] = struct{}{}
}

func (all *runs) remove(r *run) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.last, r)
}

// refuseHalted refuses those that wait in a run and are halted. What comes to a crew or leaves
// it meanwhile is refused where it begins.
func (all *runs) refuseHalted() {
	for _, r := range all.lasting() { // hooks are told, and may halt something themselves
		r.crews.refuse(r.haltOf)
		r.again.refuse(r.haltOf)
	}
}

// refuseLater refuses those that wait to go again, because the engine takes no more. What fails
// meanwhile does not wait: see again.park.
func (all *runs) refuseLater() {
	for _, r := range all.lasting() {
		r.again.refuse(func(*item) error { return ErrClosed })
	}
}

func (all *runs) lasting() []*run {
	all.mu.Lock()
	defer all.mu.Unlock()
	return slices.Collect(maps.Keys(all.last))
}

// haltOf is why an item is halted; nil if it is not.
func (r *run) haltOf(it *item) error { return r.eng.refuseHalted(it.sent, r.eng.defaultLimit()) }

// turned is an item that ends before it has begun, and why.
type turned struct {
	of  *item
	why error
}

// turnAwayAll ends items that were not begun. Where observers are told of each, that is apart: their
// hooks may take their time, and hold up neither the loop nor, where they are not very many, one
// another.
func (r *run) turnAwayAll(all []turned) {
	if r.eng.observers == nil {
		for _, one := range all {
			one.of.turnAway(one.why)
		}
		return
	}
	farewell := &farewell{all: all}
	for range min(len(all), mostFarewells) {
		r.eng.system.Lend(farewell)
	}
}

// mostFarewells is how many items are turned away at once.
const mostFarewells = 256

// farewell turns items away that are taken out by several goroutines.
type farewell struct {
	all   []turned
	taken atomic.Int64
}

// Work is part of request.Work.
func (f *farewell) Work() {
	for at := f.taken.Add(1) - 1; at < int64(len(f.all)); at = f.taken.Add(1) - 1 {
		f.all[at].of.turnAway(f.all[at].why)
	}
}

// turnAway ends an item that was not begun, and has the observers told.
func (it *item) turnAway(why error) {
	e := it.run.eng
	if e.observers == nil {
		it.ended(nil, e.turnAway(it.sent, why))
		return
	}
	// Hooks are the caller's own code, and this goroutine may be that of the input.
	var err error
	if cut := wire.Apart(Admitting, func() {
		err = e.unshared(it.ctx, it.sent, &request.Terms{LimitID: e.defaultLimit(), Begun: e.system.Now()}, why)
	}); cut != nil {
		err = messages.NewError(it.sent, Admitting, why)
	}
	it.ended(nil, err)
}

// refuse ends those that wait for their turn for which there is a reason.
func (c *crews) refuse(why func(*item) error) {
	var out []turned
	c.mu.Lock()
	c.takeLocked(func(it *item) bool {
		err := why(it)
		if err != nil {
			out = append(out, turned{it, err})
		}
		return err != nil
	})
	c.mu.Unlock()
	c.run.turnAwayAll(out)
}

// takeLocked takes out those that wait and are chosen. It requires that mu is held.
func (c *crews) takeLocked(chosen func(*item) bool) {
	for _, w := range c.of {
		for _, r := range w.ranks {
			all := r.first
			r.first, r.end = nil, nil
			for all != nil {
				it := all
				all, it.next = it.next, nil
				c.todo--
				if !chosen(it) {
					r.pushLocked(it)
				}
			}
		}
		w.forgetLocked()
	}
}

// contextError is why an item ends that has not begun when the run is over: its own context, of
// FanOut.Each, ends a moment later than that of the run.
func (it *item) contextError() error {
	return cmp.Or(messages.ContextError(it.ctx), messages.ContextError(it.run.ctx))
}

// flush ends all that wait, by the end of the run's context, and all to come. It may be called
// again.
func (c *crews) flush() {
	var out []turned
	c.mu.Lock()
	c.over = true
	if c.alarm != nil {
		c.alarm.Stop()
	}
	c.takeLocked(func(it *item) bool {
		out = append(out, turned{of: it})
		return true
	})
	c.mu.Unlock()
	for i := range out { // what it was cancelled for may be of the caller's own making
		out[i].why = out[i].of.contextError()
	}
	c.run.turnAwayAll(out)
}

// ringLocked sees to it that expire is called at an instant, or before; zero is never. It
// requires that mu is held.
func (c *crews) ringLocked(at time.Time) {
	switch {
	case at.IsZero() || c.over || !c.rings.IsZero() && !at.Before(c.rings):
		return
	case c.alarm == nil:
		c.alarm = time.AfterFunc(time.Until(at), c.expire)
	default:
		c.alarm.Reset(time.Until(at))
	}
	c.rings = at
}

// expire ends those that wait and whose FanOut.Each is over.
func (c *crews) expire() {
	var out []turned
	var next time.Time
	c.mu.Lock()
	now := time.Now()
	c.rings = time.Time{}
	c.takeLocked(func(it *item) bool {
		switch {
		case it.until.IsZero():
			return false
		case !it.until.After(now):
			out = append(out, turned{it, context.DeadlineExceeded})
			return true
		case next.IsZero() || it.until.Before(next):
			next = it.until
		}
		return false
	})
	c.ringLocked(next)
	c.mu.Unlock()
	c.run.turnAwayAll(out)
}

// refuse ends those that are to go again and for which there is a reason, beside the failure
// that they have.
func (a *again) refuse(why func(*item) error) {
	var out []*item
	a.mu.Lock()
	take := func(h *dueHeap) {
		all := *h
		*h = nil
		for _, it := range all {
			err := why(it)
			if err == nil {
				h.add(it)
				continue
			}
			it.err = it.interrupted(err)
			out = append(out, it)
		}
	}
	take(&a.inside)
	take(&a.outside)
	a.mu.Unlock()
	for _, it := range out {
		a.run.tally.retrying.Add(-1)
		it.ended(nil, it.err)
	}
}
