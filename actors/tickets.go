package actors

import (
	"cmp"
	"iter"
	"net/http/httptrace"
	"slices"

	"github.com/sluice-engine/sluice/messages"
)

// ticketQueue has the tickets that wait for a connection, first in, first out,
// and lets any of them leave at once. Of the tickets it touches only the one
// that comes or goes: those of a crowd are in no cache.
type ticketQueue struct {
	ring       []*messages.Ticket // a power of two of places; nil where one has left
	head, tail uint64             // the place of the first, and behind the last; counted on and on
	n          int                // tickets

	traced int // of them, those with a Trace
}

func (q *ticketQueue) place(at uint64) **messages.Ticket { return &q.ring[at&uint64(len(q.ring)-1)] }

func (q *ticketQueue) push(t *messages.Ticket) {
	if q.tail-q.head == uint64(len(q.ring)) {
		q.grow()
	}
	q.put(t)
	q.n++
	if t.Trace != nil {
		q.traced++
	}
}

func (q *ticketQueue) put(t *messages.Ticket) {
	*q.place(q.tail) = t
	q.tail++
	t.Turn = q.tail
}

// grow makes room: it closes the gaps if they are many.
func (q *ticketQueue) grow() {
	old := *q
	size := max(16, len(q.ring))
	if 2*q.n >= size {
		size *= 2
	}
	q.ring, q.head, q.tail = make([]*messages.Ticket, size), 0, 0
	for t := range old.inOrder() {
		q.put(t)
	}
}

// inOrder yields the tickets from the first to the last.
func (q *ticketQueue) inOrder() iter.Seq[*messages.Ticket] {
	return func(yield func(*messages.Ticket) bool) {
		for at := q.head; at < q.tail; at++ {
			if t := *q.place(at); t != nil && !yield(t) {
				return
			}
		}
	}
}

// pop takes the first ticket out; nil means that there is none.
func (q *ticketQueue) pop() *messages.Ticket {
	for ; q.head < q.tail; q.head++ {
		if t := *q.place(q.head); t != nil {
			q.remove(t)
			return t
		}
	}
	return nil
}

// keptTurns is how many places an empty queue keeps.
const keptTurns = 1024

// remove reports whether the ticket was in the queue.
func (q *ticketQueue) remove(t *messages.Ticket) bool {
	if t.Turn == 0 {
		return false
	}
	*q.place(t.Turn - 1) = nil
	t.Turn = 0
	q.n--
	if t.Trace != nil {
		q.traced--
	}
	if q.n == 0 && len(q.ring) > keptTurns {
		*q = ticketQueue{}
	}
	return true
}

// trace returns that of the ticket with n before it; nil means that it has
// none, or that there is no such ticket.
func (q *ticketQueue) trace(n int) *httptrace.ClientTrace {
	if q.traced == 0 {
		return nil
	}
	for t := range q.inOrder() {
		if n == 0 {
			return t.Trace
		}
		n--
	}
	return nil
}

// takeTraced takes out the tickets of one trace.
func (q *ticketQueue) takeTraced(trace *httptrace.ClientTrace) (taken []*messages.Ticket) {
	for t := range q.inOrder() {
		if t.Trace == trace {
			taken = append(taken, t)
		}
	}
	for _, t := range taken {
		q.remove(t)
	}
	return taken
}

// ticketSet is the throttler's book of tickets. Every request enters and leaves
// it, so it touches no ticket but that one: others are in other processors'
// caches.
type ticketSet struct {
	all    []*messages.Ticket // each at its Place, less one; nil where one has left
	free   []int              // the places of those
	serial uint64
}

func (s *ticketSet) add(t *messages.Ticket) {
	s.serial++
	t.Serial = s.serial
	if last := len(s.free) - 1; last >= 0 {
		t.Place = s.free[last]
		s.free = s.free[:last]
		s.all[t.Place-1] = t
		return
	}
	s.all = append(s.all, t)
	t.Place = len(s.all)
}

// remove may be told of a ticket that is not there.
func (s *ticketSet) remove(t *messages.Ticket) {
	if t.Place == 0 {
		return
	}
	s.all[t.Place-1] = nil
	s.free = append(s.free, t.Place)
	t.Place = 0
	if len(s.free) == len(s.all) && len(s.all) > keptPlaces {
		s.all, s.free = nil, nil // a burst must not keep its memory for ever
	}
}

// keptPlaces is how many an empty book keeps.
const keptPlaces = 1024

// inOrder returns the tickets as they came.
func (s *ticketSet) inOrder() []*messages.Ticket {
	ordered := slices.DeleteFunc(slices.Clone(s.all), func(t *messages.Ticket) bool { return t == nil })
	slices.SortFunc(ordered, func(a, b *messages.Ticket) int { return cmp.Compare(a.Serial, b.Serial) })
	return ordered
}
