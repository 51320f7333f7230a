package throttle

import (
	"container/heap"
	"time"
)

// Waiter is a queued permit, and what it waits for.
type Waiter struct {
	Permit *Permit // the ledger's still; of use until its next call
	Hold   Hold
	Since  time.Duration // when it was queued, or queued again
	// Ahead is how many of those that go before it need the limit that holds it, or are in the
	// scope that does. Behind is the place of the last of these in the list; -1 if there is
	// none.
	Ahead, Behind int
}

const (
	// mostWaiters is how many Waiters tells of at most, and mostLanes how many lanes it
	// looks at: its owner has other things to do.
	mostWaiters = 1024
	mostLanes   = 4096
)

// Waiters returns the first n of the queue, in the order in which they would go if all of
// them waited for the same. n is at most 1,024. Of more than 4,096 lanes the most urgent are
// looked at, of one priority any. Nothing changes by it, and its cost does not grow with the
// length of the queue.
//
// Invariant: of the lanes that were looked at nobody who goes before one in the list is
// missing from it, so that who is ahead can be counted in it.
func (l *Ledger) Waiters(now time.Duration, n int) []Waiter {
	now = l.at(now)
	n = min(n, mostWaiters)
	var heads permitHeap
	for i := len(l.queue.ranks) - 1; i >= 0 && len(heads) < mostLanes; i-- {
		for _, ln := range l.queue.ranks[i].lanes {
			if len(heads) == mostLanes {
				break
			}
			heads = append(heads, ln.head)
		}
	}
	heap.Init(&heads)
	ahead := aheads{}
	var first []Waiter
	for len(first) < n && len(heads) > 0 {
		p := heads[0]
		w := Waiter{Permit: p, Hold: l.holding(now, p, likely), Since: p.granted, Behind: -1}
		if last, any := ahead[p.path.heldIn(&w.Hold)]; any {
			w.Ahead, w.Behind = last.n, last.at
		}
		ahead.add(now, p, len(first))
		first = append(first, w)
		if p.next != nil {
			heads[0] = p.next
			heap.Fix(&heads, 0)
		} else {
			heap.Pop(&heads)
		}
	}
	return first
}

// heldIn returns the scope, or else the meter, that a hold names; nil if it names none.
func (p *path) heldIn(h *Hold) (in any) {
	if h.Paused {
		p.obeyed(func(s *scope) {
			if s.Scope == h.Scope {
				in = s
			}
		})
		return in
	}
	for _, c := range p.charges {
		if m := c.meter; m.rule.ID == h.Limit && *m.of == (Parts{h.Account, h.Key, h.Egress}) {
			return m
		}
	}
	return nil
}

// aheads are how many need a meter, or are in a scope in trouble, and which of them is the
// last.
type aheads map[any]struct{ n, at int }

func (a aheads) add(now time.Duration, p *Permit, at int) {
	for i, c := range p.path.charges {
		if p.weight(i) > 0 {
			a.count(c.meter, at)
		}
	}
	for _, s := range p.path.troubled(now) {
		a.count(s, at)
	}
}

func (a aheads) count(in any, at int) {
	last := a[in]
	a[in] = struct{ n, at int }{last.n + 1, at}
}

// permitHeap has the first of several lanes, the one that goes first on top.
type permitHeap []*Permit

func (h permitHeap) Len() int           { return len(h) }
func (h permitHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h permitHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface; nobody pushes.
func (h *permitHeap) Push(p any) { *h = append(*h, p.(*Permit)) }

// Pop is part of heap.Interface.
func (h *permitHeap) Pop() any {
	all := *h
	last := all[len(all)-1]
	*h = all[:len(all)-1]
	return last
}
