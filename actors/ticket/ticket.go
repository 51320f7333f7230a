package ticket

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Ticket is one attempt's way through throttler and pool: a single pointer
// that travels instead of envelopes, so that both waits cost one wake-up.
//
// The ticket is held by the request until AcquirePermit, then by the throttler, then
// by the pool, and by the request again from LeaseGranted or TicketRefused to
// SettlePermit, from where it is the throttler's until it is closed. A permit without
// a request has its bearer where a request would be, and where the pool would be.
//
// Each field says who writes it, and when. Nearly all are written by who holds the
// ticket, and by nobody else meanwhile. The throttler writes to its own fields and to
// the permit while others hold the ticket as well: of those they read Charged, and what
// the request has written into the permit. Only the state word is written by two at
// once: it decides between a grant and a cancellation that cross on the way. Whoever the
// request gives leave to may ask it whether the ticket queues.
//
// What a wait for a connection touches stands together: the ticket of one in a
// crowd is in no cache.
type Ticket struct {
	state atomic.Uint32 // written by whoever answers, by the throttler, and by the request
	// Errand says that the engine sends the request for itself: no halt selects it.
	// Written by the request before it sends the ticket off.
	Errand bool
	// TellsQueue is the wish to be told PermitQueued, and to know from Queues for how long that
	// is so. Written by the request before it sends the ticket off.
	TellsQueue bool
	// Told says that Said holds something, which the next life clears. Written by the request,
	// with its Report and when it clears that.
	Told bool
	// Fate is what became of the permit. Written by whoever settles it, before SettlePermit:
	// mostly the request, and, if its caller left before the answer, who held the ticket then.
	Fate throttle.Fate

	// Since is when the ticket came into the queue that it is in. Written by the throttler
	// whenever it is asked for the permit, and by the pool when the ticket has to wait
	// there. The request reads it when it is refused.
	Since time.Duration

	ForPool
	Asked
	Answered
	ForThrottler

	// Permit is what the ledger is asked for, and its own book-keeping. The former is
	// written by the request before it sends the ticket off; Owner and the latter by the throttler,
	// from then on until the ticket is closed.
	Permit throttle.Permit

	// Said is what an answer said; nil, or of nothing, if it said nothing. Most answers say
	// nothing, and a ticket of one in a crowd has no room for what they might. Written with Fate.
	Said *Said
}

// Asked is what the request says: it writes it before it sends the ticket off, and may
// change it while it holds the ticket. Throttler and pool read it.
type Asked struct {
	Owner    protocol.Recipient     // the request actor
	Pool     protocol.Recipient     // where a granted ticket goes on to; its owner again, for a permit without a request
	Deadline time.Duration          // on the ledger's clock, zero means never; Permit has it too, but in flight only the throttler may read that
	Trace    *httptrace.ClientTrace // told of the dial the ticket causes; nil tells nobody
	Values   context.Context        // whose values the dial is made with that the ticket causes; nil has none
	Priority messages.Priority      // who goes first to a connection; Permit has it too
	Method   string                 // of the request, for halts that name it and for who asks what waits; empty for a permit without one
	Path     string                 // the same, as it is sent
}

// ForPool is where the pool has the ticket. Written by the pool alone, while it holds the
// ticket.
type ForPool struct {
	Turn uint64 // its place in the queue, plus one
}

// ForThrottler is where the throttler's book has the ticket. Written by the throttler alone,
// whoever holds the ticket.
type ForThrottler struct {
	Place  int32  // in the book, plus one
	Passed bool   // handed on to the pool
	Counts bool   // among the crowds, for it is queued
	Serial uint64 // in which order tickets came

	// Charged is what the permit was charged in when it was handed on, and is written just
	// before that. Pool and request read it, for the permit itself is the ledger's.
	Charged throttle.Charged
}

// Answered is what LeaseGranted or TicketRefused bring, and what the pool is to know of the
// permit.
type Answered struct {
	// Lease comes with LeaseGranted. Written by the pool when it grants; the request takes
	// it out.
	Lease *Lease
	// Refused and Stage come with TicketRefused. Written by whoever refuses, the throttler
	// or the pool.
	Refused error
	Stage   messages.Stage // where it was refused

	// Limited says that the throttler has to grant the ticket, and to be given it back: the
	// pool reads it when the caller left. Written by the request before it sends the ticket
	// off.
	Limited bool
	// Parked says that it waits without its permit, which went back until there is a
	// connection. Written by the pool alone, while it holds the ticket.
	Parked bool

	// memory is since when the permit is granted and still to be remembered, in milliseconds of the
	// ledger's clock, which begin anew after some weeks; zero if it is not. Written by the throttler
	// and by whoever then hands the ticket on; anybody may read it.
	memory atomic.Uint32

	// Queued is how long it was with the throttler until it was granted, by the throttler's
	// own instants: the request tells by it which part of its wait was for a permit. Written
	// by Reopen, and by the throttler, which adds to it whenever it grants the permit.
	Queued time.Duration
	At     time.Duration // when the pool granted it, with LeaseGranted; written by the pool then
}

// Said is what an answer said, beside what became of the permit.
type Said struct {
	Outcome throttle.Outcome // but for Fate and Refused
	Signals feedback.Feedback
	Heard   chan<- struct{} // closed once what Signals pauses is posted; nil if nobody waits for that
}

