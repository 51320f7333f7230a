package auth

import "sync"

// Remember returns a clock like another one, from which signers learn as well where
// the floor of their key's nonces is remembered, if their NonceRule has none: an
// engine with a memory hands it to them. floor is asked once for each key; the lane
// names the key and the step of its nonces, and does not disclose it.
func Remember(clock Clock, floor func(lane string) NonceFloor) Clock {
	if r, ok := clock.(Ranger); ok {
		return &rememberingRanger{r, floors{of: floor}}
	}
	return &remembering{clock, floors{of: floor}}
}

// keeper is a clock that Remember has made. It has what is reserved in its memory, so
// that this ends with the engine that the memory is of.
type keeper interface {
	reserve(lane string) *reserve // nil if nothing remembers the key
}

type floors struct {
	of     func(lane string) NonceFloor
	mu     sync.Mutex
	byLane map[string]*reserve // guarded by mu
}

func (f *floors) reserve(lane string) *reserve {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, asked := f.byLane[lane]
	if asked {
		return r
	}
	if floor := f.of(lane); floor != nil {
		r = &reserve{floor: floor}
	}
	if f.byLane == nil {
		f.byLane = make(map[string]*reserve)
	}
	f.byLane[lane] = r
	return r
}

type remembering struct {
	Clock
	floors
}

type rememberingRanger struct {
	Ranger
	floors
}
