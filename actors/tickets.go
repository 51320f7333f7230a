package actors

import "github.com/sluice-engine/sluice/messages"

// ticketList is a first-in, first-out list threaded through the tickets
// themselves, so that any of them can leave at once. Its actor owns it, and
// the links it uses.
type ticketList struct {
	root  messages.Ticket // only its links are used
	links func(*messages.Ticket) *messages.Links
	n     int
}

func queueLinks(t *messages.Ticket) *messages.Links { return &t.Queue }
func bookLinks(t *messages.Ticket) *messages.Links  { return &t.Book }

func newTicketList(links func(*messages.Ticket) *messages.Links) *ticketList {
	l := &ticketList{links: links}
	*links(&l.root) = messages.Links{Prev: &l.root, Next: &l.root}
	return l
}

func (l *ticketList) push(t *messages.Ticket) {
	last := l.links(&l.root).Prev
	*l.links(t) = messages.Links{Prev: last, Next: &l.root}
	l.links(last).Next = t
	l.links(&l.root).Prev = t
	l.n++
}

// pop takes the first ticket out; nil means that there is none.
func (l *ticketList) pop() *messages.Ticket {
	first := l.links(&l.root).Next
	if first == &l.root {
		return nil
	}
	l.remove(first)
	return first
}

// remove reports whether the ticket was in the list.
func (l *ticketList) remove(t *messages.Ticket) bool {
	at := l.links(t)
	if at.Prev == nil {
		return false
	}
	l.links(at.Prev).Next = at.Next
	l.links(at.Next).Prev = at.Prev
	*at = messages.Links{}
	l.n--
	return true
}

// first returns the ticket that has been in the list longest, or nil.
func (l *ticketList) first() *messages.Ticket { return l.after(&l.root) }

// after returns the ticket behind t, or nil.
func (l *ticketList) after(t *messages.Ticket) *messages.Ticket {
	if next := l.links(t).Next; next != &l.root {
		return next
	}
	return nil
}
