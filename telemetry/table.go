package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
)

// table keeps what was made for a key, for at most so many keys, and is read without a lock.
//
// Invariant: a key that is in it stays, and leads to the same value for ever; there are never
// more than most. What is kept is copied for every key that is added, which happens at
// most so often.
type table[K comparable, V any] struct {
	most   int
	adding sync.Mutex // held while a key is added
	kept   atomic.Pointer[map[K]V]
}

func newTable[K comparable, V any](most int) *table[K, V] {
	t := &table[K, V]{most: most}
	t.kept.Store(&map[K]V{})
	return t
}

// find returns what is kept for a key, and whether there is any.
func (t *table[K, V]) find(key K) (V, bool) {
	value, found := (*t.kept.Load())[key]
	return value, found
}

// add returns what is kept for a key, which is made if there is none; false says that the
// table is full.
func (t *table[K, V]) add(key K, made func() V) (value V, kept bool) {
	if len(*t.kept.Load()) >= t.most { // says so without the lock, which everybody beyond the bound would wait for
		return t.find(key)
	}
	t.adding.Lock()
	defer t.adding.Unlock()
	before := *t.kept.Load()
	if value, found := before[key]; found {
		return value, true
	}
	if len(before) >= t.most {
		return value, false
	}
	after := make(map[K]V, len(before)+1)
	maps.Copy(after, before)
	value = made()
	after[key] = value
	t.kept.Store(&after)
	return value, true
}
