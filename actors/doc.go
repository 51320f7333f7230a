// Package actors says who starts whom: System, what the engine uses, and the
// supervisor, which starts, restarts and ends the actors. It is the only room
// that knows all the others, and hands each what it needs.
//
//	actors/request    the journey of one request; run by the caller's goroutine or a lent one
//	actors/throttler  when it may leave
//	actors/pool       over which connection, one pool for each origin by each way out
//	actors/timesync   what time it is for the server
//	actors/permit     leave for what is no request; run by the caller's goroutine
//	actors/ticket     the conversation that request, throttler and pool share
//	actors/mailbox    whose goroutine runs an actor
//
// They import none of one another but the last two, and say to each other the
// words of messages/protocol, whose table has them all. Most of what is said:
//
//	request ──▶ throttler ──▶ pool ──▶ request      the ticket's road
//	request ──▶ throttler, pool                     settled permits, returned connections
//	permit ──▶ throttler ──▶ permit                 leave for what is no request
//	request ──▶ supervisor                          a first call to an origin
//	request, throttler ──▶ timesync                 the server's time is needed
//	supervisor ──▶ all but requests                 the engine closes
//	pool ──▶ throttler                              the permit of a caller who left
//	pool ──▶ pool                                   one has room for a connection that another needs
//	pool ──▶ supervisor                             it is of no use any longer
//
// Throttler, pool and timesync never block: whoever posts to them runs them (see
// mailbox). What takes time, a dial or a sample of the server's clock, runs on a
// goroutine of its own, which is given copies and reports back once.
//
// # When an actor panics
//
// A request actor answers its caller with the panic, gives back what it holds
// and stops. The others are restarted with back-off. What must outlive the
// actor is a value that the supervisor keeps and that makes each incarnation
// (Throttler, Pool, Timesync); it is told which message the last one failed on.
// A restarted throttler knows every ticket and takes every window for full, a
// restarted pool knows every lease and closes what was idle.
package actors
