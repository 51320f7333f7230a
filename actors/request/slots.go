package request

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

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
	onHead  func(*messages.Response) // hearHead, made once
	spawned bool

	kept  bool // it is among the slots that live again; set when the slot is made
	index int  // its place in slots.all, guarded by slots.mu

	// Everything below belongs to whoever has the slot: its life, or the shard that it
	// rests in, and then that shard's lock guards it.

	watch   watch
	lives   int                 // counted for the retry budget, in batches
	target  target              // of the last life
	pool    protocol.Door       // entered; nil if it is in none
	ticket  *ticket.Ticket      // the next attempt's
	spare   *ticket.Ticket      // one before it, which the throttler may not have let go of
	aside   *ticket.Ticket      // the slot's own, while its life goes by a parked request's; nil otherwise
	lastTry *messages.Attempted // what observers are to be told of the last attempt; nil before the first that is observed
	signed  *messages.Call      // the blueprint's call with the present attempt's credentials; empty between two lives, nil before the first that is signed

	life
}

// Tell is part of protocol.Recipient. It posts to the mailbox directly: the
// process registry would only look up this same mailbox.
func (r *slot) Tell(message any) { r.PostUserMessage(message) }

// slot returns a request actor that is not in use, for a life that is counted or not, with a
// name and a mailbox of its own.
func (c *Carrier) slot(counted bool) *slot {
	if r := c.slots.take(counted); r != nil {
		return r
	}
	r := &slot{Carrier: c, id: "request/" + strconv.FormatUint(c.nextID.Add(1), 36)}
	r.Caller = mailbox.NewCaller(r)
	r.ticket = new(ticket.Ticket) // apart: one that is let go of by rest must not stay as a part of the slot
	r.ticket.Close()
	r.onHead = r.hearHead
	c.slots.admit(r, counted)
	return r
}

// spawn makes a slot an actor, before its first life.
func (r *slot) spawn() error {
	if r.spawned {
		return nil
	}
	r.spawned = true
	return r.spawner.spawn(r)
}

// spawner makes slots actors, one after the other, with Props that all have in common.
// Props' producers take no argument, and Props of its own would be a tenth of what a
// slot weighs.
type spawner struct {
	root  *actor.RootContext
	props *actor.Props

	mu  sync.Mutex
	now *slot // guarded by mu; who is being spawned, nil if nobody is
}

func (s *spawner) prepare(root *actor.RootContext) {
	s.root = root
	// Both are called within spawn, and never again: a request actor that fails is
	// stopped, not begun anew.
	s.props = actor.PropsFromProducer(
		func() actor.Actor { return s.now },
		actor.WithMailbox(func() actor.Mailbox { return &s.now.Caller }),
	)
}

func (s *spawner) spawn(r *slot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = r
	defer func() { s.now = nil }()
	_, err := s.root.SpawnNamed(s.props, r.id)
	return err
}

// end stops a slot that nobody else has, for good.
func (r *slot) end() {
	r.slots.drop(r)
	r.watch.release()
	r.Stop()
	r.leavePool()
}

// slots are the request actors that may live again: as many as there ever were lives
// at once, lately. They are the system's, not the package's, because a channel must
// not leave the bubble of a test with fake time.
//
// The list has all of them, and changes only when one is made or ends. Each that is
// between two lives rests in one of the shards, and nowhere else. A processor mostly
// has a shard for itself, whose lock it then meets nobody at, and gives a caller in a
// loop its own slot again, which is in that processor's caches.
//
// What a burst leaves behind goes again: a slot that nobody has needed for restTime,
// and for no more than twice as long, is ended, but for the last fewSlots.
type slots struct {
	shards []shard       // set before the first request
	shares sync.Pool     // of *shard: which one each processor used last
	dealt  atomic.Uint32 // shards that were handed out to begin with

	mu     sync.Mutex
	most   int            // how many may be in the list; set before the first request
	all    []*slot        // guarded by mu; each at its index
	others map[*slot]bool // guarded by mu: those that do not live again; nil before the first
	told   bool           // guarded by mu: the slots in the list know that the engine closes, and none is added
	totals Totals         // guarded by mu: of lives that did not begin, or end, in a shard
	tidy   *time.Timer    // guarded by mu: nil unless somebody may rest for too long
	ended  bool           // guarded by mu: closed, and so tidy is nil for good
}

