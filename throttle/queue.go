package throttle

import (
	"cmp"
	"slices"
	"time"
)

// queue holds the waiting permits: one first-in-first-out lane for each priority
// of each path. Only the head of a lane competes, and heads compete by rank.
//
// A head that every limit has room for is granted. A blocked one holds its weight
// in those of its limits where its own grant is near, see Ledger.reserve: where
// there is room for it this keeps the room, and where there is not it keeps
// whatever there is, so that heavy requests are not passed for ever. Worse heads see
// only what better ones leave; lanes with other limits pass freely.
//
// A lane whose head is blocked sleeps in the line of what blocks it for longest, a
// limit or a scope, and is looked at again only when one of these comes:
//   - the line lets it pass, by time or because something was freed there;
//   - its grant comes near enough for it to hold more (holdSearch), or those
//     ahead leave it something at last (claim.far);
//   - the wait that its holds were meant for is over (claim.review);
//   - its head changes, or what its path obeys is paused.
//
// Invariant: between calls of Next, with no lane awake, no line touched and no alarm
// due, each lane sleeps in a line that does not let it pass. A line of a limit does
// so if the limit's room is less than what the head wants beside the holds of better
// heads there; so no head could be granted. And each line that time alone will have
// let somebody pass has an alarm no later than that.
type queue struct {
	n       int
	lanes   []*lane  // all of them, in no order
	ranks   ranks    // the same, by priority
	awake   laneHeap // to be looked at, best first
	touched []*line  // what is known of them no longer holds
	alarms  alarms

	deadlines deadlines
	refused   list       // to be returned by Next
	detached  detachment // of lanes that are halted
	spare     spares
	chance    uint32 // what the shape of the trees is drawn from
	work      work
}

// spares are for reuse.
type spares struct {
	lanes []*lane
	lines []*line
}

// work counts what was done, so that tests can bound it.
type work struct {
	examined uint64 // lanes
	attended uint64 // lines
	compared uint64 // claims, on the way through the trees
}

// lane is the queue of one priority on one path.
type lane struct {
	list
	n        int
	path     *path
	priority Priority
	recalled *Permit // the last one that was put back where it belongs; nil if it left

	index  int     // among all lanes
	peer   int     // among those of its priority
	slot   int     // among those that are awake, or in the line of a scope
	state  resting // where slot counts
	line   *line   // where it sleeps; or slept, if it is awake; nil if its head is new
	roused bool    // it is to be looked at whatever it slept for
	woken  uint64  // how many lines had been attended to when it was woken
	claims []claim // of its head, one for each charge of the path

	parts Parts // of the first that came
	mixed bool  // others came that have other parts, which no limit of the path looks at
	halt  *Halt // that it is detached for; nil while it is in the queue
}

// resting says where a lane is.
type resting uint8

const (
	awake   resting = iota // it is to be looked at
	atLimit                // it sleeps in the line of a limit
	atScope                // it sleeps in the line of a scope
)

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
		if c.meter.line != nil {
			return true
		}
	}
	return false
}

