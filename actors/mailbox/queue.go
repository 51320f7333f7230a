package mailbox

// queue is a ring that grows by doubling. Its owner guards it.
type queue struct {
	head, n int
	ring    []any
	few     [2]any // the first ring: most mailboxes never have more
}

func (q *queue) push(m any) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = m
	q.n++
}

func (q *queue) pop() any {
	m := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	if q.n == 0 && len(q.ring) > 1024 {
		q.ring, q.head = nil, 0 // a burst must not keep its memory for ever
	}
	return m
}

func (q *queue) grow() {
	if q.ring == nil {
		q.ring = q.few[:]
		return
	}
	ring := make([]any, 2*len(q.ring))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}
