package inspect

import (
	"time"
)

// buckets is of how many spans of time a history consists.
const buckets = 60

// history is what one figure was, as the largest in each of the last buckets. It has no clock:
// instants are given, and go forward.
//
// Invariant: at[i] is what bucket last-i had, or -1 if nobody looked then.
type history struct {
	last int64 // number of the newest bucket
	at   [buckets]int64
}

func newHistory() *history {
	h := new(history)
	for i := range h.at {
		h.at[i] = unseen
	}
	return h
}

const unseen = -1

// number is which bucket an instant is in.
func number(now time.Time, span time.Duration) int64 { return now.UnixNano() / int64(span) }

// add takes note of a value, which is not below zero, in a bucket. One before the newest
// counts in the newest.
func (h *history) add(bucket, value int64) {
	if moved := bucket - h.last; moved > 0 {
		keep := max(0, buckets-moved)
		copy(h.at[buckets-keep:], h.at[:keep])
		for i := range buckets - keep {
			h.at[i] = unseen
		}
		h.last = bucket
	}
	h.at[0] = max(h.at[0], value, 0)
}

// values are those of the buckets up to one, the oldest first.
func (h *history) values(bucket int64) (all [buckets]int64) {
	shift := max(0, bucket-h.last)
	for i := range all {
		all[i] = unseen
		if from := int64(buckets-1-i) - shift; from >= 0 {
			all[i] = h.at[from]
		}
	}
	return all
}

// old reports whether a history has nothing of the last buckets.
func (h *history) old(bucket int64) bool { return bucket-h.last >= buckets }

// histories are those of one engine, by name. They are bounded: those that were not added to
// for the whole of their length are forgotten, and the others while there are too many.
type histories struct {
	span time.Duration
	most int
	all  map[string]*history
}

func newHistories(length time.Duration, most int) *histories {
	return &histories{span: max(length/buckets, time.Millisecond), most: most, all: map[string]*history{}}
}

func (hs *histories) add(now time.Time, name string, value int64) {
	h := hs.all[name]
	if h == nil {
		if len(hs.all) >= hs.most {
			hs.forget(now)
		}
		if len(hs.all) >= hs.most {
			return
		}
		h = newHistory()
		hs.all[name] = h
	}
	h.add(number(now, hs.span), value)
}

// forget drops those that are old, and if there are none the one that was added to the longest
// ago.
func (hs *histories) forget(now time.Time) {
	bucket, oldest, found := number(now, hs.span), "", false
	for name, h := range hs.all {
		if h.old(bucket) {
			delete(hs.all, name)
			continue
		}
		if !found || h.last < hs.all[oldest].last {
			oldest, found = name, true
		}
	}
	if len(hs.all) >= hs.most && found && hs.all[oldest].last < bucket {
		delete(hs.all, oldest)
	}
}

// values are those of a name, the oldest first; all unseen for one that is not there.
func (hs *histories) values(now time.Time, name string) (all [buckets]int64) {
	if h := hs.all[name]; h != nil {
		return h.values(number(now, hs.span))
	}
	for i := range all {
		all[i] = unseen
	}
	return all
}
