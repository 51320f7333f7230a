package engine

import (
	"container/heap"

	"github.com/sluice-engine/sluice/messages"
)

// applicant is a caller of enter that waits for a credit.
type applicant struct {
	priority messages.Priority // written by enter
	turn     uint64            // in which order applicants came; written by add, like places
	places   [2]int            // in the two heaps
	queued   bool              // written by applicants
	// Receives nil with the credit, or why there is none. Of capacity 1, written
	// once by whoever takes the applicant out of the queue, and read by its
	// caller: nobody who writes ever waits.
	verdict chan error
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
