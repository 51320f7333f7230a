// Package actors decides what next: who waits, who sends, who tries again.
//
//	supervisor ── starts and restarts ──▶ throttler, timesync, a pool per origin
//	System.Do  ── begins ──▶ a request's life, one per call, run by the caller's goroutine
//
//	request ──▶ throttler ──▶ pool ──▶ request      (the ticket's road)
//	request ──▶ supervisor                          (a first call to an origin)
//	request ──▶ timesync                            (before the first sample, after a refused timestamp)
//	throttler ──▶ timesync                          (a limit needs the server's clock)
//	throttler, pool, timesync ──▶ own goroutines for timers, dials and samples,
//	                              each of which reports back once
//
// A request talks to everyone; nobody else talks beyond that. Throttler, pool and timesync never block
// and never call user code: whoever posts to them runs them (see mailbox.go).
//
// # When an actor panics
//
// A request actor answers its caller with the panic, gives back what it holds
// and stops. The others are restarted with back-off; what must outlive the
// struct lives in a book that the supervisor keeps for them: a restarted
// throttler knows every ticket and takes every window for full, a restarted
// pool knows every lease and closes what was idle.
package actors
