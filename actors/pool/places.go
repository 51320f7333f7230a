package pool

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Places bounds the connections of all pools of a system together. A connection
// takes a place from before its dial until it is closed, or until its Close has not
// returned for closePatience. Pools share nothing else.
//
// Opening and closing connections goes through its lock; lending one and taking it
// back does not. What is idle is therefore not counted here: each pool tells it in a
// word of its own, and that only while many connections are open, see crowded. All
// methods are safe for concurrent use, and none tells a pool anything under the
// lock.
//
// Invariants, under the lock:
//
//   - open is the sum of all taken, and at most maxTotal unless that is zero.
//   - While a pool waits for a place, open is maxTotal.
//   - While a pool waits without a dial in doubt, no other keeps its place from it by
//     more dials in doubt than pressing.go allows, but for those that are ending.
type Places struct {
	maxIdle  int // unused connections; zero means no bound
	maxTotal int // connections; zero means no bound
	watch    int // with more open than that, pools tell how many are idle; zero means never

	crowded atomic.Bool // pools tell what is idle, or one is short of a place; read by every pool, written when that changes
	owed    atomic.Bool // there is a debt; read by every pool while it is crowded, written under mu
	_       [64]byte    // what every request reads, apart from what every dial writes

	Connections Connections  // as counted so far
	Waiting     atomic.Int64 // requests that wait for a connection, at all pools; written by each pool when that changes there

	mu      sync.Mutex
	open    int
	pools   []*seat // those with a place
	waiting []*seat // for a place, in the order in which they came
	debt    int     // idle connections that are still to be closed for those who wait; owed says whether there are any
}

// Connections are counted here for all pools there ever were, for a pool ends with what it
// has counted. Over HTTP/2 they are places for a stream. Any goroutine may read them.
type Connections struct{ Opened, Failed, Closed atomic.Int64 }

// noteDial counts a dial that has ended. One that made room for others, or was not begun
// because nobody wanted it any more, is none.
func (p *Places) noteDial(err error) {
	switch {
	case err == nil:
		p.Connections.Opened.Add(1)
	case err != errYielded && err != errUnwanted:
		p.Connections.Failed.Add(1)
	}
}

// seat is a pool's part in Places. Its fields are guarded by Places.mu, but for
// what the pool tells.
type seat struct {
	door   *Door
	taken  int
	got    time.Duration // when it was last given a place
	waits  bool          // it is among those that wait, and has entered its own door for that
	dials  []*dialling   // under way, first the one that has been for longest
	yields int           // of its dials in a row gave up their places

	_     [64]byte
	idle  atomic.Int64 // how many the pool has that are idle, as it last told; less what it was asked to give up since
	since atomic.Int64 // since when the longest idle one is, on the ledger's clock
	_     [48]byte
}

// placeTurn is how long a pool keeps a place that others wait for who have none: well
// above what it takes to open a connection, or nothing but that would be done.
const placeTurn = 500 * time.Millisecond

// What pools tell one another, by way of Places.
type (
	placeGranted struct{}        // to who waited for a place
	idleWanted   struct{ n int } // so many idle connections are to be closed, if there are any beyond MinIdle
	idleUnknown  struct{}        // what is idle is to be told from now on
)

// NewPlaces returns places for so many unused connections, and so many connections
// at all; zero means no bound.
func NewPlaces(maxIdle, maxTotal int) *Places {
	p := &Places{maxIdle: maxIdle, maxTotal: maxTotal}
	for _, bound := range []int{maxIdle, maxTotal} {
		if bound > 0 && (p.watch == 0 || bound < p.watch) {
			p.watch = bound
		}
	}
	p.watch = max((p.watch+1)/2, p.watch*3/4) // not at the bound itself: there they would be asked again and again
	return p
}

// take takes a place, and reports whether there was one. If there was none and
// somebody waits for it, the pool is told placeGranted when there is, unless it
// withdraws before; and others are asked to close what is idle.
func (p *Places) take(now time.Duration, s *seat, waits bool) bool {
	p.mu.Lock()
	if p.maxTotal > 0 && p.open >= p.maxTotal {
		asked := p.queue(s, waits)
		p.mu.Unlock()
		for _, other := range asked {
			other.tell(idleUnknown{}) // which has it pay the debt if it can
		}
		return false
	}
	p.open++
	p.seat(now, s)
	var asked []*seat
	if p.watch > 0 && p.open == p.watch {
		p.crowded.Store(true)
		asked = slices.Clone(p.pools)
	}
	p.mu.Unlock()
	for _, other := range asked {
		other.tell(idleUnknown{})
	}
	return true
}

// seat gives a place to a pool. It requires that mu is held.
func (p *Places) seat(now time.Duration, s *seat) {
	s.got = now
	if s.taken++; s.taken == 1 {
		p.pools = append(p.pools, s)
	}
}

