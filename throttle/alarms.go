package throttle

import "time"

// alarms are the lines that time alone may have let somebody pass, by the instant at
// which each is to be looked at.
//
// Mostly a line is to be looked at as long after it was set as the others that charge
// the same limit, and so after all of them: it stands at the end of a row, and is found
// there without looking at any other. There are a few rows, for windows of several
// lengths. Whoever comes before the last of every row stands in a heap.
//
// Invariant: every line whose stand is not nowhere stands once, where its stand and its slot
// say, with its at; first is one of those whose instant is the earliest, or nothing; n is how
// many there are.
type alarms struct {
	n     int
	first alarm
	rows  [fewRows]alarmRow
	heap  alarmHeap
}

type alarm struct {
	at   time.Duration
	line *line
}

// stand is where a line stands among the alarms: in a row, counted from 1, or in the heap.
type stand uint8

const (
	nowhere stand = 0
	fewRows       = 4
	inHeap  stand = fewRows + 1
)

// set has a line looked at then; never means not at all.
func (h *alarms) set(ln *line, at time.Duration) {
	if ln.stand != nowhere && ln.at == at {
		return
	}
	h.clear(ln)
	if at == never {
		return
	}
	ln.at, ln.stand = at, h.standFor(at)
	h.n++
	a := alarm{at, ln}
	if ln.stand == inHeap {
		h.heap.push(a)
	} else {
		h.rows[ln.stand-1].push(a)
	}
	if at < h.next() {
		h.first = a
	}
}

// standFor returns the row whose last one is the latest of those that an instant may
// stand behind; or an empty one, or else the heap.
func (h *alarms) standFor(at time.Duration) stand {
	if h.n == 0 {
		return 1
	}
	best := inHeap
	latest := unset
	for i := range h.rows {
		switch r := &h.rows[i]; {
		case r.standing == 0:
			if best == inHeap {
				best = stand(i + 1)
			}
		case r.last <= at && r.last > latest:
			best, latest = stand(i+1), r.last
		}
	}
	return best
}

// advance has a line looked at no later than that.
func (h *alarms) advance(ln *line, at time.Duration) {
	if ln.stand == nowhere || at < ln.at {
		h.set(ln, at)
	}
}

// clear forgets the alarm of a line.
func (h *alarms) clear(ln *line) {
	switch ln.stand {
	case nowhere:
		return
	case inHeap:
		h.heap.remove(ln.slot)
	default:
		h.rows[ln.stand-1].remove(ln.slot)
	}
	ln.stand = nowhere
	h.n--
	if h.first.line == ln {
		h.findFirst()
	}
}

func (h *alarms) findFirst() {
	h.first = alarm{}
	if h.n == 0 {
		return
	}
	for i := range h.rows {
		if r := &h.rows[i]; r.standing > 0 && r.ring[r.front].at < h.next() {
			h.first = r.ring[r.front]
		}
	}
	if len(h.heap) > 0 && h.heap[0].at < h.next() {
		h.first = h.heap[0]
	}
}

// next returns when the first line is to be looked at, or never.
func (h *alarms) next() time.Duration {
	if h.first.line == nil {
		return never
	}
	return h.first.at
}

// alarmRow is a queue of alarms in the order of their instants. Whoever leaves it leaves
// a gap, so that nobody moves.
//
// Invariant: of ring[(front+i) & (len(ring)-1)] for i < n, at never decreases; the first
// and the last are no gaps, all others may be, and standing counts those that are none.
// last is the instant of the last one. len(ring) is a power of two or zero.
type alarmRow struct {
	ring     []alarm
	front, n int
	standing int
	last     time.Duration
}

const (
	leastRing = 8
	longRing  = 1024 // from which on a row that is empty keeps no memory
)

// push puts an alarm that is no earlier than the last one at the end.
func (r *alarmRow) push(a alarm) {
	if r.n == len(r.ring) {
		r.widen()
	}
	slot := (r.front + r.n) & (len(r.ring) - 1)
	r.ring[slot], a.line.slot = a, slot
	r.n++
	r.standing++
	r.last = a.at
}

// remove takes out the one at a slot.
func (r *alarmRow) remove(slot int) {
	r.ring[slot] = alarm{}
	r.standing--
	if r.standing == 0 {
		r.front, r.n = 0, 0
		if len(r.ring) >= longRing {
			r.ring = nil
		}
		return
	}
	end := len(r.ring) - 1
	for r.ring[r.front].line == nil {
		r.front = (r.front + 1) & end
		r.n--
	}
	for r.ring[(r.front+r.n-1)&end].line == nil {
		r.n--
	}
	r.last = r.ring[(r.front+r.n-1)&end].at
}

// widen makes room for one more, in a ring without gaps.
func (r *alarmRow) widen() {
	wider := make([]alarm, max(leastRing, len(r.ring)))
	if 2*r.standing > len(r.ring) {
		wider = make([]alarm, 2*len(r.ring))
	}
	n := 0
	for i := range r.n {
		if a := r.ring[(r.front+i)&(len(r.ring)-1)]; a.line != nil {
			wider[n], a.line.slot = a, n
			n++
		}
	}
	r.ring, r.front, r.n = wider, 0, n
}

// alarmHeap is a heap of alarms by their instants.
type alarmHeap []alarm

func (h *alarmHeap) push(a alarm) {
	*h = append(*h, a)
	h.up(len(*h) - 1)
}

func (h *alarmHeap) remove(i int) {
	s := *h
	last := len(s) - 1
	s[i] = s[last]
	s[last] = alarm{}
	*h = s[:last]
	if i < last {
		h.down(i)
		h.up(i)
	}
}

func (h alarmHeap) up(i int) {
	a := h[i]
	for i > 0 {
		parent := (i - 1) / arity
		if h[parent].at <= a.at {
			break
		}
		h.put(i, h[parent])
		i = parent
	}
	h.put(i, a)
}

func (h alarmHeap) down(i int) {
	a := h[i]
	for {
		best := h.earliestChild(i)
		if best < 0 || h[best].at >= a.at {
			break
		}
		h.put(i, h[best])
		i = best
	}
	h.put(i, a)
}

func (h alarmHeap) put(i int, a alarm) {
	h[i] = a
	a.line.slot = i
}

func (h alarmHeap) earliestChild(i int) int {
	first := arity*i + 1
	if first >= len(h) {
		return -1
	}
	best := first
	for c := first + 1; c < min(first+arity, len(h)); c++ {
		if h[c].at < h[best].at {
			best = c
		}
	}
	return best
}
