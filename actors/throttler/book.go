package throttler

import (
	"cmp"
	"slices"

	"github.com/sluice-engine/sluice/actors/ticket"
)

// book has the tickets that are queued or in flight. Every request enters and
// leaves it, so it touches no ticket but that one: others are in other
// processors' caches.
type book struct {
	all    []*ticket.Ticket // each at its Place, less one; nil where one has left
	free   []int32          // the places where one has left
	serial uint64
	crowds *ticket.Crowds // is told who is queued; nil if nobody wants to know
}

// countIn counts a ticket that is queued.
func (b *book) countIn(t *ticket.Ticket) {
	if b.crowds != nil && !t.Counts {
		t.Counts = true
		b.crowds.Add(b.crowds.OfLimit(t.Permit.Limit), 1)
	}
}

// countOut has a ticket count no more that is about to be answered, or whose caller left.
func (b *book) countOut(t *ticket.Ticket) {
	if t.Counts {
		t.Counts = false
		b.crowds.Add(b.crowds.OfLimit(t.Permit.Limit), -1)
	}
}

// add is no part of its caller, whose room is on the stack of every request that waits.
//
//go:noinline
func (b *book) add(t *ticket.Ticket) {
	b.serial++
	t.Serial = b.serial
	if last := len(b.free) - 1; last >= 0 {
		t.Place = b.free[last]
		b.free = b.free[:last]
		b.all[t.Place-1] = t
		return
	}
	b.all = append(b.all, t)
	t.Place = int32(len(b.all)) // of which there is no more room in any machine
}

// remove may be told of a ticket that is not there.
func (b *book) remove(t *ticket.Ticket) {
	if t.Place == 0 {
		return
	}
	b.countOut(t)
	b.all[t.Place-1] = nil
	b.free = append(b.free, t.Place)
	t.Place = 0
	if len(b.free) == len(b.all) && len(b.all) > keptPlaces {
		b.all, b.free = nil, nil // a burst must not keep its memory for ever
	}
}

// keptPlaces is how many an empty book keeps.
const keptPlaces = 1024

// inOrder returns the tickets as they came.
func (b *book) inOrder() []*ticket.Ticket {
	ordered := slices.DeleteFunc(slices.Clone(b.all), func(t *ticket.Ticket) bool { return t == nil })
	slices.SortFunc(ordered, func(x, y *ticket.Ticket) int { return cmp.Compare(x.Serial, y.Serial) })
	return ordered
}
