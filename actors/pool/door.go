package pool

import (
	"math"
	"sync/atomic"

	"github.com/sluice-engine/sluice/actors/mailbox"
)

// Door leads to a pool; see protocol.Door. It is shut for good, and only while
// nobody is inside, so that a pool which ends is told nothing any more.
type Door struct {
	mailbox.Address
	_      [64]byte     // what everyone reads, apart from what everyone writes
	inside atomic.Int64 // written by whoever enters and leaves, and by Shut; far below zero once shut
	_      [56]byte
}

// NewDoor returns the open door of a pool that is still to be spawned.
func NewDoor() *Door { return &Door{Address: mailbox.NewAddress()} }

// Enter is part of protocol.Door. Through a shut door it counts as well, which
// does no harm: the count is far below zero.
func (d *Door) Enter() bool { return d.inside.Add(1) > 0 }

// Leave is part of protocol.Door.
func (d *Door) Leave() { d.inside.Add(-1) }

// Shut reports whether the door is shut now: nobody was inside, and nobody can
// enter.
func (d *Door) Shut() bool { return d.inside.CompareAndSwap(0, math.MinInt64/2) }
