package auth

import (
	"runtime"
	"slices"
	"sync"
	"weak"
)

// Lane is the turn that the calls of one key take: one at a time is
// authenticated, sent and answered. All engines of the process that use the key
// have the same one, which is forgotten with the last of them. All methods are
// safe for concurrent use.
type Lane struct {
	mu      sync.Mutex
	waiting []chan struct{} // guarded by mu: the first has the turn, and its channel is closed
}

// lanes has the lane of every name that somebody still holds.
var lanes = struct {
	sync.Mutex
	byName map[string]weak.Pointer[Lane]
}{byName: make(map[string]weak.Pointer[Lane])}

// LaneOf returns the lane of an Ordered authenticator, the same for all those of
// one name, and nil if order does not matter. Whoever uses it keeps it.
func LaneOf(a Authenticator) *Lane {
	ordered, ok := a.(Ordered)
	if !ok || ordered.Lane() == "" {
		return nil
	}
	name := ordered.Lane()
	lanes.Lock()
	defer lanes.Unlock()
	if l := lanes.byName[name].Value(); l != nil {
		return l
	}
	l := new(Lane)
	lanes.byName[name] = weak.Make(l)
	runtime.AddCleanup(l, forgetLane, name)
	return l
}

// forgetLane forgets a lane that nobody holds, unless there is a new one of its
// name.
func forgetLane(name string) {
	lanes.Lock()
	defer lanes.Unlock()
	if p, ok := lanes.byName[name]; ok && p.Value() == nil {
		delete(lanes.byName, name)
	}
}

// Ask queues for a turn, first come, first served. The channel is closed when
// the turn has come. Leave follows, whether it has or not.
func (l *Lane) Ask() (turn <-chan struct{}) {
	mine := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, mine)
	if len(l.waiting) == 1 {
		close(mine)
	}
	return mine
}

// Leave ends a turn, or the wait for it. A second time it does nothing.
func (l *Lane) Leave(turn <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.waiting, func(c chan struct{}) bool { return c == turn })
	if i < 0 {
		return
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	if i == 0 && len(l.waiting) > 0 {
		close(l.waiting[0])
	}
}
