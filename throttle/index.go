package throttle

// pathIndex finds the paths of a route by the hash of what tells them apart. It is an
// open-addressed table in shards, none of which becomes large, so that nobody waits while
// all of it is moved. A look-up reads the shard's place in a short list, and then mostly
// one cache line of the shard; a map of Go's reads two that are in no cache.
//
// Invariant: len(shards) is a power of two, and a path is in the shard that the top bits
// of its hash are the number of. Where a shard has all hashes that agree in fewer bits,
// it stands in the list as often, in a row.
type pathIndex struct {
	n      int
	shift  uint // of a hash, for the number of its shard
	shards []shard
}

// shard is a part of a pathIndex.
//
// Invariant: len(slots) is a power of two, and a quarter of them is empty. From the slot
// that the low bits of a hash are the number of to the one that its path is in none is.
type shard struct {
	slots []slot
	fill  *fill // the same wherever the shard stands
}

type fill struct {
	n     int // slots in use
	depth int // bits in which the hashes agree
}

type slot struct {
	hash uint64
	path *path // nil if the slot is empty
}

const (
	fewestSlots = 4
	mostSlots   = 256 // of a shard; more only if hashes agree that should not
)

// find returns the path of parts at an origin, or nil.
func (x *pathIndex) find(hash uint64, of *Parts, home *origin) *path {
	if x.n == 0 {
		return nil
	}
	slots := x.shards[hash>>x.shift].slots
	for i := hash; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		if s.path == nil || s.hash == hash && s.path.home == home && s.path.of == *of {
			return s.path
		}
	}
}

// put takes in a path that is not there.
func (x *pathIndex) put(hash uint64, p *path) {
	if x.n == 0 {
		x.shift, x.shards = 64, []shard{{make([]slot, fewestSlots), new(fill)}}
	}
	at := &x.shards[hash>>x.shift]
	for 4*(at.fill.n+1) > 3*len(at.slots) {
		x.widen(hash)
		at = &x.shards[hash>>x.shift]
	}
	at.put(hash, p)
	x.n++
}

func (a *shard) put(hash uint64, p *path) {
	last := uint64(len(a.slots) - 1)
	i := hash & last
	for a.slots[i].path != nil {
		i = (i + 1) & last
	}
	a.slots[i] = slot{hash, p}
	a.fill.n++
}

// widen makes room in the shard of a hash.
func (x *pathIndex) widen(hash uint64) {
	was := x.shards[hash>>x.shift]
	if len(was.slots) < mostSlots || len(x.shards) > x.n { // so many that agree cannot be told apart by more bits
		wider := shard{make([]slot, 2*len(was.slots)), &fill{depth: was.fill.depth}}
		was.pour(func(uint64) *shard { return &wider })
		x.stand(hash, wider)
		return
	}
	if was.fill.depth == x.depth() {
		twice := make([]shard, 2*len(x.shards))
		for k := range twice {
			twice[k] = x.shards[k/2]
		}
		x.shards = twice
		x.shift--
	}
	bit := uint64(1) << (63 - was.fill.depth)
	var half [2]shard
	for k := range half {
		half[k] = shard{make([]slot, len(was.slots)), &fill{depth: was.fill.depth + 1}}
	}
	was.pour(func(hash uint64) *shard {
		if hash&bit == 0 {
			return &half[0]
		}
		return &half[1]
	})
	x.stand(hash&^bit, half[0])
	x.stand(hash|bit, half[1])
}

// depth is how many bits number a shard.
func (x *pathIndex) depth() int { return int(64 - x.shift) }

// pour puts all that is in a shard into others.
func (a *shard) pour(into func(hash uint64) *shard) {
	for _, s := range a.slots {
		if s.path != nil {
			into(s.hash).put(s.hash, s.path)
		}
	}
}

// stand puts a shard wherever hashes lead to that agree with hash in as many bits as its
// own do.
func (x *pathIndex) stand(hash uint64, a shard) {
	alike := 1 << (x.depth() - a.fill.depth)
	first := int(hash>>x.shift) &^ (alike - 1)
	for k := range alike {
		x.shards[first+k] = a
	}
}

// remove takes out a path that is there. An index that is empty keeps no memory.
func (x *pathIndex) remove(hash uint64, p *path) {
	if x.n--; x.n == 0 {
		*x = pathIndex{}
		return
	}
	at := &x.shards[hash>>x.shift]
	at.fill.n--
	last := uint64(len(at.slots) - 1)
	hole := hash & last
	for at.slots[hole].path != p {
		hole = (hole + 1) & last
	}
	for i := (hole + 1) & last; at.slots[i].path != nil; i = (i + 1) & last {
		if way := (i - at.slots[i].hash) & last; way >= (i-hole)&last { // it may stand where the hole is
			at.slots[hole] = at.slots[i]
			hole = i
		}
	}
	at.slots[hole] = slot{}
}
