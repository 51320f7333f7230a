package request

import (
	"sync"
	"time"
)

// agenda has the instants at which parked requests have waited long enough, with one timer
// for all of them. All methods are safe for concurrent use, and none calls a request: the
// timer does, and holds nothing meanwhile.
type agenda struct {
	begun time.Time // instant zero; set before the first request

	mu    sync.Mutex
	heap  dueHeap       // guarded by mu
	timer *time.Timer   // guarded by mu; nil until first needed
	rings time.Duration // guarded by mu: when the timer does; zero means that it does not
	ended bool          // guarded by mu: it does not ring any more
}

// put has a request told that it is late at an instant, and not at one that was put before.
func (a *agenda) put(p *Parked, at time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heap.remove(p)
	a.heap.push(p, at)
	a.arm()
}

// take takes a request's instant back, if there is one. It may be told of it all the same,
// if that was on its way.
func (a *agenda) take(p *Parked) {
	a.mu.Lock()
	a.heap.remove(p) // the timer is left as it is: it is cheaper to ring once in vain
	a.mu.Unlock()
}

// has reports whether a request is still to be told that it is late.
func (a *agenda) has(p *Parked) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return p.seat != 0
}

// arm requires that mu is held.
func (a *agenda) arm() {
	if len(a.heap) == 0 || a.ended {
		return
	}
	at := a.heap[0].at
	if a.rings != 0 && a.rings <= at {
		return
	}
	a.rings = at
	wait := max(0, at-time.Since(a.begun))
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.ring)
		return
	}
	a.timer.Reset(wait)
}

// dueAtOnce is how many are taken out under the lock, which those who come want.
const dueAtOnce = 256

// ring tells everybody whose instant has come. A context that ends the goroutine when it is asked
// for its error has another one go on.
func (a *agenda) ring() {
	rung := false
	defer func() {
		if !rung {
			go a.ring()
		}
	}()
	for !rung {
		late := a.due()
		tellEach(late, newsLate)
		rung = len(late) < dueAtOnce
	}
}

// due takes out some of those whose instant has come, and sets the timer for the others
// once these are all.
func (a *agenda) due() (late []*Parked) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Since(a.begun)
	for len(a.heap) > 0 && a.heap[0].at <= now && len(late) < dueAtOnce {
		late = append(late, a.heap[0].of)
		a.heap.remove(a.heap[0].of)
	}
	if len(late) < dueAtOnce {
		a.rings = 0
		a.arm()
	}
	return late
}

// end stops the timer. Nobody is parked any more.
func (a *agenda) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	if a.timer != nil {
		a.timer.Stop()
	}
}

// dueHeap is a heap of instants, the earliest on top.
//
// Invariant: each entry's parked request has its place, plus one, in seat; that of a
// request without an entry is zero.
type dueHeap []dueAt

type dueAt struct {
	at time.Duration
	of *Parked
}

// dueArity is how many children an entry has: they lie side by side in memory.
const dueArity = 4

func (h *dueHeap) push(p *Parked, at time.Duration) {
	*h = append(*h, dueAt{at, p})
	h.up(len(*h) - 1)
}

func (h *dueHeap) remove(p *Parked) {
	if p.seat == 0 {
		return
	}
	all := *h
	i, last := int(p.seat)-1, len(all)-1
	moved := all[last]
	all[last] = dueAt{}
	*h, p.seat = all[:last], 0
	if i < last {
		(*h)[i] = moved
		h.up(i)
		h.down(int(moved.of.seat) - 1)
	}
	if last == 0 && cap(all) > keptDue {
		*h = nil // a burst must not keep its memory for ever
	}
}

// keptDue is for how many entries an empty heap keeps room.
const keptDue = 1024

func (h dueHeap) set(i int, d dueAt) { h[i], d.of.seat = d, int32(i)+1 }

func (h dueHeap) up(i int) {
	d := h[i]
	for i > 0 {
		parent := (i - 1) / dueArity
		if h[parent].at <= d.at {
			break
		}
		h.set(i, h[parent])
		i = parent
	}
	h.set(i, d)
}

func (h dueHeap) down(i int) {
	d := h[i]
	for {
		first := dueArity*i + 1
		if first >= len(h) {
			break
		}
		best := first
		for c := first + 1; c < min(first+dueArity, len(h)); c++ {
			if h[c].at < h[best].at {
				best = c
			}
		}
		if d.at <= h[best].at {
			break
		}
		h.set(i, h[best])
		i = best
	}
	h.set(i, d)
}
