package actors

import (
	"hash/maphash"
	"iter"
	"maps"
	"sync/atomic"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/messages"
)

// doors has the door of every origin's pool. Requests look theirs up without a lock;
// the supervisor alone changes any. It copies the part that the origin falls into,
// and so an origin more costs a little of what there are, and not all of it.
type doors struct {
	seed  maphash.Seed // set by newDoors: nobody can choose the part of a host
	parts [doorParts]atomic.Pointer[map[messages.Origin]*pool.Door]
}

const doorParts = 256

func newDoors() *doors { return &doors{seed: maphash.MakeSeed()} }

func (d *doors) part(origin messages.Origin) *atomic.Pointer[map[messages.Origin]*pool.Door] {
	return &d.parts[maphash.String(d.seed, origin.Addr)%doorParts]
}

// of returns the door of an origin's pool, or nil.
func (d *doors) of(origin messages.Origin) *pool.Door {
	if part := d.part(origin).Load(); part != nil {
		return (*part)[origin]
	}
	return nil
}

// publish makes a door that of an origin; a nil door takes the old one away. Only the
// supervisor calls it.
func (d *doors) publish(origin messages.Origin, door *pool.Door) {
	at := d.part(origin)
	part := map[messages.Origin]*pool.Door{}
	if old := at.Load(); old != nil {
		part = maps.Clone(*old)
	}
	if door != nil {
		part[origin] = door
	} else {
		delete(part, origin)
	}
	at.Store(&part)
}

// all goes through the doors that there are; one that comes or goes meanwhile may be
// missed.
func (d *doors) all() iter.Seq[*pool.Door] {
	return func(yield func(*pool.Door) bool) {
		for i := range d.parts {
			part := d.parts[i].Load()
			if part == nil {
				continue
			}
			for _, door := range *part {
				if !yield(door) {
					return
				}
			}
		}
	}
}
