package pool

import (
	"cmp"
	"context"
	"iter"
	"net/http/httptrace"
	"slices"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
)

// waiters are the tickets that wait for a connection: the most urgent first,
// first in, first out within a priority, and any of them may leave at once. Of
// the tickets it touches only the one that comes or goes: those of a crowd are
// in no cache.
type waiters struct {
	lines  []line // by priority, the most urgent first
	n      int    // tickets in all lines
	marked int    // tickets in all lines that have a mark on the dial they cause
	crowd  bool   // the outlet was told that they are one
}

// line is the queue of one priority.
type line struct {
	priority   messages.Priority
	ring       []*ticket.Ticket // a power of two of places; nil where one has left
	head, tail uint64           // the place of the first, and behind the last; counted on and on
	n          int              // tickets in the line
}

const (
	keptTurns = 1024 // places that an empty line keeps
	keptLines = 16   // lines that are kept when they are empty: a priority may be any number
)

func (l *line) place(at uint64) **ticket.Ticket { return &l.ring[at&uint64(len(l.ring)-1)] }

// find returns where the line of a priority is, or belongs.
func (w *waiters) find(p messages.Priority) (at int, found bool) {
	return slices.BinarySearchFunc(w.lines, p, func(l line, p messages.Priority) int {
		return cmp.Compare(p, l.priority)
	})
}

func (w *waiters) push(t *ticket.Ticket) {
	at, found := w.find(t.Priority)
	if !found {
		w.lines = slices.Insert(w.lines, at, line{priority: t.Priority})
	}
	w.lines[at].push(t)
	w.n++
	if marks(t) {
		w.marked++
	}
}

func (l *line) push(t *ticket.Ticket) {
	if l.tail-l.head == uint64(len(l.ring)) {
		l.grow()
	}
	l.put(t)
	l.n++
}

func (l *line) put(t *ticket.Ticket) {
	*l.place(l.tail) = t
	l.tail++
	t.Turn = l.tail
}

// grow makes room: it closes the gaps if they are many.
func (l *line) grow() {
	old := *l
	size := max(16, len(l.ring))
	if 2*l.n >= size {
		size *= 2
	}
	l.ring, l.head, l.tail = make([]*ticket.Ticket, size), 0, 0
	for t := range old.inOrder() {
		l.put(t)
	}
}

// inOrder yields the tickets from the first to the last.
func (l *line) inOrder() iter.Seq[*ticket.Ticket] {
	return func(yield func(*ticket.Ticket) bool) {
		for at := l.head; at < l.tail; at++ {
			if t := *l.place(at); t != nil && !yield(t) {
				return
			}
		}
	}
}

// inOrder yields the tickets in the order in which they are to be served.
func (w *waiters) inOrder() iter.Seq[*ticket.Ticket] {
	return func(yield func(*ticket.Ticket) bool) {
		for i := range w.lines {
			for t := range w.lines[i].inOrder() {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// pop takes the first ticket out; nil means that there is none.
func (w *waiters) pop() *ticket.Ticket {
	for i := range w.lines {
		l := &w.lines[i]
		for ; l.n > 0; l.head++ { // with none left the places are all empty
			if t := *l.place(l.head); t != nil {
				w.remove(t)
				return t
			}
		}
	}
	return nil
}

// least returns who is to make room: the last to come of the least urgent, which is t
// itself unless t is more urgent than one that waits.
func (w *waiters) least(t *ticket.Ticket) *ticket.Ticket {
	for i := len(w.lines) - 1; i >= 0 && w.lines[i].priority < t.Priority; i-- {
		l := &w.lines[i]
		for ; l.n > 0; l.tail-- { // the places behind the last one are all empty
			if last := *l.place(l.tail - 1); last != nil {
				return last
			}
		}
	}
	return t
}

// remove reports whether the ticket was in the queue.
func (w *waiters) remove(t *ticket.Ticket) bool {
	if t.Turn == 0 {
		return false
	}
	at, _ := w.find(t.Priority)
	l := &w.lines[at]
	*l.place(t.Turn - 1) = nil
	t.Turn = 0
	w.n--
	l.n--
	if marks(t) {
		w.marked--
	}
	switch {
	case l.n > 0:
	case len(w.lines) > keptLines:
		w.lines = slices.Delete(w.lines, at, at+1)
	case len(l.ring) > keptTurns:
		*l = line{priority: l.priority} // a crowd must not keep its memory for ever
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

// marks reports whether the dial that a ticket causes differs from any other.
func marks(t *ticket.Ticket) bool { return t.Trace != nil || t.Values != nil }

// mark is what a dial has of the request that caused it.
type mark struct {
	values context.Context        // whose values it is made with; nil has none
	trace  *httptrace.ClientTrace // that is told of it; nil tells nobody
}

// mark returns that of the ticket with n before it; it is zero if there is no such
// ticket.
func (w *waiters) mark(n int) mark {
	if w.marked == 0 {
		return mark{}
	}
	for t := range w.inOrder() {
		if n == 0 {
			return mark{t.Values, t.Trace}
		}
		n--
	}
	return mark{}
}

// take takes out the tickets that are chosen, in order.
func (w *waiters) take(chosen func(*ticket.Ticket) bool) (taken []*ticket.Ticket) {
	for t := range w.inOrder() {
		if chosen(t) {
			taken = append(taken, t)
		}
	}
	for _, t := range taken {
		w.remove(t)
	}
	return taken
}

// urgency is how urgent another dial is, beside those that were begun: as urgent as the
// first of those who wait that has none which is as urgent, and if there is no such, as what
// nobody waits for.
func (w *waiters) urgency(begun []messages.Priority) messages.Priority {
	waiting := 0
	for i := range w.lines {
		l := &w.lines[i]
		waiting += l.n
		dials := 0
		for _, urgent := range begun {
			if urgent >= l.priority {
				dials++
			}
		}
		if l.n > 0 && dials < waiting {
			return l.priority
		}
	}
	return messages.Background
}
