package throttle

// laneHeap is a binary heap of lanes by the rank of their heads, best first.
// Every lane knows its slot.
type laneHeap []*lane

func (h *laneHeap) push(ln *lane) {
	*h = append(*h, ln)
	ln.slot = len(*h) - 1
	h.up(ln.slot)
}

func (h *laneHeap) remove(i int) {
	s := *h
	last := len(s) - 1
	removed := s[i]
	s[i] = s[last]
	s[i].slot = i
	s[last] = nil
	*h = s[:last]
	removed.slot = -1
	if i < last {
		h.fix(i) // what took the place is from another branch: it may belong higher up
	}
}

func (h laneHeap) fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

func (h laneHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h[i].head.before(h[parent].head) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h laneHeap) down(i int) (moved bool) {
	for {
		best := 2*i + 1
		if best >= len(h) {
			return moved
		}
		if right := best + 1; right < len(h) && h[right].head.before(h[best].head) {
			best = right
		}
		if !h[best].head.before(h[i].head) {
			return moved
		}
		h.swap(i, best)
		i, moved = best, true
	}
}

func (h laneHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}
