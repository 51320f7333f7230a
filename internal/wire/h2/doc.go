// Package h2 speaks HTTP/2 over net/http's ClientConn, one stream at a time.
//
//	conns.go      an origin's connections, and the places on them
//	frames.go     the connection under net/http: what it does not tell
//	sieve.go      what of the peer's frames net/http gets to see
//	bound.go      how many streams the peer allows, and who waits for one
//	open.go       which streams are open, by the frames in both directions
//	stream.go     one exchange at a place
//	faults.go     why one failed; which answers are none
//	request.go    what goes in
//	hooks.go      what a trace is told, on goroutines of net/http's
//	answer.go     what comes out: the body, its caps, its coding
//
// A pool leases connections, each to one request. What it is given here is a
// place: the right to one stream at a time of a connection that is shared. It
// holds its place until it is closed, whether or not a stream is running.
//
//	Conns ─┬─ conn (8 places) ─┬─ Stream ─▶ exchange, exchange, ...
//	       │                   └─ Stream ─▶ exchange
//	       └─ conn (full)      ─── Stream ...
//
// # What is promised
//
// The promises of wire.Conn hold for a Stream, and beside them:
//
//   - No more streams are open on a connection than its peer allows, and none is
//     begun after its goodbye. Whoever waits for one goes on once the peer allows it, and is told
//     otherwise that nothing was sent; but for the one whose stream was reserved already when the
//     peer lowered its bound, which is told that it may have been.
//   - Whatever a peer sends, nothing goes to the standard logger, no wait lasts
//     beyond its deadline, and what is remembered of it is bounded.
//   - A stream that is aborted or too late disturbs no other.
//   - An answer that is complete ends the exchange, whatever is left of the request.
//   - A connection is closed with the last of its places, a moment later if that
//     was lost to a deadline or an abort.
//   - Nothing the caller's code does, on whatever goroutine, ends the process or
//     leaves anybody waiting.
//   - A body in the caller's memory is not read once the exchange is over.
package h2
