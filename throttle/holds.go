package throttle

import (
	"container/heap"
	"time"
)

// holds keeps what lost permits were charged, until it is proven that they
// have arrived or too late for them to arrive. Then they count as answered at
// that instant, for that is the latest at which the server can have counted
// them.
type holds struct {
	slots []hold
	free  []uint32
	ends  holdHeap
	n     int
}

type hold struct {
	path    *path
	cost    int64
	granted time.Duration
	lost    time.Duration // when the permit was given up
	done    time.Duration // limits with a maxDelay up to this have let go
	turn    uint32        // distinguishes the uses of a slot; even while it is free
}

type holdEnd struct {
	at time.Duration
	id Hold
}

func (h *holds) add(now time.Duration, p *Permit) Hold {
	var i uint32
	if last := len(h.free) - 1; last >= 0 {
		i, h.free = h.free[last], h.free[:last]
	} else {
		i, h.slots = uint32(len(h.slots)), append(h.slots, hold{})
	}
	s := &h.slots[i]
	*s = hold{path: p.path, cost: p.cost, granted: p.granted, lost: now, done: -1, turn: s.turn + 1}
	h.n++
	id := Hold(s.turn)<<32 | Hold(i)
	h.schedule(s, id)
	return id
}

// schedule enters the next instant at which a limit lets go of s.
func (h *holds) schedule(s *hold, id Hold) {
	next := never
	for _, c := range s.path.charges {
		if c.maxDelay > s.done {
			next = min(next, c.maxDelay)
		}
	}
	heap.Push(&h.ends, holdEnd{s.lost + next, id})
}

func (h *holds) find(id Hold) *hold {
	i, turn := uint32(id), uint32(id>>32)
	if int(i) >= len(h.slots) || turn%2 == 0 || h.slots[i].turn != turn {
		return nil
	}
	return &h.slots[i]
}

// release has every limit let go that does so within delay of the loss.
func (h *holds) release(l *Ledger, id Hold, at, delay time.Duration) {
	s := h.find(id)
	waiting := false
	for i, c := range s.path.charges {
		w := c.weight
		if i == s.path.own {
			w = s.cost
		}
		switch {
		case c.maxDelay > delay:
			waiting = true
		case c.maxDelay > s.done:
			l.arrived(at, c.meter, w, answer{at: at, real: delay == never, sent: s.granted}, nil)
		}
	}
	s.done = delay
	if waiting {
		h.schedule(s, id)
		return
	}
	*s = hold{turn: s.turn + 1}
	h.free = append(h.free, uint32(id))
	h.n--
}

// expire lets go of everything that is due.
func (h *holds) expire(l *Ledger) {
	for len(h.ends) > 0 && h.ends[0].at <= l.now {
		end := heap.Pop(&h.ends).(holdEnd)
		if s := h.find(end.id); s != nil {
			h.release(l, end.id, end.at, end.at-s.lost)
		}
	}
}

// next returns when something will be due; entries of holds that were proven
// are dropped on the way.
func (h *holds) next() time.Duration {
	for len(h.ends) > 0 {
		if h.find(h.ends[0].id) != nil {
			return h.ends[0].at
		}
		heap.Pop(&h.ends)
	}
	return never
}

// Proven says that a lost permit's request has arrived by now, because a later
// answer came on the same connection. The hold ends as if it had been answered
// now. A hold that has ended already is ignored.
func (l *Ledger) Proven(now time.Duration, id Hold) {
	now = l.at(now)
	if l.holds.find(id) != nil {
		l.holds.release(l, id, now, never)
	}
}

type holdHeap []holdEnd

func (h holdHeap) Len() int           { return len(h) }
func (h holdHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h holdHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *holdHeap) Push(x any)        { *h = append(*h, x.(holdEnd)) }
func (h *holdHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
