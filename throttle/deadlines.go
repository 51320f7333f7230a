package throttle

import "time"

// deadlines finds the queued permits whose deadline comes first. Most need no
// place in it: a permit is covered while the one before it in its lane has a
// deadline that is no later, for that one will expire before it. So a lane whose
// permits all have the same time to wait has one entry, whatever its length.
//
// Invariant: every queued permit with a deadline has a seat or is covered; and the
// one that covers it has a seat or is covered. So the earliest deadline of a lane
// is always in the heap.
//
// A permit that leaves the queue only clears its seat; its entry is dropped when
// it comes up, or with all others like it once they are the majority. So no entry
// ever leads to a permit that its owner has taken back.
type deadlines struct {
	heap  []due     // earliest first
	seats []*Permit // by due.seat; nil after the permit has left
	free  []uint32  // seats that no entry has
	dead  int       // entries whose seat is cleared
}

// covered reports whether the one before p in its lane expires first.
func (p *Permit) covered() bool {
	return p.prev != nil && p.prev.Deadline != 0 && p.prev.Deadline <= p.Deadline
}

// joined is told of p, which has just taken its place in a lane.
func (d *deadlines) joined(p *Permit) {
	d.seat(p)
	if p.next != nil {
		d.seat(p.next) // p may not cover it, and is what stands before it now
	}
}

// seat gives p an entry if it needs one.
func (d *deadlines) seat(p *Permit) {
	if p.Deadline != 0 && p.seat == 0 && !p.covered() {
		d.push(p)
	}
}

// left is told of p, which has just left its lane, where next stood behind it.
func (d *deadlines) left(p, next *Permit) {
	if p.seat != 0 {
		d.leave(p)
	}
	if next != nil {
		d.seat(next)
	}
}

type due struct {
	at   time.Duration
	seq  uint64
	seat uint32
}

const arity = 4 // children lie side by side in memory

func (d due) before(e due) bool { return d.at < e.at || d.at == e.at && d.seq < e.seq }

func (d *deadlines) push(p *Permit) {
	if last := len(d.free) - 1; last >= 0 {
		p.seat = d.free[last] + 1
		d.free = d.free[:last]
		d.seats[p.seat-1] = p
	} else {
		d.seats = append(d.seats, p)
		p.seat = uint32(len(d.seats))
	}
	d.heap = append(d.heap, due{p.Deadline, p.seq, p.seat - 1})
	d.up(len(d.heap) - 1)
}

// first returns a queued permit with the earliest deadline, if that is at or
// before last, or nil. It does not look at entries beyond last, so that the
// many whose permits are granted long before their deadlines are left to
// compact, which is cheaper by the piece.
func (d *deadlines) first(last time.Duration) *Permit {
	for len(d.heap) > 0 && d.heap[0].at <= last {
		if p := d.seats[d.heap[0].seat]; p != nil {
			return p
		}
		d.dead--
		d.pop()
	}
	return nil
}

// leave forgets p, which has a seat.
func (d *deadlines) leave(p *Permit) {
	d.seats[p.seat-1] = nil
	p.seat = 0
	d.dead++
	if d.dead > 64 && d.dead > len(d.heap)/2 { // a small heap is not worth the work
		d.compact()
	}
}

func (d *deadlines) compact() {
	kept := d.heap[:0]
	for _, e := range d.heap {
		if d.seats[e.seat] != nil {
			kept = append(kept, e)
		} else {
			d.free = append(d.free, e.seat)
		}
	}
	d.heap, d.dead = kept, 0
	for i := (len(kept) - 2) / arity; i >= 0; i-- { // from the last entry that has a child
		d.down(i)
	}
}

func (d *deadlines) pop() {
	last := len(d.heap) - 1
	d.free = append(d.free, d.heap[0].seat)
	d.heap[0] = d.heap[last]
	d.heap = d.heap[:last]
	d.down(0)
}

func (d *deadlines) up(i int) {
	e := d.heap[i]
	for i > 0 {
		parent := (i - 1) / arity
		if !e.before(d.heap[parent]) {
			break
		}
		d.heap[i] = d.heap[parent]
		i = parent
	}
	d.heap[i] = e
}

func (d *deadlines) down(i int) {
	if i >= len(d.heap) {
		return
	}
	e := d.heap[i]
	for {
		best := d.earliestChild(i)
		if best < 0 || !d.heap[best].before(e) {
			break
		}
		d.heap[i] = d.heap[best]
		i = best
	}
	d.heap[i] = e
}

func (d *deadlines) earliestChild(i int) int {
	first := arity*i + 1
	if first >= len(d.heap) {
		return -1
	}
	best := first
	for c := first + 1; c < min(first+arity, len(d.heap)); c++ {
		if d.heap[c].before(d.heap[best]) {
			best = c
		}
	}
	return best
}
