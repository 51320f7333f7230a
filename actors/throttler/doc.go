// Package throttler says when: which ticket may leave, by the ledger's
// arithmetic and in the order of its queue.
//
//	desk.go     the decisions, pure: ledger, book of tickets, what is known of
//	            the server's clock; `now` is an argument
//	try.go      a ticket that does not wait
//	waits.go    who is told that a ticket waits
//	heed.go     what answers say about limits, put before the ledger
//	halts.go    what is halted: out of the queue at once, and answered in batches
//	book.go     who waits and who is in flight
//	recover.go  how it goes on after a failure, with another ledger
//	board.go    where requests see what is paused, in the last moment
//	actor.go    the actor around it: one mailbox, one alarm
package throttler
