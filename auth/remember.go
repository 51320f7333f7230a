package auth

// Remember returns a clock like another one, from which signers learn as well where
// the floor of their key's nonces is remembered, if their NonceRule has none: an
// engine with a memory hands it to them. floor is asked once for each key; the lane
// names the key and the step of its nonces, and does not disclose it.
func Remember(clock Clock, floor func(lane string) NonceFloor) Clock {
	if r, ok := clock.(Ranger); ok {
		return &rememberingRanger{r, floors{floor}}
	}
	return &remembering{clock, floors{floor}}
}

// keeper is a clock that Remember has made. It is a pointer, so that two of them can
// be told apart.
type keeper interface {
	nonceFloor(lane string) NonceFloor
}

type floors struct{ of func(lane string) NonceFloor }

func (f floors) nonceFloor(lane string) NonceFloor { return f.of(lane) }

type remembering struct {
	Clock
	floors
}

type rememberingRanger struct {
	Ranger
	floors
}
