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
// Whoever holds the ticket may write to it: the request until AcquirePermit,
// then the throttler, then the pool, and the request again from LeaseGranted
// or TicketRefused to SettlePermit, from where it is the throttler's until it
// is closed. Each has a view of its own, which the others do not touch. Only the
// state word is shared: it decides between a grant and a cancellation that cross
// on the way.
//
// What a wait for a connection touches stands together: the ticket of one in a
// crowd is in no cache.
type Ticket struct {
	state atomic.Uint32 // written by whoever answers, and by the request
	// Errand is the request's remark that the engine sends it for itself: no halt selects it.
	Errand bool
	// TellsQueue is its wish to be told PermitQueued, before it is sent off.
	TellsQueue bool
	Told       bool // Outcome, Signals or Heard hold something: the next life clears them. The request's

	// Since is when it came into the queue that it is in, the throttler's or the pool's: of
	// whoever has it.
	Since time.Duration

	ForPool
	Asked
	Answered
	ForThrottler

	Permit throttle.Permit // what the ledger is asked for, and its own book-keeping
	Report
}

// Asked is what the request says when it sends the ticket off. Throttler and
// pool read it.
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

// ForPool is where the pool has the ticket.
type ForPool struct {
	Turn   uint64 // its place in the queue, plus one
	Parked bool   // it waits without its permit, which went back until there is a connection
}

// ForThrottler is where the throttler's book has the ticket.
type ForThrottler struct {
	Place  int32  // in the book, plus one
	Passed bool   // handed on to the pool
	Counts bool   // among the crowds, for it is queued
	Serial uint64 // in which order tickets came

	// Charged is what the permit was charged in when it was handed on. The request
	// reads it, for the permit itself is the ledger's.
	Charged throttle.Charged
}

// Answered is what LeaseGranted or TicketRefused bring.
type Answered struct {
	Lease   *Lease         // with LeaseGranted
	Refused error          // with TicketRefused
	Stage   messages.Stage // where it was refused

	// Limited is the request's remark that the throttler has to grant the
	// ticket, and to be given it back: the pool reads it when the caller left.
	Limited bool

	// Queued is how long it was with the throttler until it was granted, by the throttler's
	// own instants: the request tells by it which part of its wait was for a permit.
	Queued time.Duration
	At     time.Duration // when the pool granted it, with LeaseGranted
}

// Report is what the request says with SettlePermit.
type Report struct {
	Outcome throttle.Outcome
	// Signals are what the answer said about limits; nil, or empty, if it said nothing. Most
	// answers say nothing, and a ticket of one in a crowd has no room for them.
	Signals *feedback.Feedback
	Heard   chan<- struct{} // closed once what Signals pauses is posted; nil if nobody waits for that
}

// Say writes into the report what an answer said.
func (t *Ticket) Say(said feedback.Feedback) {
	if t.Signals == nil {
		t.Signals = new(feedback.Feedback)
	}
	*t.Signals, t.Told = said, true
}

// Clear makes the report that of nothing said. It keeps the room for signals.
func (t *Ticket) Clear() {
	kept := t.Signals
	if kept != nil {
		*kept = feedback.Feedback{}
	}
	t.Report, t.Told = Report{Signals: kept}, false
}

const (
	waiting uint32 = iota
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

// Answer decides that the waiting ticket is granted or refused; false means
// that the caller left before.
func (t *Ticket) Answer() bool { return t.state.CompareAndSwap(waiting, granted) }

// Cancel decides that the caller leaves; false means that an answer is on its
// way, and must be taken.
func (t *Ticket) Cancel() bool { return t.state.CompareAndSwap(waiting, cancelled) }

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