func (q *queue) push(l *Ledger, p *Permit) {
	p.state, p.granted = Queued, l.now
	q.n++
	ln := p.path.lane(p.Priority)
	if ln == nil {
		ln = q.openLane(p.path, p.Priority)
		ln.parts = p.parts()
	}
	ln.mixed = ln.mixed || !ln.parts.are(p)
	p.lane = ln
	before := ln.head
	if ln.tail == nil || ln.tail.before(p) {
		ln.push(p)
	} else {
		ln.recall(p)
	}
	ln.n++
	q.deadlines.joined(p)
	if ln.head == p { // behind a head it changes nothing for anyone
		if before != nil {
			q.withdraw(ln)
		}
		q.rouse(ln)
	}
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

// lane returns the lane of a priority, or nil.
func (p *path) lane(priority Priority) *lane {
	if i, found := p.searchLane(priority); found {
		return p.lanes[i]
	}
	return nil
}

func (p *path) searchLane(priority Priority) (i int, found bool) {
	return slices.BinarySearchFunc(p.lanes, priority, func(ln *lane, priority Priority) int {
		return cmp.Compare(ln.priority, priority)
	})
}

// openLane makes a lane, which is nowhere yet.
func (q *queue) openLane(p *path, priority Priority) *lane {
	ln := q.newLane(len(p.charges))
	ln.path, ln.priority, ln.slot = p, priority, -1
	ln.index = len(q.lanes)
	q.lanes = append(q.lanes, ln)
	q.ranks.add(ln)
	i, _ := p.searchLane(priority)
	p.lanes = slices.Insert(p.lanes, i, ln)
	for i, c := range p.charges {
		m := c.meter
		if m.line == nil {
			m.line = q.newLine()
			m.line.meter = m
		}
		m.line.needed++
		ln.claims[i].lane, ln.claims[i].line = ln, m.line
	}
	return ln
}

func (q *queue) newLane(charges int) *lane {
	last := len(q.spare.lanes) - 1
	if last < 0 {
		return &lane{claims: make([]claim, charges)}
	}
	ln := q.spare.lanes[last]
	q.spare.lanes[last] = nil
	q.spare.lanes = q.spare.lanes[:last]
	if cap(ln.claims) < charges {
		ln.claims = make([]claim, charges)
	}
	ln.claims = ln.claims[:charges]
	return ln
}

// closeLane forgets an empty lane that is nowhere and claims nothing.
func (q *queue) closeLane(ln *lane) {
	q.unlink(ln)
	clear(ln.claims)
	*ln = lane{claims: ln.claims}
	q.spare.lanes = append(q.spare.lanes, ln)
}

// unlink takes a lane that is nowhere, and claims nothing, out of all lists of lanes.
func (q *queue) unlink(ln *lane) {
	i, _ := ln.path.searchLane(ln.priority)
	ln.path.lanes = slices.Delete(ln.path.lanes, i, i+1)
	for _, c := range ln.path.charges {
		if c.meter.line.needed--; c.meter.line.needed == 0 {
			q.closeLine(c.meter.line)
		}
	}
	q.ranks.remove(ln)
	last := len(q.lanes) - 1
	q.lanes[ln.index] = q.lanes[last]
	q.lanes[ln.index].index = ln.index
	q.lanes[last] = nil
	q.lanes = q.lanes[:last]
}

// remove takes p out of the queue wherever it is, without a grant.
func (q *queue) remove(p *Permit) {
	ln := p.lane
	if ln != nil && ln.halt != nil {
		q.removeDetached(p)
		return
	}
	q.n--
	if ln == nil { // it waits only to be told that it was refused
		q.refused.remove(p)
		return
	}
	if ln.head != p {
		q.drop(ln, p)
		return
	}
	q.withdraw(ln)
	q.succeed(ln, p)
}

// take removes the head of a lane, which is about to be granted. What it held it
// takes, so that the room of the others comes when it would have come, and none of
// their lines need be looked at but the one that let it pass: that may let more pass.
// Only those for whom there may now be room within a cycle may hold more.
func (q *queue) take(ln *lane) {
	q.n--
	for i := range ln.claims {
		c := &ln.claims[i]
		q.detach(c)
		if c.line.root != nil && c.line.root.beyond <= c.line.meter.terms.quota {
			q.touch(c.line)
		}
	}
	q.succeed(ln, ln.head)
}

// succeed drops the head p, which claims nothing any more, and has the next one
// looked at.
func (q *queue) succeed(ln *lane, p *Permit) {
	q.drop(ln, p)
	if ln.head != nil {
		q.rouse(ln)
		return
	}
	q.leave(ln)
	q.closeLane(ln)
}

// withdraw gives up all that the head of a lane holds.
func (q *queue) withdraw(ln *lane) {
	for i := range ln.claims {
		c := &ln.claims[i]
		if c.rooted {
			q.touch(c.line)
		}
		q.detach(c)
	}
}

// leave takes a lane out of where it is. Its line is looked at again: it may have
// let this lane pass, and then perhaps more.
func (q *queue) leave(ln *lane) {
	if ln.slot >= 0 {
		if ln.state == awake {
			q.awake.remove(ln.slot)
		} else {
			ln.line.lanes.remove(ln.slot)
		}
	}
	ln.roused = false
	if from := ln.line; from != nil {
		ln.line = nil
		q.touch(from)
		if from.scope != nil {
			if from.needed--; from.needed == 0 {
				q.closeLine(from)
			}
		}
	}
}

// rouse has a lane with a new head looked at.
func (q *queue) rouse(ln *lane) {
	q.leave(ln)
	ln.state = awake
	q.awake.push(ln)
}

// wake has a lane looked at that sleeps. It is in its line still.
func (q *queue) wake(ln *lane) {
	switch ln.state {
	case awake:
		return
	case atScope:
		ln.line.lanes.remove(ln.slot)
	}
	ln.state, ln.woken = awake, q.work.attended
	q.awake.push(ln)
}

// sleepOn has a lane sleep on where it was woken.
func (q *queue) sleepOn(ln *lane) {
	q.awake.remove(ln.slot)
	if ln.state = atLimit; ln.line.scope != nil {
		ln.state = atScope
		ln.line.lanes.push(ln)
	}
	q.touch(ln.line)
}

// asleep returns the claim by which a lane sleeps, or slept, at a limit.
func (ln *lane) asleep() *claim {
	for i := range ln.claims {
		if c := &ln.claims[i]; c.line == ln.line {
			return c
		}
	}
	return nil
}

// freed notes that m may have more room, or may know sooner when it will, from
// `from` on.
func (q *queue) freed(m *meter, now, from time.Duration) {
	switch {
	case m.line == nil || m.line.root == nil:
	case from <= now || m.line.root.pending != nothing:
		q.touch(m.line)
	default:
		q.alarms.advance(m.line, from) // there is no more room before that
	}
}

// touchScope has the line of a scope looked at, if there is one.
func (q *queue) touchScope(s *scope) {
	if s.line != nil {
		q.touch(s.line)
	}
}

// touchAll has every line of a limit looked at.
func (q *queue) touchAll() {
	for _, ln := range q.lanes {
		for i := range ln.claims {
			q.touch(ln.claims[i].line)
		}
	}
}
