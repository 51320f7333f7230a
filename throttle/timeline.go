package throttle

import (
	"slices"
	"sort"
	"time"
)

// timeline is a queue of weights in the order of the instants at which they
// end. Equal instants are one entry. Each mark says how much has ended by then in
// all, so that the instant by which so much has ended is searched for by halves.
//
// Invariant: of buf[(head+i) % len(buf)] for i < n, at strictly increases, upTo does
// not fall, and upTo less the one before, or less gone for the first, is the weight of
// the entry; sum is the weight of all entries, and first and last are the instants of the
// first and the last one, if there is any. len(buf) is a power of two or zero. No
// entry weighs more than maxWeight: what is above every quota says no more, and sums
// stay far from overflow.
//
// Most often nothing has ended, and what is added goes to the end. Then nothing is read
// of buf, which is a piece of memory by itself, and not in a cache if there are many.
type timeline struct {
	first, last time.Duration
	sum         int64
	gone        int64 // what has left in all, as upTo counts
	head, n     int32
	buf         []mark
}

type mark struct {
	at   time.Duration
	upTo int64
}

type entry struct {
	at time.Duration
	w  int64
}

const (
	reach      = 64      // how far back an entry that comes out of order is sorted in
	longEnough = 1 << 15 // entries from which on neighbours are merged
	mostGone   = 1 << 61 // from which on upTo is counted anew
)

func (t *timeline) slot(i int) *mark { return &t.buf[(int(t.head)+i)&(len(t.buf)-1)] }

// before returns what has ended before the i-th entry does.
func (t *timeline) before(i int) int64 {
	if i == 0 {
		return t.gone
	}
	return t.slot(i - 1).upTo
}

// entry returns the i-th entry.
func (t *timeline) entry(i int) entry {
	return entry{t.slot(i).at, t.slot(i).upTo - t.before(i)}
}

// add enters w to end at `at`, or somewhat later: if `at` lies far back in
// the order, or within grain of its successor in a very long timeline. Ending
// late is always safe. It returns the instant that was chosen.
func (t *timeline) add(at time.Duration, w int64, grain time.Duration) time.Duration {
	n := int(t.n)
	if n == 0 || at > t.last {
		if n >= longEnough {
			at = max(at, t.last+grain)
		}
		t.append(at, min(w, maxWeight))
		return at
	}
	i := n
	for i > 0 && n-i < reach && t.slot(i-1).at > at {
		i--
	}
	if i > 0 && t.slot(i-1).at >= at {
		return t.join(i-1, w)
	}
	if n >= longEnough && t.slot(i).at-at < grain {
		return t.join(i, w)
	}
	t.insert(i, at, min(w, maxWeight))
	return at
}

func (t *timeline) join(i int, w int64) time.Duration {
	e := t.entry(i)
	t.raise(i, min(w, maxWeight-e.w))
	return e.at
}

// raise adds w to the i-th entry, which is among the last ones.
func (t *timeline) raise(i int, w int64) {
	t.sum += w
	for ; i < int(t.n); i++ {
		t.slot(i).upTo += w
	}
}

// append enters w to end after all others.
func (t *timeline) append(at time.Duration, w int64) {
	if int(t.n) == len(t.buf) {
		t.grow()
	}
	if t.n == 0 {
		t.first = at
	}
	t.sum += w
	*t.slot(int(t.n)) = mark{at, t.gone + t.sum}
	t.n, t.last = t.n+1, at
	if t.gone+t.sum > mostGone {
		t.recount()
	}
}

// insert enters w before the i-th entry.
func (t *timeline) insert(i int, at time.Duration, w int64) {
	if int(t.n) == len(t.buf) {
		t.grow()
	}
	t.n++
	for j := int(t.n) - 1; j > i; j-- {
		*t.slot(j) = *t.slot(j - 1)
	}
	*t.slot(i) = mark{at, t.before(i)}
	if i == 0 {
		t.first = at
	}
	t.raise(i, w)
	if t.gone+t.sum > mostGone {
		t.recount()
	}
}

// recount has upTo begin from nothing again.
func (t *timeline) recount() {
	for i := range int(t.n) {
		t.slot(i).upTo -= t.gone
	}
	t.gone = 0
}

func (t *timeline) grow() {
	bigger := make([]mark, max(1, 2*len(t.buf))) // most keys have one
	for i := range int(t.n) {
		bigger[i] = *t.slot(i)
	}
	t.buf, t.head = bigger, 0
}

// clone returns a timeline that changes without this one.
func (t *timeline) clone() timeline {
	other := *t
	other.buf = slices.Clone(t.buf)
	return other
}

// expire removes everything that has ended by now.
func (t *timeline) expire(now time.Duration) {
	for t.n > 0 && t.first <= now {
		t.drop(t.slot(0).upTo - t.gone)
	}
}

// drop removes w, or everything, from the entries that end first. What is
// left then ends as late as it can.
func (t *timeline) drop(w int64) {
	w = min(w, t.sum)
	t.gone += w
	t.sum -= w
	for t.n > 0 && t.slot(0).upTo <= t.gone {
		t.head = (t.head + 1) & int32(len(t.buf)-1)
		t.n--
	}
	if t.n > 0 {
		t.first = t.slot(0).at
	}
}

// when returns the first instant from now on by which `need` has ended, or
// never.
func (t *timeline) when(now time.Duration, need int64) time.Duration {
	switch {
	case need > t.sum:
		return never
	case need <= 0:
		return now
	}
	return t.slot(t.search(need, func(int) {})).at
}

// search returns the first entry by which need has ended, and tells of each that it looks
// at.
func (t *timeline) search(need int64, looks func(i int)) int {
	return sort.Search(int(t.n), func(i int) bool {
		looks(i)
		return t.slot(i).upTo-t.gone >= need
	})
}

// endedBy returns how much of what is entered will have ended by an instant.
func (t *timeline) endedBy(at time.Duration) int64 {
	return t.before(sort.Search(int(t.n), func(i int) bool { return t.slot(i).at > at })) - t.gone
}

// endingLate returns how much of what is entered ends at an instant for which late holds, which
// it does for all instants after one for which it does.
func (t *timeline) endingLate(late func(at time.Duration) bool) int64 {
	i := sort.Search(int(t.n), func(i int) bool { return late(t.slot(i).at) })
	return t.gone + t.sum - t.before(i)
}

// delay makes everything end later by d, if d is positive.
func (t *timeline) delay(d time.Duration) {
	if d <= 0 {
		return
	}
	for i := range int(t.n) {
		t.slot(i).at += d
	}
	t.first += d
	t.last += d
}
