package throttle

import (
	"math"
	"time"
)

// line is where lanes sleep: at a limit, or at a scope.
//
// At a limit it is a tree of claims in the order of their rank, a treap with sums:
// of the lanes that sleep here, which all hold their weight here, and of those that
// hold weight here and sleep elsewhere. So what better heads hold before a claim,
// and the best-ranked claim that the limit lets pass, are found in steps that grow
// with the logarithm of their number.
//
// A scope gives nothing to hold: there it is a heap.
type line struct {
	meter  *meter // one of the two
	scope  *scope
	needed int // lanes that need it: that charge the limit, or wait here for the scope

	root  *claim
	lanes laneHeap

	touched bool          // it is among queue.touched
	stand   stand         // among the alarms
	slot    int           // there, if that is not nowhere
	at      time.Duration // when it is to be looked at then
}

// claim is what the head of a lane wants and holds of one limit.
type claim struct {
	lane *lane
	line *line

	// What Ledger.examine found.
	weight int64
	ahead  int64         // what better heads held
	opens  time.Duration // when the limit has room, as far as is known

	up, left, right *claim
	chance          uint32 // never above that of up
	rooted          bool   // it is in the tree
	rank            int64  // of the head, and with it
	seq             uint64

	stance
	sums // of the subtree
}

// stance is what a claim tells others of its head.
type stance struct {
	held   int64         // 0 or weight
	want   int64         // weight, and what the limit keeps for more urgent ones
	pend   time.Duration // the longest cycle of the limits that are not held yet; 0 for none
	review time.Duration // when the wait is over that other limits are held for; or never
	mode   mode
	far    bool // those ahead need all that there is, so that nothing is near
}

// sums are what is known of all claims in a subtree. What is wanted counts with what
// is held before it there.
type sums struct {
	total   int64         // held
	plain   int64         // the least that a sleeper wants that room alone keeps
	paced   int64         // ... that pacing keeps
	pending int64         // ... that has something pending
	beyond  int64         // ... that is far
	longest time.Duration // the longest pend
	soonest time.Duration // the first review
	most    int64         // the largest want by itself
}

// mode is how a claim's lane sleeps here.
type mode uint8

const (
	elsewhere mode = iota // it does not
	plain                 // until there is room
	paced                 // there is room, but pacing keeps it for urgent ones
)

const (
	// maxReserved is more than any limit has, and far from overflow.
	maxReserved = 1 << 50
	nothing     = math.MaxInt64 // no one wants anything
)

// before reports whether c goes ahead of whoever has that rank.
func (c *claim) before(rank int64, seq uint64) bool {
	if c.rank != rank {
		return c.rank < rank
	}
	return c.seq < seq
}

// behind returns what is wanted, or held, together with what is held before it.
func behind(held, want int64) int64 {
	if want == nothing {
		return nothing
	}
	return min(held+want, maxReserved)
}

// sumUp works out what c says of its subtree, and reports whether that has changed.
func (c *claim) sumUp() (changed bool) {
	s := sums{plain: nothing, paced: nothing, pending: nothing, beyond: nothing, longest: c.pend, soonest: c.review, most: c.want}
	if l := c.left; l != nil {
		s.total, s.plain, s.paced, s.pending, s.beyond = l.total, l.plain, l.paced, l.pending, l.beyond
		s.longest, s.soonest, s.most = max(s.longest, l.longest), min(s.soonest, l.soonest), max(s.most, l.most)
	}
	switch wants := behind(s.total, c.want); c.mode {
	case plain:
		s.plain = min(s.plain, wants)
		if c.pend > 0 {
			s.pending = min(s.pending, wants)
		}
		if c.far {
			s.beyond = min(s.beyond, wants)
		}
	case paced:
		s.paced = min(s.paced, wants)
	}
	s.total = behind(s.total, c.held)
	if r := c.right; r != nil {
		s.plain = min(s.plain, behind(s.total, r.plain))
		s.paced = min(s.paced, behind(s.total, r.paced))
		s.pending = min(s.pending, behind(s.total, r.pending))
		s.beyond = min(s.beyond, behind(s.total, r.beyond))
		s.longest, s.soonest, s.most = max(s.longest, r.longest), min(s.soonest, r.soonest), max(s.most, r.most)
		s.total = behind(s.total, r.total)
	}
	if s == c.sums {
		return false
	}
	c.sums = s
	return true
}

