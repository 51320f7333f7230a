package auth

import (
	"reflect"
	"slices"

	"github.com/sluice-engine/sluice/messages"
)

// reserve is what this process has set aside in one floor. It is of whoever has the turn at the
// key's source.
//
// Invariant: as long as the floor has what is stored here, nobody else has gone on there,
// so that every nonce up to it is this process's to give.
type reserve struct {
	floor  NonceFloor
	stored uint64 // by this process, and last; zero if there is nothing of its own
	given  uint64 // nonces, since another process's were seen
}

// look returns up to where others may have used nonces; zero if nobody has stored anything
// since this process did.
func (r *reserve) look() (others uint64, err error) {
	found, err := r.floor.Load()
	if err != nil || found == r.stored {
		return 0, err
	}
	r.stored, r.given = 0, 0
	return found, nil
}

// cover sees to it that n is not above the floor before it is given: if it is, until is stored.
func (r *reserve) cover(n, until uint64, call *messages.Call) (stored bool, err error) {
	if stored = n > r.stored; stored {
		if err := r.store(until, call); err != nil {
			return false, err
		}
		r.stored = until
	}
	r.given++
	return stored, nil
}

// patientFloor is a NonceFloor that may take its time, and is waited for by a function such as
// messages.Call.Await: no longer than that returns nil.
type patientFloor interface {
	StoreAwaited(floor uint64, await func(ready <-chan struct{}) error) error
}

func (r *reserve) store(until uint64, call *messages.Call) error {
	if floor, patient := r.floor.(patientFloor); patient {
		return floor.StoreAwaited(until, call.Await)
	}
	return r.floor.Store(until)
}

// mostReserves is in how many floors at once a process knows its own of one key. In one
// that was pushed out it begins above what it stored itself, as another process would.
const mostReserves = 8

// reserveFor returns the reserve in the floor of a rule, or in the memory that a keeper
// has if there is none; nil if there is neither. It is called by whoever has the turn.
func (s *nonceSource) reserveFor(rule NonceRule, k keeper) *reserve {
	switch {
	case rule.Floor == nil && k == nil:
		return nil
	case rule.Floor == nil:
		return k.reserve(s.name)
	case !reflect.ValueOf(rule.Floor).Comparable(): // it cannot be found again
		return &reserve{floor: rule.Floor}
	}
	for _, r := range s.reserves {
		if r.floor == rule.Floor {
			return r
		}
	}
	if len(s.reserves) == mostReserves {
		s.reserves = slices.Delete(s.reserves, 0, 1)
	}
	r := &reserve{floor: rule.Floor}
	s.reserves = append(s.reserves, r)
	return r
}
