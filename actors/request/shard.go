package request

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-engine/sluice/messages/protocol"
)

// shard has slots that rest between two lives, the last to come on top. The next
// life is given the top one, and so those at the bottom are those that nobody needs.
//
// Invariant: the lowest `untouched` of them have rested since observe was called last.
type shard struct {
	mu        sync.Mutex
	resting   []*slot // guarded by mu
	untouched int     // guarded by mu
	closed    bool    // guarded by mu: whoever comes is not to rest
	totals    Totals  // guarded by mu: of lives that began or ended here

	some atomic.Bool // somebody rests here; written under mu, for a look before the lock

	_ [64]byte // another processor's shard is no neighbour in the caches
}

// pop takes the top slot for another life, which is counted or not; nil if none rests here.
func (s *shard) pop(counted bool) *slot {
	s.mu.Lock()
	top := len(s.resting) - 1
	if top < 0 {
		s.mu.Unlock()
		return nil
	}
	r := s.resting[top]
	s.resting[top] = nil
	s.resting = s.resting[:top]
	s.untouched = min(s.untouched, top)
	if counted {
		s.totals.Begun++
	}
	if top == 0 {
		s.some.Store(false)
	}
	s.mu.Unlock()
	return r
}

// push lays a slot on top, and counts its last life. False means that the shard is closed.
func (s *shard) push(r *slot, last lifeSum) bool {
	s.mu.Lock()
	s.totals.count(last)
	open := !s.closed
	if open {
		s.resting = append(s.resting, r)
		if len(s.resting) == 1 {
			s.some.Store(true)
		}
	}
	s.mu.Unlock()
	return open
}

// observe begins to observe who is not needed: all that rest now, until they are.
func (s *shard) observe() {
	s.mu.Lock()
	s.untouched = len(s.resting)
	s.mu.Unlock()
}

// cut takes away up to so many of those that have rested since observe was called last.
func (s *shard) cut(most int) []*slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(most, s.untouched)
	if n == 0 {
		return nil
	}
	rested := slices.Clone(s.resting[:n])
	s.resting = shrunk(slices.Delete(s.resting, 0, n))
	s.untouched -= n
	s.some.Store(len(s.resting) > 0)
	return rested
}

// leftAtOnce is how many slots are looked at under the lock, which requests want.
const leftAtOnce = 256

// leave has the slots from a place on leave a pool, and returns the place to go on
// from; -1 at the end.
func (s *shard) leave(door protocol.Door, from int) (next int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = from + leftAtOnce
	for _, r := range s.resting[min(from, len(s.resting)):min(next, len(s.resting))] {
		if r.pool == door {
			r.leavePool()
		}
	}
	if next >= len(s.resting) {
		return -1
	}
	return next
}

// shut takes all away, and lets nobody rest here any more.
func (s *shard) shut() []*slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	rested := s.resting
	s.resting, s.untouched, s.closed = nil, 0, true
	s.some.Store(false)
	return rested
}

// shrunk returns a list that has become short in as little memory as it needs: a
// burst must not keep its memory for ever.
func shrunk(list []*slot) []*slot {
	if cap(list) > 4*fewSlots && len(list) < cap(list)/4 {
		return append(make([]*slot, 0, cap(list)/2), list...)
	}
	return list
}
