package throttle

import (
	"cmp"
	"container/heap"
	"slices"
	"sort"
	"time"
)

// lostPermits keeps what lost permits were charged until it is too late for
// them to arrive. Then they count as answered at that instant, for that is the
// latest at which the server can have counted them. It is a heap by the instant
// at which the next limit lets go of one.
type lostPermits []*lostPermit

type lostPermit struct {
	path    *path
	cost    int64
	weights []Cost // overrides, if it took a detour
	fate    Fate   // Lost or Closed
	granted time.Duration
	lost    time.Duration // when the permit was given up
	past    time.Duration // limits whose delay is at most this have let go
	due     time.Duration // when the next limit lets go
}

// lostWeights is what lost permits hold of one meter, by the instant at which it
// is let go. Each fate has a timeline of its own, for in each those instants come
// in order.
type lostWeights struct{ lost, closed timeline }

// delay is how long after its Settle a permit of that fate may arrive.
func (c *charge) delay(f Fate) time.Duration {
	if f == Closed {
		return c.terms.closeDelay
	}
	return c.terms.maxDelay
}

func (h *lostPermits) add(now time.Duration, p *Permit, f Fate) {
	s := &lostPermit{path: p.path, cost: p.cost, fate: f, granted: p.granted, lost: now}
	if len(p.Weights) > 0 { // which are the caller's again from now on
		s.path = &path{route: p.path.route, of: p.path.of, home: p.path.home, charges: slices.Clone(p.path.charges), own: -1}
		for i := range s.path.charges {
			s.path.charges[i].weight = p.weight(i)
		}
		if p.path.route.from != nil {
			s.weights = slices.Clone(p.Weights)
		}
	}
	h.keep(s)
}

// keep takes s on, which is in flight on every limit that has not let go.
func (h *lostPermits) keep(s *lostPermit) {
	for i := range s.path.charges {
		c := &s.path.charges[i]
		if w := s.weight(i); w > 0 {
			c.meter.lose(s.lost+c.delay(s.fate), w, s.fate)
		}
	}
	if s.schedule() {
		heap.Push(h, s)
	}
}

// schedule finds the next limit that lets go of s; ok is false if all have.
func (s *lostPermit) schedule() (ok bool) {
	next := never
	for i := range s.path.charges {
		if d := s.path.charges[i].delay(s.fate); d > s.past {
			next = min(next, d)
		}
	}
	s.due = s.lost + next
	return next != never
}

// expire lets go of everything that is due by the ledger's now.
func (h *lostPermits) expire(l *Ledger) {
	for len(*h) > 0 && (*h)[0].due <= l.now {
		s := (*h)[0]
		s.release(l)
		if s.schedule() {
			heap.Fix(h, 0)
			continue
		}
		heap.Pop(h)
		if s.path.route.from != nil {
			l.landed(l.now, s.path, s.cost, s.weights, s.granted, true)
		}
	}
}

// release has the limits let go that do so at s.due.
func (s *lostPermit) release(l *Ledger) {
	delay := s.due - s.lost
	for i := range s.path.charges {
		c := &s.path.charges[i]
		if d := c.delay(s.fate); s.past < d && d <= delay {
			c.meter.found(s.due)
			l.arrived(s.due, c.meter, s.weight(i), answer{at: s.due, sent: s.granted}, nil)
		}
	}
	s.past = delay
}

// weight returns what s was charged for the i-th limit on its path.
func (s *lostPermit) weight(i int) int64 {
	if i == int(s.path.own) {
		return s.cost
	}
	return s.path.charges[i].weight
}

// next returns when something will be due, or never.
func (h lostPermits) next() time.Duration {
	if len(h) == 0 {
		return never
	}
	return h[0].due
}

func (h lostPermits) Len() int           { return len(h) }
func (h lostPermits) Less(i, j int) bool { return h[i].due < h[j].due }
func (h lostPermits) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *lostPermits) Push(x any)        { *h = append(*h, x.(*lostPermit)) }
func (h *lostPermits) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return s
}

// lose notes that a lost permit holds w of m until due.
func (m *meter) lose(due time.Duration, w int64, f Fate) {
	if m.lost == nil {
		m.lost = &lostWeights{}
	}
	if f == Closed {
		m.lost.closed.add(due, w, 0)
	} else {
		m.lost.lost.add(due, w, 0)
	}
}

// found forgets what is let go by due.
func (m *meter) found(due time.Duration) {
	if m.lost == nil {
		return
	}
	m.lost.lost.expire(due)
	m.lost.closed.expire(due)
	if m.lost.sum() == 0 {
		m.lost = nil
	}
}

func (h *lostWeights) sum() int64 {
	if h == nil {
		return 0
	}
	return h.lost.sum + h.closed.sum
}

// inOrder returns what is held, by when it is let go.
func (h *lostWeights) inOrder() []entry {
	all := make([]entry, 0, h.lost.n+h.closed.n)
	for _, t := range []*timeline{&h.lost, &h.closed} {
		for i := range int(t.n) {
			all = append(all, t.entry(i))
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.at, b.at) })
	return all
}

