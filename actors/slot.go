package actors

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/messages"
)

// slot returns a request that is not in use, with a name, a mailbox and Props
// of its own: Props' producers take no argument.
func (s *System) slot() *request {
	if r := s.slots.take(); r != nil {
		return r
	}
	r := &request{system: s, id: "request/" + strconv.FormatUint(s.nextID.Add(1), 36)}
	r.wake = make(chan struct{}, 1)
	r.ticket = &r.first
	r.ticket.Close()
	r.props = actor.PropsFromProducer(
		func() actor.Actor { return r },
		actor.WithMailbox(func() actor.Mailbox { return &r.callerMailbox }),
	)
	s.slots.admit(r)
	return r
}

// release recycles a slot that nobody holds any more; any other is stopped and
// left to the collector, with a name that is never used again.
func (s *System) release(r *request) {
	if r.recyclable() {
		r.renewTicket()
		r.clear()
		if s.slots.put(r) {
			return
		}
	}
	s.slots.drop(r)
	r.watch.release()
	r.stop()
	r.leavePool()
}

// recyclable reports whether nobody can still hold this slot.
func (r *request) recyclable() bool { return !r.failed && r.asking == 0 }

// renewTicket makes sure that nobody else holds the ticket: under load many a
// settlement is still in the throttler's mailbox when its caller asks again. The
// ticket before it has mostly been let go of by then.
func (r *request) renewTicket() {
	if r.ticket.Closed() {
		return
	}
	if r.spare == nil || !r.spare.Closed() {
		r.spare = new(messages.Ticket)
	}
	r.ticket, r.spare = r.spare, r.ticket
}

func (r *request) leavePool() {
	if r.pool != nil {
		r.pool.leave()
		r.pool = nil
	}
}

// clear forgets one life of the slot.
func (r *request) clear() {
	r.callerMailbox.reset()
	r.ctx, r.asked, r.deadline = nil, nil, time.Time{}
	r.built.Body, r.built.Fields, r.built.Reader, r.built.Trailer, r.call = nil, nil, nil, nil, nil
	r.upload, r.stream, r.trace, r.built.Trace, r.ticket.Trace = nil, nil, trace{}, nil, nil
	if r.signed.Method != "" {
		r.signed = messages.Call{}
		clear(r.fields)
	}
	r.attempts, r.failures, r.sent = 0, 0, messages.SentNo
	r.resampled, r.refusal = false, nil
	r.redirects, r.contentType = 0, ""
	r.response, r.err = nil, nil
}

// slots are the request actors that may live again. The list has all of them;
// the pool has the free ones, as far as it remembers, without a lock that all
// callers would share, and gives a caller in a loop its own again. They are the
// system's, not the package's, because a channel must not leave the bubble of a
// test with fake time.
type slots struct {
	cache  sync.Pool
	closed atomic.Bool

	mu     sync.Mutex
	most   int        // slots in the list
	all    []*request // each at its index
	cursor int        // where the next search begins
	told   bool       // that the engine closes; slots to come are not
}

const (
	// maxSlots bounds what a burst leaves behind, at about 2 KB each.
	maxSlots = 16_384
	// searched is how many slots a search looks at: usually all are in use, or
	// all are free.
	searched = 8
)

// take returns a free slot, or nil.
func (s *slots) take() *request {
	for {
		r, _ := s.cache.Get().(*request)
		if r == nil {
			return s.search()
		}
		if r.free.CompareAndSwap(true, false) {
			return r
		}
	}
}

// search finds what the collector made the pool forget.
func (s *slots) search() *request {
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
func (s *slots) admit(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.kept = !s.told && len(s.all) < s.most; r.kept {
		r.index = len(s.all)
		s.all = append(s.all, r)
	}
}

// put frees a slot; false means that it is not to live again.
func (s *slots) put(r *request) bool {
	if !r.kept || s.closed.Load() {
		return false
	}
	r.free.Store(true)
	s.cache.Put(r)
	return true
}

// tell gives every slot in the list a message, in this life or in the next.
func (s *slots) tell(message any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = true
	for _, r := range s.all {
		r.Tell(message)
	}
}

// drop forgets a slot for good.
func (s *slots) drop(r *request) {
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
func (s *slots) leave(door *poolDoor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.all {
		if !r.free.CompareAndSwap(true, false) {
			continue
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
			r.stop()
		}
	}
	s.all = nil
}
