package throttle

import "time"

// timeline is a queue of weights in the order of the instants at which they
// end. Equal instants are one entry.
//
// Invariant: buf[(head+i) % len(buf)].at strictly increases with i < n, and
// sum is the weight of all entries. len(buf) is a power of two or zero. No entry
// weighs more than maxWeight: what is above every quota says no more, and sums
// stay far from overflow.
type timeline struct {
	buf     []entry
	head, n int
	sum     int64
}

type entry struct {
	at time.Duration
	w  int64
}

const (
	reach      = 64      // how far back an entry that comes out of order is sorted in
	longEnough = 1 << 15 // entries from which on neighbours are merged
)

func (t *timeline) slot(i int) *entry { return &t.buf[(t.head+i)&(len(t.buf)-1)] }

// add enters w to end at `at`, or somewhat later: if `at` lies far back in
// the order, or within grain of its successor in a very long timeline. Ending
// late is always safe. It returns the instant that was chosen.
func (t *timeline) add(at time.Duration, w int64, grain time.Duration) time.Duration {
	i := t.n
	for i > 0 && t.n-i < reach && t.slot(i-1).at > at {
		i--
	}
	if i > 0 && t.slot(i-1).at >= at {
		return t.join(i-1, w)
	}
	if t.n >= longEnough {
		if i == t.n && at-t.slot(i-1).at < grain {
			at, i = t.slot(i-1).at+grain, t.n
		} else if i < t.n && t.slot(i).at-at < grain {
			return t.join(i, w)
		}
	}
	w = min(w, maxWeight)
	t.sum += w
	t.insert(i, entry{at, w})
	return at
}

func (t *timeline) join(i int, w int64) time.Duration {
	e := t.slot(i)
	w = min(w, maxWeight-e.w)
	e.w += w
	t.sum += w
	return e.at
}

func (t *timeline) insert(i int, e entry) {
	if t.n == len(t.buf) {
		t.grow()
	}
	t.n++
	for j := t.n - 1; j > i; j-- {
		*t.slot(j) = *t.slot(j - 1)
	}
	*t.slot(i) = e
}

func (t *timeline) grow() {
	bigger := make([]entry, max(8, 2*len(t.buf)))
	for i := range t.n {
		bigger[i] = *t.slot(i)
	}
	t.buf, t.head = bigger, 0
}

// expire removes everything that has ended by now.
func (t *timeline) expire(now time.Duration) {
	for t.n > 0 && t.slot(0).at <= now {
		t.sum -= t.slot(0).w
		t.pop()
	}
}

func (t *timeline) pop() {
	t.head = (t.head + 1) & (len(t.buf) - 1)
	t.n--
}

// drop removes w, or everything, from the entries that end first. What is
// left then ends as late as it can.
func (t *timeline) drop(w int64) {
	for t.n > 0 && w > 0 {
		e := t.slot(0)
		part := min(w, e.w)
		e.w -= part
		t.sum -= part
		w -= part
		if e.w == 0 {
			t.pop()
		}
	}
}

// when returns the first instant from now on by which `need` has ended, or
// never.
func (t *timeline) when(now time.Duration, need int64) time.Duration {
	if need > t.sum {
		return never
	}
	at := now
	for i := 0; need > 0; i++ {
		at = t.slot(i).at
		need -= t.slot(i).w
	}
	return at
}

// delay makes everything end later by d, if d is positive.
func (t *timeline) delay(d time.Duration) {
	if d <= 0 {
		return
	}
	for i := range t.n {
		t.slot(i).at += d
	}
}
