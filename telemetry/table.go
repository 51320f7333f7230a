package telemetry

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// table keeps what was made for a key, for at most so many keys, and is read without a lock. It
// is no map, because a map hashes all of a key, which costs more than to compare it: most keys are
// told apart by one of their strings.
//
// Invariant: a key that is in it stays, and leads to the same value for ever; there are never
// more than most. What is kept is copied for every key that is added, which happens at
// most so often.
type table[K hinted, V any] struct {
	most   int
	adding sync.Mutex // held while a key is added
	kept   atomic.Pointer[shelf[K, V]]
}

// hinted is a key that says where to look for it first. Equal keys have equal hints, and others
// mostly have not.
type hinted interface {
	comparable
	hint() uint64
}

// shelf is what a table keeps at one time; it does not change.
//
// Invariant: the number of places is a power of two, and at least half of them are free. From the
// place that a key's hint names up to its own, or past the end on from the first, none is.
type shelf[K hinted, V any] struct {
	n      int
	places []entry[K, V]
}

type entry[K hinted, V any] struct {
	key   K
	value V
	taken bool
}

var seed = maphash.MakeSeed()

func newTable[K hinted, V any](most int) *table[K, V] {
	t := &table[K, V]{most: most}
	t.kept.Store(newShelf[K, V](0))
	return t
}

// newShelf returns one with room for n keys.
func newShelf[K hinted, V any](n int) *shelf[K, V] {
	places := 2
	for places < 2*n {
		places *= 2
	}
	return &shelf[K, V]{places: make([]entry[K, V], places)}
}

// place returns where a key is, or the free place that would be its own.
func (s *shelf[K, V]) place(key K) *entry[K, V] {
	for at := key.hint(); ; at++ {
		if e := &s.places[at&uint64(len(s.places)-1)]; !e.taken || e.key == key {
			return e
		}
	}
}

// with returns a copy that has one key more.
func (s *shelf[K, V]) with(key K, value V) *shelf[K, V] {
	more := newShelf[K, V](s.n + 1)
	for i := range s.places {
		if e := &s.places[i]; e.taken {
			*more.place(e.key) = *e
		}
	}
	*more.place(key) = entry[K, V]{key, value, true}
	more.n = s.n + 1
	return more
}

// find returns what is kept for a key, and whether there is any.
func (t *table[K, V]) find(key K) (V, bool) {
	e := t.kept.Load().place(key)
	return e.value, e.taken
}

// add returns what is kept for a key, which is made if there is none; false says that the
// table is full.
func (t *table[K, V]) add(key K, made func() V) (value V, kept bool) {
	if t.kept.Load().n >= t.most { // says so without the lock, which everybody beyond the bound would wait for
		return t.find(key)
	}
	t.adding.Lock()
	defer t.adding.Unlock()
	before := t.kept.Load()
	if e := before.place(key); e.taken {
		return e.value, true
	}
	if before.n >= t.most {
		return value, false
	}
	value = made()
	t.kept.Store(before.with(key, value))
	return value, true
}
