// Package throttle decides when a request may leave, so that a server's rate
// limits are used fully and never broken. It is arithmetic about time alone:
// no clock, no goroutine, no lock. `now` is an argument everywhere.
//
//	l, err := throttle.New([]throttle.Limit{
//		{ID: "weight", Window: throttle.Fixed, Quota: 6000, Per: time.Minute},
//		{ID: "orders", Quota: 100, Per: 10 * time.Second},
//		{ID: "order", Linked: []throttle.Link{{ID: "weight"}, {ID: "orders"}}},
//	}, throttle.Options{})
//
//	p := &throttle.Permit{Limit: "order"}
//	err = l.Acquire(now, p)              // p is Granted, or Queued
//	p = l.Next(now)                      // a queued permit that has its answer, or nil
//	at, ok := l.Wake()                   // when to call Next if nothing happens before
//	l.Settle(now, p, throttle.Outcome{}) // when the answer to the request is in
//
// # Why it is never over
//
// The server counts a request when it arrives, somewhere between the grant and
// the answer. Each window keeps a permit for as long as some arrival in that
// span could still matter; the argument stands above each window type. It
// covers every delay, reordering and loss, under three assumptions: nobody else
// spends from the quota, the clocks' rates differ by no more than
// Options.ClockRate, and a request that was given up arrives within
// Limit.MaxDelay or not at all, or within Limit.CloseDelay if the peer closed.
//
// # What stands above limits
//
// A server that refuses pauses a Scope: limits that pause together, at one
// origin. Pause, Resume, Refused and Paused are about those. A permit that was
// granted and cannot be used yet is given back with its rank by Park and Requeue.
//
// # How much of a quota counts
//
// Limit.Share and SafetyMargin, which SetShare changes at run time, take a part of the
// quota; Announce replaces the quota of one meter by what the server says it is, as far
// as Limit.Adopt lets it. Where a Lifetime budget is spent, Limit.Fallback takes over.
//
// # Which window
//
//	not documented, or "per second", "rolling"      Sliding
//	"resets every minute", at round times           Fixed, and call SetClock
//	"a day, Pacific time", "a calendar month"       Fixed with Location, with Months
//	"from your first request"                       FixedFromFirst
//	token bucket, credits, decaying counter, GCRA   Leaky; for GCRA with emission interval T
//	                                                and tolerance D: Quota 1 per T, Burst 1 + D/T
//	a counter that falls once a second              Leaky with Tick
//	"at most n open requests"                       Concurrency
//	a budget that does not come back                Lifetime; with Fallback if there is
//	                                                a slower pace once it is spent
//
// # Glossary
//
//	permit    leave to send one request
//	quota     what a limit admits
//	parts     whose request it is: account, key (a symbol, say) and egress; see Limit.By
//	meter     a quota in use: one limit, or its instance for some parts
//	window    the arithmetic by which a meter counts
//	in flight granted and not settled
//	lane      the queue of one priority on one set of limits; first in, first out
//	rank      where a permit stands among all that wait
//	origin    one server, as far as pauses go
//	scope     limits that pause together, at one origin; of one account or egress, if told apart
//	fallback  the limit that is charged in place of a budget that is spent
//	cycle     how long what is granted takes to be room again
//	lost      given up without an answer, and perhaps still to arrive
package throttle
