package throttle

import "time"

// queue holds the waiting permits: one first-in-first-out lane for each
// priority of each path, and the lanes in the order of their heads' ranks.
//
// A scan goes through the lanes in that order. A head that every limit has room
// for is granted. A blocked one reserves its weight in those of its limits where
// its own grant is near, see Ledger.reserve: where there is room for it this keeps
// the room, and where there is not it keeps whatever there is, so that heavy
// requests are not passed for ever. Worse heads see only what is left; lanes with
// other limits pass freely.
//
// Invariant: between calls of Next, with stale unset and wake not reached, no
// head could be granted.
type queue struct {
	n      int
	ready  laneHeap // lanes this scan has not come to
	passed []*lane  // lanes this scan found blocked, best first
	epoch  uint64   // number of the scan
	stale  bool     // what the scan found no longer holds
	done   bool     // the scan need not come to the lanes left in ready
	wake   time.Duration

	deadlines deadlines
	refused   list    // to be returned by Next
	spare     []*lane // for reuse
}

// lane is the queue of one priority on one path. Only its head competes.
type lane struct {
	list
	n        int
	path     *path
	priority Priority
	slot     int     // in ready, or -1 if it has been passed
	recalled *Permit // the last one that was put back where it belongs; nil if it left
}

// disputed reports whether anyone in the queue needs a meter of the path, or may
// need its part of a slow start.
func (q *queue) disputed(p *path) bool {
	if q.n == 0 {
		return false
	}
	if len(p.lanes) > 0 || p.recovering() {
		return true
	}
	for _, c := range p.charges {
		if c.meter.waiting > 0 {
			return true
		}
	}
	return false
}

// outranks reports whether p goes ahead of everyone in the queue.
func (q *queue) outranks(p *Permit) bool {
	return (len(q.ready) == 0 || p.before(q.ready[0].head)) &&
		(len(q.passed) == 0 || p.before(q.passed[0].head))
}

func (q *queue) push(l *Ledger, p *Permit) {
	p.state, p.granted = Queued, l.now
	q.n++
	ln := p.path.lane(p.Priority)
	if ln == nil {
		ln = l.queue.openLane(p.path, p.Priority)
	}
	p.lane = ln
	head := ln.head
	if ln.tail == nil || ln.tail.before(p) {
		ln.push(p)
	} else {
		ln.recall(p)
	}
	ln.n++
	q.deadlines.joined(p)
	switch {
	case ln.head != p: // behind a head it changes nothing for the scan
		return
	case head == nil:
		q.ready.push(ln)
	default:
		q.reorder(ln)
	}
	q.stale = true
}

// recall puts p, which came before the last of the lane, where it belongs. Many
// are recalled at once, in order or against it: then each is beside the last one.
func (ln *lane) recall(p *Permit) {
	near := ln.recalled
	if near == nil {
		near = ln.head
	}
	ln.insert(p, near)
	ln.recalled = p
}

// drop takes p out of its lane.
func (q *queue) drop(ln *lane, p *Permit) {
	next := p.next
	if ln.recalled == p {
		ln.recalled = next
	}
	ln.remove(p)
	ln.n--
	p.lane = nil
	q.deadlines.left(p, next)
}

func (p *path) lane(priority Priority) *lane {
	for _, ln := range p.lanes {
		if ln.priority == priority {
			return ln
		}
	}
	return nil
}

func (q *queue) openLane(p *path, priority Priority) *lane {
	ln := q.newLane()
	ln.path, ln.priority = p, priority
	p.lanes = append(p.lanes, ln)
	for _, c := range p.charges {
		c.meter.waiting++
	}
	return ln
}

func (q *queue) newLane() *lane {
	last := len(q.spare) - 1
	if last < 0 {
		return &lane{}
	}
	ln := q.spare[last]
	q.spare[last] = nil
	q.spare = q.spare[:last]
	return ln
}

// closeLane forgets an empty lane that is in neither order.
func (q *queue) closeLane(ln *lane) {
	for i, have := range ln.path.lanes {
		if have == ln {
			last := len(ln.path.lanes) - 1
			ln.path.lanes[i] = ln.path.lanes[last]
			ln.path.lanes = ln.path.lanes[:last]
			break
		}
	}
	for _, c := range ln.path.charges {
		c.meter.waiting--
	}
	*ln = lane{}
	q.spare = append(q.spare, ln)
}

// remove takes p out of the queue wherever it is.
func (q *queue) remove(p *Permit) {
	q.n--
	ln := p.lane
	if ln == nil { // it waits only to be told that it was refused
		q.refused.remove(p)
		return
	}
	wasHead := ln.head == p
	q.drop(ln, p)
	if wasHead {
		q.reorder(ln)
		q.stale = true
	}
}

// reorder puts a lane whose head has left where it belongs now.
func (q *queue) reorder(ln *lane) {
	switch {
	case ln.slot >= 0 && ln.head != nil:
		q.ready.fix(ln.slot)
	case ln.slot >= 0:
		q.ready.remove(ln.slot)
		q.closeLane(ln)
	default:
		q.unpass(ln)
		if ln.head == nil {
			q.closeLane(ln)
		} else {
			q.ready.push(ln)
		}
	}
}

func (q *queue) unpass(ln *lane) {
	for i, have := range q.passed {
		if have == ln {
			q.passed = append(q.passed[:i], q.passed[i+1:]...)
			return
		}
	}
}

// freed notes that m may have more room, or may know sooner when it will, from
// `from` on.
func (q *queue) freed(m *meter, now, from time.Duration) {
	if m.waiting == 0 {
		return
	}
	if from <= now {
		q.stale = true
	}
	q.wake = min(q.wake, from)
}
