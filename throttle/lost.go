package throttle

import (
	"container/heap"
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
	granted time.Duration
	lost    time.Duration // when the permit was given up
	past    time.Duration // limits whose maxDelay is at most this have let go
	due     time.Duration // when the next limit lets go
}

func (h *lostPermits) add(now time.Duration, p *Permit) {
	s := &lostPermit{path: p.path, cost: p.cost, granted: p.granted, lost: now}
	s.schedule()
	heap.Push(h, s)
}

// schedule finds the next limit that lets go of s; ok is false if all have.
func (s *lostPermit) schedule() (ok bool) {
	next := never
	for _, c := range s.path.charges {
		if c.maxDelay > s.past {
			next = min(next, c.maxDelay)
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
		} else {
			heap.Pop(h)
		}
	}
}

// release has the limits let go that do so at s.due.
func (s *lostPermit) release(l *Ledger) {
	delay := s.due - s.lost
	for i, c := range s.path.charges {
		w := c.weight
		if i == s.path.own {
			w = s.cost
		}
		if s.past < c.maxDelay && c.maxDelay <= delay {
			l.arrived(s.due, c.meter, w, answer{at: s.due, sent: s.granted}, nil)
		}
	}
	s.past = delay
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
