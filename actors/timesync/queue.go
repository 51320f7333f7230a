package timesync

import "github.com/sluice-engine/sluice/messages/protocol"

// queue has those who wait, each once, in the order in which they came. The zero
// value is empty. Everyone may leave, at a price that does not depend on how many
// wait: thousands leave while a source of time hangs.
type queue struct {
	order []protocol.Recipient       // nil where somebody left
	place map[protocol.Recipient]int // in order, of everyone who waits
}

func (q *queue) len() int { return len(q.place) }

func (q *queue) add(owner protocol.Recipient) {
	if _, waits := q.place[owner]; waits {
		return
	}
	if q.place == nil {
		q.place = make(map[protocol.Recipient]int)
	}
	q.place[owner] = len(q.order)
	q.order = append(q.order, owner)
}

// remove takes somebody out, or nobody.
func (q *queue) remove(owner protocol.Recipient) {
	i, waits := q.place[owner]
	if !waits {
		return
	}
	delete(q.place, owner)
	q.order[i] = nil
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
	for _, owner := range old.order {
		if owner != nil {
			q.add(owner)
		}
	}
}

// empty returns all who wait, in order, and forgets them.
func (q *queue) empty() []protocol.Recipient {
	q.compact()
	all := q.order
	*q = queue{}
	return all
}
