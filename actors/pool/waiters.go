package pool

import (
	"iter"
	"net/http/httptrace"

	"github.com/sluice-engine/sluice/actors/ticket"
)

// waiters are the tickets that wait for a connection, first in, first
// out, and any of them may leave at once. Of the tickets it touches only the one
// that comes or goes: those of a crowd are in no cache.
type waiters struct {
	ring       []*ticket.Ticket // a power of two of places; nil where one has left
	head, tail uint64           // the place of the first, and behind the last; counted on and on
	n          int              // tickets in the queue

	traced int // tickets in the queue that have a Trace
}

func (w *waiters) place(at uint64) **ticket.Ticket { return &w.ring[at&uint64(len(w.ring)-1)] }

func (w *waiters) push(t *ticket.Ticket) {
	if w.tail-w.head == uint64(len(w.ring)) {
		w.grow()
	}
	w.put(t)
	w.n++
	if t.Trace != nil {
		w.traced++
	}
}

func (w *waiters) put(t *ticket.Ticket) {
	*w.place(w.tail) = t
	w.tail++
	t.Turn = w.tail
}

// grow makes room: it closes the gaps if they are many.
func (w *waiters) grow() {
	old := *w
	size := max(16, len(w.ring))
	if 2*w.n >= size {
		size *= 2
	}
	w.ring, w.head, w.tail = make([]*ticket.Ticket, size), 0, 0
	for t := range old.inOrder() {
		w.put(t)
	}
}

// inOrder yields the tickets from the first to the last.
func (w *waiters) inOrder() iter.Seq[*ticket.Ticket] {
	return func(yield func(*ticket.Ticket) bool) {
		for at := w.head; at < w.tail; at++ {
			if t := *w.place(at); t != nil && !yield(t) {
				return
			}
		}
	}
}

// pop takes the first ticket out; nil means that there is none.
func (w *waiters) pop() *ticket.Ticket {
	for ; w.head < w.tail; w.head++ {
		if t := *w.place(w.head); t != nil {
			w.remove(t)
			return t
		}
	}
	return nil
}

// keptTurns is how many places an empty queue keeps.
const keptTurns = 1024

// remove reports whether the ticket was in the queue.
func (w *waiters) remove(t *ticket.Ticket) bool {
	if t.Turn == 0 {
		return false
	}
	*w.place(t.Turn - 1) = nil
	t.Turn = 0
	w.n--
	if t.Trace != nil {
		w.traced--
	}
	if w.n == 0 && len(w.ring) > keptTurns {
		*w = waiters{}
	}
	return true
}

// has looks for a ticket that may be somebody else's by now, and reads nothing of
// it.
func (w *waiters) has(t *ticket.Ticket) bool {
	for other := range w.inOrder() {
		if other == t {
			return true
		}
	}
	return false
}

// trace returns that of the ticket with n before it; nil means that it has
// none, or that there is no such ticket.
func (w *waiters) trace(n int) *httptrace.ClientTrace {
	if w.traced == 0 {
		return nil
	}
	for t := range w.inOrder() {
		if n == 0 {
			return t.Trace
		}
		n--
	}
	return nil
}

// takeTraced takes out the tickets of one trace.
func (w *waiters) takeTraced(trace *httptrace.ClientTrace) (taken []*ticket.Ticket) {
	for t := range w.inOrder() {
		if t.Trace == trace {
			taken = append(taken, t)
		}
	}
	for _, t := range taken {
		w.remove(t)
	}
	return taken
}
