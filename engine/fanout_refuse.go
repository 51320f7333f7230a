package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
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

// turnAway ends an item that was not begun, and has the observers told.
func (it *item) turnAway(why error) {
	e := it.run.eng
	if e.observers == nil {
		it.ended(nil, e.turnAway(it.sent, why))
		return
	}
	// Hooks are the caller's own code, and this goroutine may be that of the loop.
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
	var out []*item
	var reasons []error
	c.mu.Lock()
	c.takeLocked(func(it *item) bool {
		err := why(it)
		if err != nil {
			out, reasons = append(out, it), append(reasons, err)
		}
		return err != nil
	})
	c.mu.Unlock()
	for i, it := range out {
		it.turnAway(reasons[i])
	}
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

// flush ends all that wait, by the end of the run's context, and all to come. It may be called
// again.
func (c *crews) flush() {
	var out []*item
	c.mu.Lock()
	c.over = true
	if c.alarm != nil {
		c.alarm.Stop()
	}
	c.takeLocked(func(it *item) bool {
		out = append(out, it)
		return true
	})
	c.mu.Unlock()
	for _, it := range out {
		it.turnAway(messages.ContextError(it.ctx))
	}
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
	var out []*item
	var next time.Time
	c.mu.Lock()
	now := time.Now()
	c.rings = time.Time{}
	c.takeLocked(func(it *item) bool {
		switch {
		case it.until.IsZero():
			return false
		case !it.until.After(now):
			out = append(out, it)
			return true
		case next.IsZero() || it.until.Before(next):
			next = it.until
		}
		return false
	})
	c.ringLocked(next)
	c.mu.Unlock()
	for _, it := range out {
		it.turnAway(context.DeadlineExceeded)
	}
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
