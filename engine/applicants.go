package engine

import (
	"container/heap"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// applicant waits for a credit: a caller of enter, or a parked request. What whoever makes it
// writes is not written any more once it has joined the queue.
type applicant struct {
	priority messages.Priority            // written by whoever makes it
	since    time.Time                    // likewise
	about    throttle.Subject             // what halts look at; likewise
	halted   func(throttle.Subject) error // nil halts nothing; likewise

	turn   uint64 // in which order applicants came; written by add, like places
	places [2]int // in the two heaps
	queued bool   // written by applicants

	// Receives nil with the credit, or why there is none. Of capacity 1, written
	// once by whoever takes the applicant out of the queue, and read by its
	// caller: nobody who writes ever waits. Nil for one who is parked.
	verdict chan error
	// Who is told instead if it has no caller that waits. Neither method blocks.
	parked interface {
		Admitted()
		Denied(error)
	}
}

// answer tells the applicant that it has a credit, or why it has none. Whoever takes it out
// of the queue does so once.
func (p *applicant) answer(err error) {
	switch {
	case p.parked == nil:
		p.verdict <- err
	case err == nil:
		p.parked.Admitted()
	default:
		p.parked.Denied(err)
	}
}

// refused is why the applicant is halted; nil if it is not.
func (p *applicant) refused() error {
	if p.halted == nil {
		return nil
	}
	return p.halted(p.about)
}

// before is the rank: priority, then first come.
func (p *applicant) before(q *applicant) bool {
	if p.priority != q.priority {
		return p.priority > q.priority
	}
	return p.turn < q.turn
}

// applicants are a queue that has two ends, the next to be served and the next
// to be sent away, and that anyone may leave from the middle: each step costs
// the logarithm of its length. It is owned by whoever holds admission.mu; the
// zero value is empty.
type applicants struct {
	first rankHeap // the next to be served on top
	last  rankHeap // the next to be sent away on top
	turns uint64
}

func (a *applicants) len() int { return len(a.first.all) }

func (a *applicants) add(p *applicant) {
	a.turns++
	a.last.side = 1
	p.turn, p.queued = a.turns, true
	heap.Push(&a.first, p)
	heap.Push(&a.last, p)
}

func (a *applicants) takeFirst() *applicant {
	p := a.first.all[0]
	a.remove(p)
	return p
}

func (a *applicants) takeLast() *applicant {
	p := a.last.all[0]
	a.remove(p)
	return p
}

// remove reports whether the applicant was in the queue.
func (a *applicants) remove(p *applicant) bool {
	if !p.queued {
		return false
	}
	p.queued = false
	heap.Remove(&a.first, p.places[0])
	heap.Remove(&a.last, p.places[1])
	return true
}

// refuse takes out those that are refused, and tells them. It goes through all of them
// once, and sets both heaps up anew.
func (a *applicants) refuse(why func(*applicant) error) {
	left := a.first.all[:0]
	for _, p := range a.first.all {
		if err := why(p); err != nil {
			p.queued = false
			p.answer(err)
			continue
		}
		left = append(left, p)
	}
	if len(left) == len(a.first.all) {
		return
	}
	clear(a.first.all[len(left):])
	a.first.all = left
	clear(a.last.all)
	a.last.all = append(a.last.all[:0], left...)
	for _, h := range []*rankHeap{&a.first, &a.last} {
		for i, p := range h.all {
			p.places[h.side] = i
		}
		heap.Init(h)
	}
}

// rankHeap is a heap by rank, or on side 1 by the opposite.
type rankHeap struct {
	all  []*applicant
	side int // which of an applicant's places are in this heap
}

func (h *rankHeap) Len() int { return len(h.all) }

func (h *rankHeap) Less(i, j int) bool {
	if h.side == 1 {
		i, j = j, i
	}
	return h.all[i].before(h.all[j])
}

func (h *rankHeap) Swap(i, j int) {
	h.all[i], h.all[j] = h.all[j], h.all[i]
	h.all[i].places[h.side], h.all[j].places[h.side] = i, j
}

func (h *rankHeap) Push(p any) {
	one := p.(*applicant)
	one.places[h.side] = len(h.all)
	h.all = append(h.all, one)
}

func (h *rankHeap) Pop() any {
	n := len(h.all) - 1
	p := h.all[n]
	h.all[n] = nil
	h.all = h.all[:n]
	return p
}

// firstOf returns the first n to be served, as they rank: the top of the heap, and from then
// on the best of those that stand below what was taken.
func (a *applicants) firstOf(n int) (first []*applicant) {
	next := frontier{of: &a.first}
	if a.len() > 0 {
		next.at = []int{0}
	}
	for len(first) < n && len(next.at) > 0 {
		at := next.at[0]
		heap.Pop(&next)
		first = append(first, a.first.all[at])
		for below := 2*at + 1; below <= 2*at+2 && below < a.len(); below++ {
			heap.Push(&next, below)
		}
	}
	return first
}

// frontier is a heap of places in another one.
type frontier struct {
	of *rankHeap
	at []int
}

func (f *frontier) Len() int           { return len(f.at) }
func (f *frontier) Less(i, j int) bool { return f.of.Less(f.at[i], f.at[j]) }
func (f *frontier) Swap(i, j int)      { f.at[i], f.at[j] = f.at[j], f.at[i] }
func (f *frontier) Push(place any)     { f.at = append(f.at, place.(int)) }

func (f *frontier) Pop() any {
	n := len(f.at) - 1
	place := f.at[n]
	f.at = f.at[:n]
	return place
}
