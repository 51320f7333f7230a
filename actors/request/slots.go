package request

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// slot is a request actor, which lives again and again: each call of Do is one
// life of it. What stands here is what one life may leave to the next.
type slot struct {
	mailbox.Caller
	*Carrier // what all requests share

	id      string
	props   *actor.Props
	onHead  func(*messages.Response) // hearHead, made once
	spawned bool

	kept  bool        // it is among the slots that live again; set when the slot is made
	index int         // its place in slots.all, guarded by slots.mu
	free  atomic.Bool // between two lives: whoever clears it has the slot

	// Everything below belongs to whoever has the slot.

	watch  watch
	lives  int            // counted for the retry budget, in batches
	target target         // of the last life
	pool   protocol.Door  // entered; nil if it is in none
	ticket *ticket.Ticket // the next attempt's
	spare  *ticket.Ticket // one before it, which the throttler may not have let go of
	first  ticket.Ticket  // one of the two

	life
}

// Tell is part of protocol.Recipient. It posts to the mailbox directly: the
// process registry would only look up this same mailbox.
func (r *slot) Tell(message any) { r.PostUserMessage(message) }

// slot returns a request actor that is not in use, with a name, a mailbox and
// Props of its own: Props' producers take no argument.
func (c *Carrier) slot() *slot {
	if r := c.slots.take(); r != nil {
		return r
	}
	r := &slot{Caller: mailbox.NewCaller(), Carrier: c, id: "request/" + strconv.FormatUint(c.nextID.Add(1), 36)}
	r.ticket = &r.first
	r.ticket.Close()
	r.onHead = r.hearHead
	r.props = actor.PropsFromProducer(
		func() actor.Actor { return r },
		actor.WithMailbox(func() actor.Mailbox { return &r.Caller }),
	)
	c.slots.admit(r)
	return r
}

// spawn makes a slot an actor, before its first life.
func (r *slot) spawn() error {
	if r.spawned {
		return nil
	}
	r.spawned = true
	_, err := r.needs.Spawner.SpawnNamed(r.props, r.id)
	return err
}

// slots are the request actors that may live again. The list has all of them;
// the pool has the free ones, as far as it remembers, without a lock that all
// callers would share, and gives a caller in a loop its own again. They are the
// system's, not the package's, because a channel must not leave the bubble of a
// test with fake time.
type slots struct {
	cache  sync.Pool
	closed atomic.Bool // written by close, read by whoever frees a slot

	mu     sync.Mutex
	most   int     // how many may be in the list; set before the first request
	all    []*slot // guarded by mu; each at its index
	cursor int     // guarded by mu: where the next search begins
	told   bool    // guarded by mu: the slots in the list know that the engine closes, and none is added
}

const (
	// Slots bounds what a burst leaves behind, at about 2 KB each.
	Slots = 16_384
	// searched is how many slots a search looks at: usually all are in use, or
	// all are free.
	searched = 8
)

// take returns a free slot, or nil.
func (s *slots) take() *slot {
	for {
		r, _ := s.cache.Get().(*slot)
		if r == nil {
			return s.search()
		}
		if r.free.CompareAndSwap(true, false) {
			return r // otherwise a search had it, and it is in use
		}
	}
}

// search finds what the collector made the pool forget.
func (s *slots) search() *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range min(searched, len(s.all)) {
		s.cursor = (s.cursor + 1) % len(s.all)
		if r := s.all[s.cursor]; r.free.CompareAndSwap(true, false) {
			return r
		}
	}
	return nil
}

// admit makes a new slot one of those that live again, if there is room.
func (s *slots) admit(r *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.kept = !s.told && len(s.all) < s.most; r.kept {
		r.index = len(s.all)
		s.all = append(s.all, r)
	}
}

// put frees a slot; false means that it is not to live again.
func (s *slots) put(r *slot) bool {
	if !r.kept || s.closed.Load() {
		return false
	}
	r.free.Store(true)
	s.cache.Put(r)
	return true
}

// tellClosing gives every slot in the list the word that the engine closes, in
// this life or in the next.
func (s *slots) tellClosing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = true
	for _, r := range s.all {
		r.Tell(mailbox.EngineClosing{})
	}
}

// drop forgets a slot for good.
func (s *slots) drop(r *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.kept || len(s.all) == 0 { // never there, or all are dropped already
		return
	}
	last := s.all[len(s.all)-1]
	s.all[r.index], last.index = last, r.index
	s.all[len(s.all)-1] = nil
	s.all = s.all[:len(s.all)-1]
}

// leave has every free slot leave a pool that would like to end.
func (s *slots) leave(door protocol.Door) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.all {
		if !r.free.CompareAndSwap(true, false) {
			continue // its life refers to the pool, and keeps the door open
		}
		if r.pool == door {
			r.leavePool()
		}
		r.free.Store(true)
	}
}

// close stops every free slot, and lets go of its last caller's context.
func (s *slots) close() {
	s.closed.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.all {
		if r.free.CompareAndSwap(true, false) {
			r.watch.release()
			r.Stop()
		}
	}
	s.all = nil
}
