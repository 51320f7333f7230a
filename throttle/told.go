package throttle

import (
	"slices"
	"time"
)

// Told is what is known of a window of a Fixed limit while nobody can tell when it begins: that
// the one which holds an instant counts at least so much. What the server said is such a number,
// and of what the log holds by then nobody knows which part of it that is.
//
// Invariant: of no two one says all that the other does, which is less at an earlier instant. What
// is answered after an instant comes on top of its number.
type Told []Spent

// mostTold is how many numbers are told apart. Each but the last is of a window with more in it
// than all later ones, and what is older than a window is forgotten.
const mostTold = 8

// Tell takes note of a number.
func (t *Told) Tell(at time.Duration, w int64) {
	if w = min(w, maxWeight); w <= 0 {
		return
	}
	if slices.ContainsFunc(*t, func(s Spent) bool { return s.At >= at && s.Weight >= w }) {
		return
	}
	if len(*t) >= mostTold { // one that says all of them
		for _, s := range *t {
			at, w = max(at, s.At), max(w, s.Weight)
		}
	}
	*t = append(slices.DeleteFunc(*t, func(s Spent) bool { return s.At <= at && s.Weight <= w }), Spent{at, w})
}

// Add has every window count w more, or less if that is below zero.
func (t *Told) Add(w int64) {
	all := *t
	*t = all[:0]
	for _, s := range all {
		t.Tell(s.At, s.Weight+min(max(w, -maxWeight), maxWeight))
	}
}

// Forget forgets the numbers of an instant and before.
func (t *Told) Forget(at time.Duration) {
	*t = slices.DeleteFunc(*t, func(s Spent) bool { return s.At <= at })
}

// since returns the largest number of all instants for which late holds.
func (t Told) since(late func(at time.Duration) bool) (w int64) {
	for _, s := range t {
		if late(s.At) {
			w = max(w, s.Weight)
		}
	}
	return w
}
