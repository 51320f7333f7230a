package throttle

// index finds the paths of a route, or the meters of a rule, by the hash of what tells
// them apart. It is an open-addressed table in shards, none of which becomes large, so
// that nobody waits while all of it is moved. A look-up reads the shard's place in a short
// list, and then mostly one cache line of the shard; a map of Go's reads two that are in
// no cache. Several may have the same hash.
//
// Invariant: len(shards) is a power of two, and what is found by a hash is in the shard
// that the hash's top bits are the number of. Where a shard has all hashes that agree in
// fewer bits, it stands in the list as often, in a row.
type index[T any] struct {
	n      int
	shift  uint // of a hash, for the number of its shard
	shards []shard[T]
}

// shard is a part of an index.
//
// Invariant: len(slots) is a power of two, and a quarter of them is empty. From the slot
// that the low bits of a hash are the number of to the one that is in use for it none is.
type shard[T any] struct {
	slots []slot[T]
	fill  *fill // the same wherever the shard stands
}

type fill struct {
	n     int // slots in use
	depth int // bits in which the hashes agree
}

type slot[T any] struct {
	hash uint64
	one  *T // nil if the slot is empty
}

const (
	fewestSlots = 4
	mostSlots   = 256 // of a shard; more only if hashes agree that should not
)

// next returns the next one with a hash, or nil, and moves at beyond it, which is zero at
// first.
func (x *index[T]) next(hash uint64, at *uint64) *T {
	if x.n == 0 {
		return nil
	}
	slots := x.shards[hash>>x.shift].slots
	for {
		s := &slots[(hash+*at)&uint64(len(slots)-1)]
		*at++
		if s.hash == hash || s.one == nil {
			return s.one
		}
	}
}

// each calls do for everything; do must not put or remove any.
func (x *index[T]) each(do func(*T)) {
	for k := 0; k < len(x.shards); k += x.alike(x.shards[k]) {
		for _, s := range x.shards[k].slots {
			if s.one != nil {
				do(s.one)
			}
		}
	}
}

// some calls do for at most n, from a place on that start says, and looks at no more than
// four slots for each. do must not put or remove any.
func (x *index[T]) some(start uint64, n int, do func(*T)) {
	if x.n == 0 {
		return
	}
	looks := 4 * n
	first := int(start >> x.shift)
	from := int(start) & (len(x.shards[first].slots) - 1) // or the end of a shard would never be met
	for k := 0; k <= len(x.shards); {
		at := (first + k) % len(x.shards)
		s := x.shards[at]
		alike := x.alike(s)
		k += alike - at%alike // to where the next one begins
		slots := s.slots[from:]
		from = 0
		for _, in := range slots {
			if looks--; looks < 0 || n == 0 {
				return
			}
			if in.one != nil {
				n--
				do(in.one)
			}
		}
	}
}

// put takes in what is not there.
func (x *index[T]) put(hash uint64, one *T) {
	if x.n == 0 {
		x.begin()
	}
	at := x.shards[hash>>x.shift]
	for 4*(at.fill.n+1) > 3*len(at.slots) {
		x.widen(hash)
		at = x.shards[hash>>x.shift]
	}
	at.put(hash, one)
	x.n++
}

// begin makes the first shard. Most indexes have no other.
func (x *index[T]) begin() {
	first := new(struct {
		fill   fill
		shards [1]shard[T]
		slots  [fewestSlots]slot[T]
	})
	first.shards[0] = shard[T]{first.slots[:], &first.fill}
	x.shift, x.shards = 64, first.shards[:]
}

func (s shard[T]) put(hash uint64, one *T) {
	last := uint64(len(s.slots) - 1)
	i := hash & last
	for s.slots[i].one != nil {
		i = (i + 1) & last
	}
	s.slots[i] = slot[T]{hash, one}
	s.fill.n++
}

// widen makes room in the shard of a hash.
func (x *index[T]) widen(hash uint64) {
	was := x.shards[hash>>x.shift]
	if len(was.slots) < mostSlots || len(x.shards) > x.n { // so many that agree are not told apart by more bits
		wider := shard[T]{make([]slot[T], 2*len(was.slots)), &fill{depth: was.fill.depth}}
		was.pour(wider, wider, 0)
		x.stand(hash, wider)
		return
	}
	if was.fill.depth == x.depth() {
		twice := make([]shard[T], 2*len(x.shards))
		for k := range twice {
			twice[k] = x.shards[k/2]
		}
		x.shards = twice
		x.shift--
	}
	bit := uint64(1) << (63 - was.fill.depth)
	var halves [2]shard[T]
	for k := range halves {
		halves[k] = shard[T]{make([]slot[T], len(was.slots)), &fill{depth: was.fill.depth + 1}}
	}
	was.pour(halves[0], halves[1], bit)
	x.stand(hash&^bit, halves[0])
	x.stand(hash|bit, halves[1])
}

// pour puts all that is in a shard into others, by a bit of the hash.
func (s shard[T]) pour(clear, set shard[T], bit uint64) {
	for _, in := range s.slots {
		switch {
		case in.one == nil:
		case in.hash&bit == 0:
			clear.put(in.hash, in.one)
		default:
			set.put(in.hash, in.one)
		}
	}
}

// depth is how many bits are the number of a shard.
func (x *index[T]) depth() int { return int(64 - x.shift) }

// alike is how often a shard stands in the list.
func (x *index[T]) alike(s shard[T]) int { return 1 << (x.depth() - s.fill.depth) }

// stand puts a shard wherever hashes lead to that agree with hash in as many bits as its
// own do.
func (x *index[T]) stand(hash uint64, s shard[T]) {
	alike := x.alike(s)
	first := int(hash>>x.shift) &^ (alike - 1)
	for k := range alike {
		x.shards[first+k] = s
	}
}

// remove takes out what is there. An index that is empty keeps no memory.
func (x *index[T]) remove(hash uint64, one *T) {
	if x.n--; x.n == 0 {
		*x = index[T]{}
		return
	}
	at := x.shards[hash>>x.shift]
	at.fill.n--
	last := uint64(len(at.slots) - 1)
	hole := hash & last
	for at.slots[hole].one != one {
		hole = (hole + 1) & last
	}
	for i := (hole + 1) & last; at.slots[i].one != nil; i = (i + 1) & last {
		if way := (i - at.slots[i].hash) & last; way >= (i-hole)&last { // it may stand where the hole is
			at.slots[hole] = at.slots[i]
			hole = i
		}
	}
	at.slots[hole] = slot[T]{}
}