const (
	// fewSlots are kept for good, at about 2 KB each.
	fewSlots = 64
	// restTime is how long the shards are left alone between two looks at who rests in
	// them.
	restTime = time.Minute
	// atOnce is how many slots one look ends, and endingPause how long the next one
	// waits if that was not all: requests go on meanwhile.
	atOnce      = 4096
	endingPause = 100 * time.Millisecond
	// mostShards bounds what is looked at when a processor's own shard is empty.
	mostShards = 64
)

// prepare makes the shards: two for each processor, since whoever is interrupted
// while it has one leaves the others of its processor to take another.
func (s *slots) prepare(most int) {
	s.most = most
	s.shards = make([]shard, min(2*runtime.GOMAXPROCS(0), mostShards))
}

// take returns a slot that rests, or nil. As long as the processor's own shard has
// one, it looks nowhere else.
func (s *slots) take(counted bool) *slot {
	own := s.share()
	r := own.pop(counted)
	for i := 0; r == nil && i < len(s.shards); i++ {
		if other := &s.shards[i]; other.some.Load() {
			r = other.pop(counted)
		}
	}
	s.shares.Put(own)
	return r
}

// put has a slot rest; false means that it is not to live again.
func (s *slots) put(r *slot, last lifeSum) bool {
	if !r.kept {
		s.note(last)
		return false
	}
	own := s.share()
	rests := own.push(r, last)
	s.shares.Put(own)
	return rests
}

// share returns the shard that this processor used last, for whoever asks alone
// until it is put back. The collector may make the pool forget; what rests in a shard
// is not forgotten with it.
func (s *slots) share() *shard {
	if own, _ := s.shares.Get().(*shard); own != nil {
		return own
	}
	return &s.shards[s.dealt.Add(1)%uint32(len(s.shards))]
}

// admit makes a new slot one of those that live again, if there is room.
func (s *slots) admit(r *slot, counted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if counted {
		s.totals.Begun++
	}
	if r.kept = !s.told && (s.most == 0 || len(s.all) < s.most); !r.kept {
		if s.others == nil {
			s.others = make(map[*slot]bool)
		}
		s.others[r] = true
		return
	}
	r.index = len(s.all)
	s.all = append(s.all, r)
	if s.tidy == nil && len(s.all) > fewSlots {
		s.tidy = time.AfterFunc(restTime, s.endRested)
	}
}

// endRested ends the slots that nobody has needed since the look before.
func (s *slots) endRested() {
	left := min(atOnce, max(0, s.count()-fewSlots))
	for i := range s.shards {
		rested := s.shards[i].cut(left)
		left -= len(rested)
		for _, r := range rested {
			r.end()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended || len(s.all) <= fewSlots:
		s.tidy = nil // and admit sets it again
	case left == 0:
		s.tidy.Reset(endingPause)
	default:
		for i := range s.shards {
			s.shards[i].observe()
		}
		s.tidy.Reset(restTime)
	}
}

// count returns how many slots live again.
func (s *slots) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
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
	delete(s.others, r)
	if !r.kept || s.ended { // never there, or all are dropped already
		return
	}
	end := len(s.all) - 1
	last := s.all[end]
	s.all[r.index], last.index = last, r.index
	s.all[end] = nil
	s.all = shrunk(s.all[:end])
}

// leave has every slot that rests leave a pool that would like to end. One that
// begins or ends a life meanwhile may be missed: the pool offers to end again.
func (s *slots) leave(door protocol.Door) {
	for i := range s.shards {
		for from := 0; from >= 0; {
			from = s.shards[i].leave(door, from)
		}
	}
}

// close ends every slot that rests, and lets go of its last caller's context. No
// request may be on its journey any more.
func (s *slots) close() {
	s.mu.Lock()
	s.ended, s.all = true, nil
	if s.tidy != nil {
		s.tidy.Stop()
		s.tidy = nil
	}
	s.mu.Unlock()
	for i := range s.shards {
		for _, r := range s.shards[i].shut() {
			r.watch.release()
			r.Stop()
		}
	}
}
