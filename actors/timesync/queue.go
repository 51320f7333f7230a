package timesync

import (
	"time"

	"github.com/sluice-engine/sluice/messages/protocol"
)

// waiter is one who waits, for no longer than to an instant; zero means for ever.
type waiter struct {
	owner    protocol.Recipient
	deadline time.Duration
}

// inVain reports whether it would wait in vain for what comes at an instant.
func (w waiter) inVain(at time.Duration) bool { return w.deadline != 0 && w.deadline < at }

// queue has those who wait, each once, in the order in which they came. The zero
// value is empty. Everyone may leave, at a price that does not depend on how many
// wait: thousands leave while a source of time hangs.
type queue struct {
	order []waiter                   // the zero value where somebody left
	place map[protocol.Recipient]int // in order, of everyone who waits
}

func (q *queue) len() int { return len(q.place) }

func (q *queue) add(w waiter) {
	if _, waits := q.place[w.owner]; waits {
		return
	}
	if q.place == nil {
		q.place = make(map[protocol.Recipient]int)
	}
	q.place[w.owner] = len(q.order)
	q.order = append(q.order, w)
}

// remove takes somebody out, or nobody.
func (q *queue) remove(owner protocol.Recipient) {
	i, waits := q.place[owner]
	if !waits {
		return
	}
	delete(q.place, owner)
	q.order[i] = waiter{}
	switch {
	case len(q.place) == 0:
		*q = queue{} // a map keeps the room of its best day
	case len(q.order) > 2*len(q.place)+16:
		q.compact()
	}
}

// compact closes the gaps. It takes as long as so many left before.
func (q *queue) compact() {
	old := *q
	*q = queue{}
	for _, w := range old.order {
		if w.owner != nil {
			q.add(w)
		}
	}
}

// takeInVain takes out who would wait in vain for what comes at an instant, in order.
func (q *queue) takeInVain(at time.Duration) (taken []waiter) {
	for _, w := range q.order {
		if w.owner != nil && w.inVain(at) {
			taken = append(taken, w)
		}
	}
	for _, w := range taken { // behind the look at all: remove moves who stays
		q.remove(w.owner)
	}
	return taken
}

// empty returns all who wait, in order, and forgets them.
func (q *queue) empty() []waiter {
	q.compact()
	all := q.order
	*q = queue{}
	return all
}