// Say writes down what an answer said.
func (t *Ticket) Say(said feedback.Feedback) {
	s := t.room()
	s.Signals, s.Outcome.Costs = said, said.Costs
	if at := said.ServerTime; !at.IsZero() {
		s.Outcome.ServerTime, s.Outcome.Resolution = time.Duration(at.UnixNano()), said.Resolution
	}
}

// Conclude writes down what became of the permit.
func (t *Ticket) Conclude(outcome throttle.Outcome) {
	t.Fate = outcome.Fate
	if len(outcome.Costs) > 0 || outcome.ServerTime != 0 {
		t.room().Outcome = outcome
	}
}

// room makes room for what is said.
func (t *Ticket) room() *Said {
	if t.Said == nil {
		t.Said = new(Said)
	}
	t.Told = true
	return t.Said
}

// Outcome is what became of the permit, and what the answer said of it.
func (t *Ticket) Outcome() throttle.Outcome {
	if !t.Told {
		return throttle.Outcome{Fate: t.Fate}
	}
	outcome := t.Said.Outcome
	outcome.Fate, outcome.Refused = t.Fate, t.Said.Signals.Refused
	return outcome
}

// Clear forgets what was said. It keeps the room for it.
func (t *Ticket) Clear() {
	if t.Said != nil {
		*t.Said = Said{}
	}
	t.Fate, t.Told = 0, false
}

const (
	waiting uint32 = iota
	queued         // it waits, and that for its permit
	granted
	cancelled
	settled
)

// Reopen makes a ticket wait again, for its first use or for another lease
// under the same permit. Only the holder may call it.
func (t *Ticket) Reopen() {
	t.Queued = 0
	t.state.Store(waiting)
}

// Rest takes out of a ticket what its request and the answers to it have said. Whoever asked for
// Unremembered may be doing so: of what it reads nothing is written as a plain value.
func (t *Ticket) Rest() {
	t.Asked = Asked{}
	t.Lease, t.Refused, t.Stage, t.Limited, t.Parked, t.Queued, t.At = nil, nil, 0, false, false, 0, 0
	t.memory.Store(0)
}

// Queue says that the throttler keeps the waiting ticket, whose owner wants to know, in its
// queue.
func (t *Ticket) Queue() { t.state.CompareAndSwap(waiting, queued) }

// Dequeue says that it has its permit: the throttler hands it on.
func (t *Ticket) Dequeue() { t.state.CompareAndSwap(queued, waiting) }

// Queues reports whether the ticket is in the throttler's queue, if its owner wanted to know.
// Whatever has been granted when the throttler answers does not queue from then on. Anybody may
// call it.
func (t *Ticket) Queues() bool { return t.state.Load() == queued }

// AwaitMemory says that the permit, which was granted at an instant, is still to be remembered.
// Remembered follows, before anybody else is told of the ticket.
func (t *Ticket) AwaitMemory(granted time.Duration) { t.memory.Store(max(1, milliseconds(granted))) }

// Remembered says that it is, or that nobody is to wait for that any longer.
func (t *Ticket) Remembered() { t.memory.Store(0) }

// Unremembered is for how long, until now, the permit has been granted and only the memory been
// waited for; zero if that is not so. Anybody may call it.
func (t *Ticket) Unremembered(now time.Duration) time.Duration {
	since := t.memory.Load()
	if since == 0 {
		return 0
	}
	return max(1, time.Duration(int32(milliseconds(now)-since))*time.Millisecond) // also where they began anew between
}

func milliseconds(at time.Duration) uint32 { return uint32(at / time.Millisecond) }

// Answer decides that the waiting ticket is granted or refused; false means
// that the caller left before.
func (t *Ticket) Answer() bool { return t.endWait(granted) }

// Cancel decides that the caller leaves; false means that an answer is on its
// way, and must be taken.
func (t *Ticket) Cancel() bool { return t.endWait(cancelled) }

// endWait ends the wait once, in whatever queue it is by then.
func (t *Ticket) endWait(as uint32) bool {
	for s := t.state.Load(); s == waiting || s == queued; s = t.state.Load() {
		if t.state.CompareAndSwap(s, as) {
			return true
		}
	}
	return false
}

// Close marks the ticket as settled: no actor holds it any more.
func (t *Ticket) Close() { t.state.Store(settled) }

// Left reports whether the caller has left.
func (t *Ticket) Left() bool { return t.state.Load() == cancelled }

// Closed reports whether the ticket is settled, and so may be used anew.
func (t *Ticket) Closed() bool { return t.state.Load() == settled }

// Grant answers the ticket with a lease, at an instant. False means that the caller has left,
// and nobody was told.
func (t *Ticket) Grant(now time.Duration, l *Lease) bool {
	owner := t.Owner // once answered, the ticket is the request's, which may use it anew
	t.Lease, t.At = l, now
	if !t.Answer() {
		return false
	}
	owner.Tell(LeaseGranted{t})
	return true
}

// Refuse answers the ticket with an error. False means that the caller has left,
// and nobody was told.
func (t *Ticket) Refuse(stage messages.Stage, err error) bool {
	owner := t.Owner
	t.Refused, t.Stage = err, stage
	if !t.Answer() {
		return false
	}
	owner.Tell(TicketRefused{t})
	return true
}
