package request

import (
	"context"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-engine/sluice/internal/wire"
)

// crowd has every request that was submitted, from then to its end, grouped by what ends its
// caller's context: a context is registered with once, however many requests are made under
// it, and one that cannot end not at all.
//
// All methods are safe for concurrent use. None calls a request or the caller's own code with
// a lock held.
type crowd struct {
	carrier *Carrier
	told    group // those whose callers wait, and tell them when their contexts end; in no part's groups
	seed    maphash.Seed
	parts   []crowdPart // set before the first request

	awaited atomic.Bool   // somebody waits until all have left
	left    chan struct{} // of capacity 1: somebody has left, if that is awaited
}

// crowdPart has the groups of some contexts.
type crowdPart struct {
	mu     sync.Mutex
	groups map[<-chan struct{}]*group // guarded by mu; nil before the first

	_ [64]byte // another part is no neighbour in the caches
}

// group are the submitted requests of contexts that end together. It is registered with the
// context of the first of them, and lets go of it with the last: a context may hold much.
type group struct {
	crowd   *crowd
	part    *crowdPart
	done    <-chan struct{} // nil never ends
	members []*Parked       // guarded by part.mu; each at its place
	stop    func() bool     // guarded by part.mu: takes the registration back; nil without one
	ended   bool            // guarded by part.mu: whoever joins is told at once
	dropped bool            // guarded by part.mu: it is in part.groups no more
}

// prepare makes the parts: two for each processor.
func (c *crowd) prepare(carrier *Carrier) {
	c.carrier, c.seed, c.left = carrier, maphash.MakeSeed(), make(chan struct{}, 1)
	c.parts = make([]crowdPart, min(2*runtime.GOMAXPROCS(0), mostShards))
	c.told = group{crowd: c, part: new(crowdPart)}
}

// join makes a request one of those that end with its context, and is told of that from
// then on. It calls the context's methods, which may be the caller's own code.
func (c *crowd) join(p *Parked, ctx context.Context) {
	own := wire.Contain(ctx) // which may panic, and so comes first
	done := own.Done()
	part := &c.parts[maphash.Comparable(c.seed, done)%uint64(len(c.parts))]
	g, made, ended := part.join(c, p, done)
	if ended {
		p.notify(newsEnded)
	}
	if !made || done == nil {
		return
	}
	registered := false
	defer func() { // a context whose Value ends this goroutine
		if !registered {
			g.leave(p)
			g.watchApart()
		}
	}()
	stop := context.AfterFunc(own, g.end)
	registered = true
	part.mu.Lock()
	g.stop = stop
	dropped := g.dropped
	part.mu.Unlock()
	if dropped { // meanwhile
		stop()
	}
}

// watchApart has the members told that have joined a group which is registered with no context,
// if there are any, by a goroutine of its own.
func (g *group) watchApart() {
	g.part.mu.Lock()
	dropped := g.dropped
	g.part.mu.Unlock()
	if dropped {
		return
	}
	go func() {
		select {
		case <-g.done:
			g.end()
		case <-g.crowd.carrier.needs.Closing: // which they are told, too
		}
	}()
}

// add makes a request a member that knows the group already.
func (g *group) add(p *Parked) {
	g.part.mu.Lock()
	defer g.part.mu.Unlock()
	p.place = int32(len(g.members))
	g.members = append(g.members, p)
}

// join returns the group that a request is a member of now, whether it was made for it, and
// whether its context has ended.
func (part *crowdPart) join(c *crowd, p *Parked, done <-chan struct{}) (g *group, made, ended bool) {
	part.mu.Lock()
	defer part.mu.Unlock()
	if g = part.groups[done]; g == nil {
		if part.groups == nil {
			part.groups = make(map[<-chan struct{}]*group)
		}
		g, made = &group{crowd: c, part: part, done: done}, true
		part.groups[done] = g
	}
	p.group, p.place = g, int32(len(g.members))
	g.members = append(g.members, p)
	return g, made, g.ended
}

