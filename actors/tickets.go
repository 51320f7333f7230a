package actors

import (
	"cmp"
	"net/http/httptrace"
	"slices"

	"github.com/sluice-engine/sluice/messages"
)

// ticketList is a first-in, first-out list threaded through the tickets
// themselves, so that any of them can leave at once. Its pool owns it, and the
// links.
type ticketList struct {
	root messages.Ticket // only its links are used
	n    int

	traced int // of them, those with a Trace
}

func newTicketList() *ticketList {
	l := new(ticketList)
	l.root.Queue = messages.Links{Prev: &l.root, Next: &l.root}
	return l
}

func (l *ticketList) push(t *messages.Ticket) {
	last := l.root.Queue.Prev
	t.Queue = messages.Links{Prev: last, Next: &l.root}
	last.Queue.Next = t
	l.root.Queue.Prev = t
	l.n++
	if t.Trace != nil {
		l.traced++
	}
}

// pop takes the first ticket out; nil means that there is none.
func (l *ticketList) pop() *messages.Ticket {
	first := l.root.Queue.Next
	if first == &l.root {
		return nil
	}
	l.remove(first)
	return first
}

// trace returns that of the ticket with n before it; nil means that it has
// none, or that there is no such ticket.
func (l *ticketList) trace(n int) *httptrace.ClientTrace {
	if l.traced == 0 || n >= l.n {
		return nil
	}
	t := l.root.Queue.Next
	for range n {
		t = t.Queue.Next
	}
	return t.Trace
}

// takeTraced takes out the tickets of one trace.
func (l *ticketList) takeTraced(trace *httptrace.ClientTrace) (taken []*messages.Ticket) {
	for t := l.root.Queue.Next; t != &l.root; t = t.Queue.Next {
		if t.Trace == trace {
			taken = append(taken, t)
		}
	}
	for _, t := range taken {
		l.remove(t)
	}
	return taken
}

// remove reports whether the ticket was in the list.
func (l *ticketList) remove(t *messages.Ticket) bool {
	at := t.Queue
	if at.Prev == nil {
		return false
	}
	at.Prev.Queue.Next = at.Next
	at.Next.Queue.Prev = at.Prev
	t.Queue = messages.Links{}
	l.n--
	if t.Trace != nil {
		l.traced--
	}
	return true
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
