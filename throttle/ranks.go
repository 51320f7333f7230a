package throttle

import (
	"cmp"
	"slices"
	"time"
)

// ranks are the lanes of a queue by their priorities, the least urgent first.
type ranks []rank

// rank are the lanes of one priority, in no order.
type rank struct {
	priority Priority
	lanes    []*lane
}

func (r ranks) search(p Priority) (i int, found bool) {
	return slices.BinarySearchFunc(r, p, func(of rank, p Priority) int {
		return cmp.Compare(of.priority, p)
	})
}

func (r *ranks) add(ln *lane) {
	i, found := r.search(ln.priority)
	if !found {
		r.begin(i, ln.priority)
	}
	of := &(*r)[i]
	ln.peer = len(of.lanes)
	of.lanes = append(of.lanes, ln)
}

func (r *ranks) remove(ln *lane) {
	i, _ := r.search(ln.priority)
	of := &(*r)[i]
	last := len(of.lanes) - 1
	of.lanes[ln.peer] = of.lanes[last]
	of.lanes[ln.peer].peer = ln.peer
	of.lanes[last] = nil
	of.lanes = of.lanes[:last]
	if last == 0 {
		r.end(i)
	}
}

// begin makes the i-th rank, in the room of one that has ended if there is any.
func (r *ranks) begin(i int, p Priority) {
	was := len(*r)
	*r = slices.Grow(*r, 1)[:was+1]
	room := (*r)[was].lanes
	copy((*r)[i+1:], (*r)[i:was])
	(*r)[i] = rank{priority: p, lanes: room}
}

// end forgets the i-th rank, which has no lanes. Where one lane comes and goes its room
// is kept behind the others.
func (r *ranks) end(i int) {
	room := (*r)[i].lanes
	if cap(room) > fewLanes {
		room = nil
	}
	last := len(*r) - 1
	copy((*r)[i:], (*r)[i+1:])
	(*r)[last] = rank{lanes: room}
	*r = (*r)[:last]
}

const fewLanes = 8 // for which room is kept

// makeRoom reports whether there is a place in the queue for p. In a full one the least
// urgent has to leave for whoever is more urgent: of those the last to come on one of
// their ways, whom Next returns as Refused.
func (l *Ledger) makeRoom(now time.Duration, p *Permit) bool {
	q := &l.queue
	if q.n < l.options.MaxQueued {
		return true
	}
	if len(q.ranks) == 0 || q.ranks[0].priority >= p.Priority {
		return false
	}
	lanes := q.ranks[0].lanes
	leaves := lanes[len(lanes)-1].tail
	leaves.err = l.refusal(now, leaves, ErrQueueFull)
	q.remove(leaves)
	q.refuse(leaves)
	return true
}