// keptMembers is for how many members a group without any keeps room.
const keptMembers = 1024

// leave takes a member out.
func (g *group) leave(p *Parked) {
	g.part.mu.Lock()
	last := len(g.members) - 1
	moved := g.members[last]
	g.members[p.place], moved.place = moved, p.place
	g.members[last] = nil
	g.members = g.members[:last]
	var stop func() bool
	if last == 0 {
		if cap(g.members) > keptMembers {
			g.members = nil // a burst must not keep its memory for ever
		}
		if g.done != nil {
			stop = g.drop()
		}
	}
	g.part.mu.Unlock()
	if stop != nil {
		stop()
	}
	if g.crowd.awaited.Load() { // set before the members were counted
		select {
		case g.crowd.left <- struct{}{}:
		default:
		}
	}
}

// await returns when nobody is left. It is called once.
func (c *crowd) await() {
	c.awaited.Store(true)
	for c.count() > 0 {
		<-c.left
	}
}

func (c *crowd) count() (n int) {
	for i := range c.parts {
		part := &c.parts[i]
		part.mu.Lock()
		for _, g := range part.groups {
			n += len(g.members)
		}
		part.mu.Unlock()
	}
	c.told.part.mu.Lock()
	defer c.told.part.mu.Unlock()
	return n + len(c.told.members)
}

// drop forgets a group, and returns what takes its registration back. It requires that
// part.mu is held.
func (g *group) drop() (stop func() bool) {
	g.dropped = true
	delete(g.part.groups, g.done)
	stop, g.stop = g.stop, nil
	return stop
}

// end is called when the context of the members has ended, on a goroutine of its own.
func (g *group) end() {
	g.part.mu.Lock()
	g.ended = true
	if len(g.members) == 0 && !g.dropped {
		g.drop()
	}
	members := slices.Clone(g.members)
	g.part.mu.Unlock()
	inParts(members, endTenures) // of all of them first: what they do upon being told takes its time
	tellAll(members, newsEnded)
}

// endTenures ends what requests have for their contexts, and what is exchanged under it, without a
// call of the caller's code.
func endTenures(all []*Parked) {
	for _, p := range slices.Backward(all) {
		p.endContext()
	}
}

// tellAll tells requests something. The last to come go first: who leaves a queue at its end moves
// nobody up.
func tellAll(all []*Parked, n news) {
	inParts(all, func(some []*Parked) { tellEach(some, n) })
}

// fewTold is up to how many requests one goroutine tells.
const fewTold = 4096

// inParts has tell called with all requests, on this goroutine or, if they are many, on a few more:
// what they do upon it is done there as well, but for what is code of the caller's (Parked.callsBack).
func inParts(all []*Parked, tell func([]*Parked)) {
	workers := max(1, min(runtime.GOMAXPROCS(0), len(all)/fewTold))
	each := (len(all) + workers - 1) / workers
	var told sync.WaitGroup
	for ; len(all) > each; all = all[each:] {
		some := all[:each]
		told.Go(func() { tell(some) })
	}
	tell(all)
	told.Wait()
}

// tellEach tells requests something on this goroutine, the last first. A context that ends it when
// it is asked for its error ends its own request alone: another goroutine tells the others.
func tellEach(all []*Parked, n news) {
	left := len(all)
	defer func() {
		if left > 0 {
			go tellEach(all[:left], n)
		}
	}()
	for left > 0 {
		left--
		all[left].notify(n)
	}
}

// list returns everybody there is.
func (c *crowd) list() (all []*Parked) {
	for i := range c.parts {
		part := &c.parts[i]
		part.mu.Lock()
		for _, g := range part.groups {
			all = append(all, g.members...)
		}
		part.mu.Unlock()
	}
	c.told.part.mu.Lock()
	defer c.told.part.mu.Unlock()
	return append(all, c.told.members...)
}
