package throttle

import (
	"cmp"
	"slices"
	"time"
)

// A halt takes whole lanes out of the queue, in a time that depends on their number and
// not on that of the permits in them: from then on none of these can be granted, holds
// room or counts as queued. The owner takes them over one by one, a few at a time, and
// puts back those that the filter turns out not to select, with the rank they had.
//
// Invariant: a lane is in queue.lanes or in queue.detached, and a permit that is Queued
// is in a lane of one of them, or is to be returned by Next as Refused. The permits of
// detached lanes are not counted in queue.n.

// detachment is the lanes that were taken out, in the order in which they are emptied.
type detachment struct {
	lanes []*lane
	n     int // permits in them
	turn  int // the lane that the next permit is taken from
}

// Detach takes out of the queue, at once, every lane that h may select permits of, and
// returns how many permits that are. NextDetached has them.
func (l *Ledger) Detach(now time.Duration, h *Halt) (n int) {
	l.at(now)
	q := &l.queue
	var taken []*lane
	for _, ln := range q.lanes {
		if h.Filter.takesClass(ln.path.route.id, ln.priority) && (ln.mixed || h.Filter.takesParts(ln.parts)) {
			taken = append(taken, ln)
		}
	}
	slices.SortFunc(taken, func(a, b *lane) int { // the most urgent first, for whoever is put back
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.head.rank, b.head.rank), cmp.Compare(a.head.seq, b.head.seq))
	})
	for _, ln := range taken {
		q.detachLane(ln, h)
		n += ln.n
	}
	return n
}

// detachLane takes a lane out with all that waits in it.
func (q *queue) detachLane(ln *lane, h *Halt) {
	q.withdraw(ln)
	q.leave(ln)
	q.unlink(ln)
	q.n -= ln.n
	clear(ln.claims)
	*ln = lane{list: ln.list, n: ln.n, path: ln.path, priority: ln.priority, halt: h, slot: -1}
	q.detached.lanes = append(q.detached.lanes, ln)
	q.detached.n += ln.n
}

// removeDetached takes p out of a detached lane.
func (q *queue) removeDetached(p *Permit) {
	q.detached.n--
	q.drop(p.lane, p)
}

// Detached returns how many permits NextDetached still has.
func (l *Ledger) Detached() int { return l.queue.detached.n }

// NextDetached returns a permit that Detach took out, and for which halt; nil if there is
// none left. It is Idle then: it is refused, or put back by Requeue, which gives it the
// rank it had. Lanes take turns, so that whoever is put back first is one of the first of
// each.
func (l *Ledger) NextDetached() (*Permit, *Halt) {
	d := &l.queue.detached
	for len(d.lanes) > 0 {
		d.turn %= len(d.lanes)
		ln := d.lanes[d.turn]
		p := ln.head
		if p == nil { // all of it has left, or was taken
			d.lanes = slices.Delete(d.lanes, d.turn, d.turn+1)
			continue
		}
		d.turn++
		l.queue.removeDetached(p)
		p.state, p.parked = Idle, true
		return p, ln.halt
	}
	d.lanes, d.turn = nil, 0
	return nil, nil
}
