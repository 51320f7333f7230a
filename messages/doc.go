// Package messages holds the words the actors say to each other, and the two
// that a caller says to the engine: Request and Response.
//
// One file is one conversation:
//
//	request.go   caller  ── Request ──▶ engine ── Response | Error ──▶ caller
//	call.go      request ── Call ──▶ authenticator, connection
//	permit.go    request ── AcquirePermit, SettlePermit, AbandonPermit ──▶ throttler
//	lease.go     throttler ── AcquireLease ──▶ pool ── LeaseGranted | LeaseRefused ──▶ request
//	time.go      request ── AwaitTime ──▶ timesync ── TimeReady ──▶ request
//
// # Glossary
//
//	permit    leave to send one request, granted by the throttler
//	lease     the sole use of one connection, granted by the pool of its origin
//	origin    scheme, host and port: what a connection leads to
//	call      a request in its final bytes, as one attempt sends it
//	in flight between the grant of a permit and its settlement
//	settle    tell the throttler what became of a permit
//
// Messages are plain data. Those on the hot path are recycled pointers; their
// doc names the owner at each step. The package imports no actor library.
package messages