// queue has a pool wait for a place, and returns who may have something idle to
// close for it, longest idle first. It requires that mu is held.
func (p *Places) queue(s *seat, waits bool) []*seat {
	if !waits || s.waits || !s.door.Enter() { // a pool that ends waits for nothing
		return nil
	}
	s.waits = true
	p.waiting = append(p.waiting, s)
	p.owe(p.debt + 1)
	p.crowded.Store(true)
	var able []*seat
	for _, other := range p.pools {
		if other != s && other.idle.Load() > 0 {
			able = append(able, other)
		}
	}
	slices.SortFunc(able, longestIdleFirst)
	return able
}

func longestIdleFirst(a, b *seat) int { return cmp.Compare(a.since.Load(), b.since.Load()) }

// release gives a place back: to who waits for one, if anybody does.
func (p *Places) release(now time.Duration, s *seat) {
	p.mu.Lock()
	if s.taken--; s.taken == 0 {
		p.pools = slices.DeleteFunc(p.pools, func(other *seat) bool { return other == s })
	}
	var next *seat
	if len(p.waiting) > 0 {
		next = p.neediest(now)
		p.leaveQueue(next)
		p.seat(now, next)
	} else {
		p.open--
		p.lull()
	}
	p.mu.Unlock()
	if next != nil {
		next.door.Tell(placeGranted{})
		next.door.Leave()
	}
}

// neediest returns who is served first of those who wait: whoever has no dial in
// doubt already, then who has the fewest places, and of those who came first. It
// requires that mu is held, and that somebody waits.
func (p *Places) neediest(now time.Duration) *seat {
	return slices.MinFunc(p.waiting, func(a, b *seat) int {
		return cmp.Or(cmp.Compare(min(1, a.doubtful(now)), min(1, b.doubtful(now))), cmp.Compare(a.taken, b.taken))
	})
}

// withdraw says that a pool waits no longer.
func (p *Places) withdraw(s *seat) {
	p.mu.Lock()
	waited := s.waits
	if waited {
		p.leaveQueue(s)
		p.lull()
	}
	p.mu.Unlock()
	if waited {
		s.door.Leave()
	}
}

// leaveQueue requires that mu is held.
func (p *Places) leaveQueue(s *seat) {
	p.waiting = slices.DeleteFunc(p.waiting, func(other *seat) bool { return other == s })
	s.waits = false
	p.owe(min(p.debt, len(p.waiting)))
}

// lull has pools tell nothing any more once there is room. It requires that mu is
// held.
func (p *Places) lull() {
	if p.open < p.watch && p.debt == 0 {
		p.crowded.Store(false)
	}
}

// owe sets the debt. It requires that mu is held.
func (p *Places) owe(n int) {
	p.debt = n
	p.owed.Store(n > 0)
}

// payDebt reports whether an idle connection is to be closed for who waits for a
// place. Whoever is told so closes one.
func (p *Places) payDebt() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.debt == 0 {
		return false
	}
	p.owe(p.debt - 1)
	p.lull()
	return true
}

// cede is payDebt for a pool whose own callers wait as well: it pays if whoever
// waits elsewhere would still have no more places than it, so that all have the same
// in the end, and keep them. With more pools than places that would leave some with
// none for ever: they have one by turns. Whoever waits with a dial in doubt is paid
// nothing: another would be in doubt as well.
func (p *Places) cede(now time.Duration, s *seat) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.debt == 0 || p.needed(now) == 0 {
		return false
	}
	least := p.neediest(now).taken
	turnEnded := least == 0 && now-s.got >= placeTurn
	if s.taken <= least+1 && !turnEnded {
		return false
	}
	p.owe(p.debt - 1)
	p.lull()
	return true
}

// told has a pool tell how many connections are idle, and since when.
func (s *seat) told(idle int, since time.Duration) {
	s.idle.Store(int64(idle))
	s.since.Store(int64(since))
}

// trim asks the pools whose connections are idle for longest to close what is too
// many over all of them. minIdle is what each may keep.
func (p *Places) trim(minIdle int) {
	if p.maxIdle <= 0 {
		return
	}
	type share struct {
		of *seat
		n  int
	}
	var shares []share
	p.mu.Lock()
	excess := -p.maxIdle
	for _, s := range p.pools {
		excess += int(s.idle.Load())
	}
	if excess > 0 {
		pools := slices.SortedFunc(slices.Values(p.pools), longestIdleFirst)
		for _, s := range pools {
			n := min(excess, int(s.idle.Load())-minIdle)
			if n > 0 {
				s.idle.Add(int64(-n)) // or the next to look would ask for them once more
				shares = append(shares, share{s, n})
				excess -= n
			}
		}
	}
	p.mu.Unlock()
	for _, s := range shares {
		s.of.tell(idleWanted{s.n})
	}
}

// tell tells a pool something that is still there.
func (s *seat) tell(word any) {
	if s.door.Enter() {
		s.door.Tell(word)
		s.door.Leave()
	}
}
