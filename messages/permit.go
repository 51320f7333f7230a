package messages

import (
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Recipient is an actor that can be told something. Tell never blocks.
type Recipient interface{ Tell(message any) }

// Ticket is one attempt's way through throttler and pool: a single pointer
// that travels instead of envelopes, so that both waits cost one wake-up.
//
//	request ── AcquirePermit ──▶ throttler ── AcquireLease ──▶ pool ── LeaseGranted ──▶ request
//	request ◀── TicketRefused ── throttler | pool      instead of LeaseGranted
//	request ── AbandonPermit ──▶ throttler ── AbandonLease ──▶ pool      the caller left
//	request ── SettlePermit ──▶ throttler      exactly once after LeaseGranted
//
// Whoever holds the ticket owns its fields: the request until AcquirePermit,
// then the throttler, then the pool, and the request again from LeaseGranted
// or TicketRefused to SettlePermit. Only the state word is shared: it decides
// between a grant and a cancellation that cross on the way.
type Ticket struct {
	Permit throttle.Permit // what the ledger is asked for, and its own book-keeping
	Owner  Recipient       // the request actor
	Pool   Recipient       // where a granted ticket goes on to

	Limited  bool          // the throttler has to grant it, and to be given it back
	Deadline time.Duration // as Permit's, which only the throttler may read in flight

	Trace *httptrace.ClientTrace // told of the dial this wait causes; nil tells nobody

	Lease   *Lease            // set by the pool before LeaseGranted
	Refused error             // set before TicketRefused
	Stage   Stage             // where it was refused
	Outcome throttle.Outcome  // set by the request before SettlePermit, ...
	Signals feedback.Feedback // ... with what the answer said about limits

	Passed bool   // the throttler's: handed on to the pool, and in flight
	Place  int    // the throttler's: where its book has the ticket, plus one
	Serial uint64 // the throttler's: in which order tickets came
	Queue  Links  // the pool's list of waiting tickets

	state atomic.Uint32
}

// Links chain a ticket into the list of a pool.
type Links struct{ Prev, Next *Ticket }

const (
	ticketWaiting uint32 = iota
	ticketGranted
	ticketCancelled
	ticketSettled
)

// Reopen makes a ticket wait again, for its first use or for another lease
// under the same permit. Only the holder may call it.
func (t *Ticket) Reopen() { t.state.Store(ticketWaiting) }

// Answer decides that the waiting ticket is granted or refused; false means
// that the caller left before.
func (t *Ticket) Answer() bool { return t.state.CompareAndSwap(ticketWaiting, ticketGranted) }

// Cancel decides that the caller leaves; false means that an answer is on its
// way, and must be taken.
func (t *Ticket) Cancel() bool { return t.state.CompareAndSwap(ticketWaiting, ticketCancelled) }

// Cancelled reports whether the caller has left.
func (t *Ticket) Cancelled() bool { return t.state.Load() == ticketCancelled }

// Close marks the ticket as settled: no actor holds it any more.
func (t *Ticket) Close() { t.state.Store(ticketSettled) }

// Closed reports whether the ticket is settled, and so may be used anew.
func (t *Ticket) Closed() bool { return t.state.Load() == ticketSettled }

// The words about permits. A struct of one pointer is sent without allocation.
type (
	// AcquirePermit asks the throttler for leave to send.
	AcquirePermit struct{ *Ticket }
	// TicketRefused answers AcquirePermit or AcquireLease: Refused says why.
	// Nothing is held any more.
	TicketRefused struct{ *Ticket }
	// AbandonPermit says that the caller left before an answer came. It is not
	// answered; whatever was held is given back.
	AbandonPermit struct{ *Ticket }
	// SettlePermit tells what became of a granted permit: Outcome, Signals.
	SettlePermit struct{ *Ticket }
)

// ReplaceLimits swaps the whole table of limits; Done receives the verdict.
type ReplaceLimits struct {
	Limits []throttle.Limit
	Done   chan<- error
}

// AdjustLimit adds Delta to what a limit counts as used, as a stream or a
// header may report; Done receives an error for an unknown limit.
type AdjustLimit struct {
	ID, Key string
	Delta   int64
	Done    chan<- error
}

// DescribeLimits asks for a picture of the ledger.
type DescribeLimits struct{ Done chan<- throttle.Snapshot }

// CloseThrottler refuses everything queued and everything to come.
type CloseThrottler struct{}