// when is that of the window, if a Fixed one turns so surely.
func (m *meter) when(now time.Duration, w, flying int64, how sureness) time.Duration {
	if f, ok := m.window.(*fixed); ok {
		return f.whenTurned(now, w, flying, how)
	}
	return m.window.when(now, w, flying)
}

// opens returns when m has room for w, which it has not now, for those who are told of it: the
// instant that is meant if it lies ahead, and if not the next one that does.
func (m *meter) opens(now time.Duration, w int64, how sureness) (at time.Duration) {
	if m.rule.Window != Fixed {
		how = surely // all are one
	}
	for ; ; how-- {
		flying := m.window.inFlight()
		at = m.when(now, w, flying, how)
		if lost := m.lost.sum(); lost > 0 {
			at = min(at, m.clears(now, w, flying-lost, how))
		}
		if at > now || how == surely {
			return at
		}
	}
}

// clears returns the first instant at which m may have room for w if flying
// stayed in flight and lost permits are let go when their time is up: exactly so, but for
// Fixed limits, of which it may be early. Those turn so surely.
//
// While so much is lost, w fits beside it or not; each that is let go makes that
// easier from an instant on, and both only grow. So the first that need not be
// waited for can be searched for by halves.
func (m *meter) clears(now time.Duration, w, flying int64, how sureness) time.Duration {
	if m.lost.sum() == 0 {
		return m.when(now, w, flying, how)
	}
	held := m.lost.inOrder()
	switch one := m.window.(type) {
	case *leaky:
		return one.clears(now, w, flying, held)
	case *fromFirst:
		return one.clears(now, w, flying, held)
	}
	left := make([]int64, len(held)+1) // what is still lost once the first i are let go
	for i := len(held) - 1; i >= 0; i-- {
		left[i] = left[i+1] + held[i].w
	}
	at := func(i int) time.Duration { return m.when(now, w, flying+left[i], how) }
	n := sort.Search(len(held), func(i int) bool { return at(i) < m.aged(held[i].at) })
	if n == 0 {
		return at(0)
	}
	return max(at(n), m.aged(held[n-1].at))
}

// aged returns until when at least what was let go at due still counts.
func (m *meter) aged(due time.Duration) time.Duration {
	switch w := m.window.(type) {
	case *sliding:
		return due + w.hold
	case *fixed:
		if w.clock.known {
			return min(due+w.hold, max(due, w.ends(due))) // the clock may have moved since
		}
		return due + w.hold
	case *lifetime:
		return never
	}
	return due
}

// clears is meter.clears for a counter, which each permit that is let go raises.
func (l *leaky) clears(now time.Duration, w, flying int64, held []entry) time.Duration {
	later := *l
	for _, e := range held {
		flying += e.w
	}
	for _, e := range held {
		if at := later.when(now, w, flying); at < e.at {
			return at
		}
		flying -= e.w
		later.advance(e.at)
		later.level += e.w << fractionBits
	}
	return later.when(now, w, flying)
}

// clears is meter.clears for spells, each of which may end with permits that are let go in it, or
// carry them into the next.
func (f *fromFirst) clears(now time.Duration, w, flying int64, held []entry) time.Duration {
	later := *f
	later.log = f.log.clone()
	for _, e := range held {
		flying += e.w
	}
	for _, e := range held {
		if at := later.when(now, w, flying); at < e.at {
			return at
		}
		flying -= e.w
		now = max(now, e.at)
		later.settle(e.w, answer{at: e.at})
	}
	return later.when(now, w, flying)
}

// LostLimit is a limit, or its instance for some parts, that lost permits hold much
// of.
type LostLimit struct {
	ID          string
	Of          Parts // those that tell the instances of the limit apart
	Lost, Quota int64
	Until       time.Duration // when they let go of enough, so that they hold no more than half
}

// LostHolding returns the limits that p, which was given up just now, is charged to and of
// which lost permits hold more than half, in the order of its route; nil if there are none.
// What it costs does not depend on how many are lost.
func (l *Ledger) LostHolding(now time.Duration, p *Permit) (list []LostLimit) {
	l.at(now)
	if p.path == nil {
		return nil
	}
	for _, c := range p.path.charges {
		m := c.meter
		if quota := m.terms.quota; m.lost.sum() > quota/2 {
			list = append(list, LostLimit{ID: m.rule.ID, Of: *m.of, Lost: m.lost.sum(), Quota: quota, Until: m.lost.downTo(quota / 2)})
		}
	}
	return list
}

// downTo returns when no more than w is held. In each timeline it searches the first entry
// by which so much has ended in both of them: the earlier of the two is the instant.
func (h *lostWeights) downTo(w int64) time.Duration {
	need, at := h.sum()-w, never
	for _, t := range []*timeline{&h.lost, &h.closed} {
		i := sort.Search(int(t.n), func(i int) bool {
			by := t.slot(i).at
			return h.lost.endedBy(by)+h.closed.endedBy(by) >= need
		})
		if i < int(t.n) {
			at = min(at, t.slot(i).at)
		}
	}
	return at
}
