package throttle

// laneHeap is a heap of lanes by the rank of their heads, best first. Every lane
// knows its slot, which is -1 for one that was removed. A head does not change while
// its lane is in a heap.
type laneHeap []ranked

// ranked is a lane with the rank of its head, so that comparing two looks at neither.
type ranked struct {
	rank int64
	seq  uint64
	lane *lane
}

func (r *ranked) before(s *ranked) bool {
	if r.rank != s.rank {
		return r.rank < s.rank
	}
	return r.seq < s.seq
}

func (h *laneHeap) push(ln *lane) {
	*h = append(*h, ranked{ln.head.rank, ln.head.seq, ln})
	h.up(len(*h) - 1)
}

func (h *laneHeap) remove(i int) {
	s := *h
	last := len(s) - 1
	s[i].lane.slot = -1
	s[i] = s[last]
	s[last] = ranked{}
	*h = s[:last]
	if i < last {
		h.down(i)
		h.up(i) // what took the place is from another branch: it may belong higher up
	}
}

func (h laneHeap) up(i int) {
	r := h[i]
	for i > 0 {
		parent := (i - 1) / arity
		if !r.before(&h[parent]) {
			break
		}
		h.put(i, h[parent])
		i = parent
	}
	h.put(i, r)
}

func (h laneHeap) down(i int) {
	r := h[i]
	for {
		best := h.bestChild(i)
		if best < 0 || !h[best].before(&r) {
			break
		}
		h.put(i, h[best])
		i = best
	}
	h.put(i, r)
}

func (h laneHeap) put(i int, r ranked) {
	h[i] = r
	r.lane.slot = i
}

func (h laneHeap) bestChild(i int) int {
	first := arity*i + 1
	if first >= len(h) {
		return -1
	}
	best := first
	for c := first + 1; c < min(first+arity, len(h)); c++ {
		if h[c].before(&h[best]) {
			best = c
		}
	}
	return best
}