// heldBefore returns what better heads hold than one of that rank.
func (ln *line) heldBefore(q *queue, rank int64, seq uint64) (held int64) {
	for c := ln.root; c != nil; {
		q.work.compared++
		if !c.before(rank, seq) {
			c = c.left
			continue
		}
		if c.left != nil {
			held = behind(held, c.left.total)
		}
		held = behind(held, c.held)
		c = c.right
	}
	return held
}

// attach puts c, whose head ranks so, into the tree of its line.
func (q *queue) attach(c *claim, head *Permit) {
	c.rank, c.seq, c.rooted = head.rank, head.seq, true
	q.chance = q.chance*1664525 + 1013904223
	c.chance = q.chance
	at := &c.line.root
	for *at != nil {
		q.work.compared++
		c.up = *at
		if c.up.before(c.rank, c.seq) {
			at = &c.up.right
		} else {
			at = &c.up.left
		}
	}
	*at = c
	c.sumUp()
	for c.up != nil && c.up.chance < c.chance {
		c.rotateUp()
	}
	q.sumUpFrom(c.up)
}

// detach takes c out of the tree, if it is there.
func (q *queue) detach(c *claim) {
	if !c.rooted {
		return
	}
	for c.left != nil && c.right != nil {
		q.work.compared++
		if c.left.chance > c.right.chance {
			c.left.rotateUp()
		} else {
			c.right.rotateUp()
		}
	}
	child := c.left
	if child == nil {
		child = c.right
	}
	if child != nil {
		child.up = c.up
	}
	c.replaceBy(child)
	q.sumUpFrom(c.up)
	c.up, c.left, c.right, c.rooted, c.stance = nil, nil, nil, false, stance{}
}

// replaceBy has whoever is above c lead to another claim, or to none.
func (c *claim) replaceBy(other *claim) {
	switch {
	case c.up == nil:
		c.line.root = other
	case c.up.left == c:
		c.up.left = other
	default:
		c.up.right = other
	}
}

// rotateUp exchanges c and what is above it, in that order.
func (c *claim) rotateUp() {
	top := c.up
	top.replaceBy(c)
	c.up = top.up
	if top.left == c {
		top.left = c.right
		if c.right != nil {
			c.right.up = top
		}
		c.right = top
	} else {
		top.right = c.left
		if c.left != nil {
			c.left.up = top
		}
		c.left = top
	}
	top.up = c
	top.sumUp()
	c.sumUp()
}

// sumUpFrom works out the sums from c upwards. It goes all the way: one that has not
// changed may stand below one that has, after a rotation.
func (q *queue) sumUpFrom(c *claim) {
	for ; c != nil; c = c.up {
		q.work.compared++
		c.sumUp()
	}
}

// resum works out the sums after a change of c itself.
func (q *queue) resum(c *claim) {
	for ; c != nil && c.sumUp(); c = c.up {
		q.work.compared++
	}
}

// kind tells some of the sleepers apart: what those of a subtree want least, and
// whether a claim is one of them.
type kind struct {
	least func(*sums) int64
	is    func(*claim) bool
}

var (
	isPlain = kind{func(s *sums) int64 { return s.plain }, func(c *claim) bool { return c.mode == plain }}
	isFar   = kind{func(s *sums) int64 { return s.beyond }, func(c *claim) bool { return c.far }}
)

// firstWithin returns the best-ranked sleeper of a kind that wants no more than that;
// nil if there is none.
func (ln *line) firstWithin(q *queue, most int64, of kind) *claim {
	c := ln.root
	for c != nil {
		q.work.compared++
		held := int64(0)
		if l := c.left; l != nil {
			if of.least(&l.sums) <= most {
				c = l
				continue
			}
			held = l.total
		}
		if of.is(c) && behind(held, c.want) <= most {
			return c
		}
		most -= behind(held, c.held)
		if c.right == nil || of.least(&c.right.sums) > most {
			return nil
		}
		c = c.right
	}
	return nil
}

// firstToReview returns the best-ranked sleeper whose wait should be over.
func (ln *line) firstToReview(q *queue, now time.Duration) *claim {
	return ln.find(q, func(c *claim) bool { return c.soonest <= now }, func(c *claim) bool { return c.review <= now })
}

// find returns the best-ranked claim of which `is` holds; `among` says whether it can
// be in a subtree.
func (ln *line) find(q *queue, among, is func(*claim) bool) *claim {
	c := ln.root
	for c != nil {
		q.work.compared++
		switch {
		case c.left != nil && among(c.left):
			c = c.left
		case is(c):
			return c
		case c.right != nil && among(c.right):
			c = c.right
		default:
			return nil
		}
	}
	return nil
}

// firstPaced returns the sleeper that wants least of those that pacing keeps.
func (ln *line) firstPaced(q *queue) *claim {
	least := ln.root.paced
	c := ln.root
	for c != nil {
		q.work.compared++
		held := int64(0)
		if l := c.left; l != nil {
			if l.paced == least {
				c = l
				continue
			}
			held = l.total
		}
		if c.mode == paced && behind(held, c.want) == least {
			return c
		}
		least -= behind(held, c.held)
		c = c.right
	}
	return nil
}

// holdSearch is the search, in the line of m, for who is the next to hold more of other
// limits.
type holdSearch struct {
	q    *queue
	m    *meter
	now  time.Duration
	room int64 // of m, at now

	claim *claim        // who was found; nil at first
	at    time.Duration // from when on; at first when it is no use any more
}

// within finds the sleeper in the subtree of c that is the first to have waited long
// enough to hold more, if that is before s.at; of those that have by now, the best-ranked
// one. So much is held before c. It looks into a subtree only if one could be found there
// were what is wanted least there wanted by the one that may hold first.
func (s *holdSearch) within(c *claim, held int64) {
	if c == nil || c.longest == 0 || c.pending == nothing {
		return
	}
	s.q.work.compared++
	if s.at <= s.now || s.from(behind(held, c.pending), c.longest) >= s.at {
		return
	}
	s.within(c.left, held)
	if c.left != nil {
		held = behind(held, c.left.total)
	}
	if c.mode == plain && c.pend > 0 && s.at > s.now {
		if at := s.from(behind(held, c.want), c.pend); at < s.at {
			s.claim, s.at = c, at
		}
	}
	s.within(c.right, behind(held, c.held))
}

func (s *holdSearch) from(want int64, pend time.Duration) time.Duration {
	return s.m.holdsFrom(s.now, s.room, want, pend)
}

func (q *queue) newLine() *line {
	last := len(q.spare.lines) - 1
	if last < 0 {
		return &line{}
	}
	ln := q.spare.lines[last]
	q.spare.lines[last] = nil
	q.spare.lines = q.spare.lines[:last]
	return ln
}

// closeLine forgets a line that nobody needs.
func (q *queue) closeLine(ln *line) {
	q.alarms.clear(ln)
	if ln.meter != nil {
		ln.meter.line = nil
	} else {
		ln.scope.line = nil
	}
	ln.meter, ln.scope = nil, nil
	if !ln.touched { // or else it is reused once it is out of that list
		q.reuse(ln)
	}
}

func (q *queue) reuse(ln *line) {
	*ln = line{lanes: ln.lanes}
	q.spare.lines = append(q.spare.lines, ln)
}

// touch has a line looked at.
func (q *queue) touch(ln *line) {
	if !ln.touched {
		ln.touched = true
		q.touched = append(q.touched, ln)
	}
}
