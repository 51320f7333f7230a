// Package wire speaks HTTP/1.1 on one socket we own.
//
//	conn.go limits.go errors.go       one exchange, its caps, its errors
//	socket*.go source.go records.go   the socket under it, and what TLS may have left
//	foreign.go detached.go turn.go    silence, and deadlines, of connections that are no socket of ours
//	contain.go                        panics in the caller's code
//	request.go upload.go trailer.go   what is written
//	relay.go                          what is written to a proxy that passes it on
//	head.go response.go keepalive.go  what is read, strictly
//	loose.go                          and otherwise, where that is allowed
//	payload.go coding.go stream.go    the body: framing, content coding, streamed
//	memory.go                         the memory that bodies are read into
//
// How a connection comes about is told in wire/dial, HTTP/2 in wire/h2. Both stand on this
// package, which knows neither. What it has for them: Socket with NewSocket, Detached, NewConn
// and NewRelayedConn, ProxyCredentials and ReadStatus for a proxy, Apart, Guard and Panicked
// for code of the caller's, and for HTTP/2 CheckCall, CheckTrailer, Limits, ContinueWait, Lent,
// AddCoding, Decoders, ReadCounted, ReadAll, IsPeerClosed, ByPeer and the errors of an
// exchange.
//
// A Conn has one owner at a time, who exchanges one request for one response,
// asks Reusable, and passes the connection on or closes it:
//
//	Exchange ─▶ request checked ─▶ socket silent? ─▶ written ─▶ head scanned ─▶ body read
//	            CallError          ErrStale          Sent       strictly        capped
//
// # What is promised
//
//   - A byte that was not asked for never becomes part of an answer: the socket
//     must be silent when a request is written, and a response must end exactly
//     where its framing says.
//   - A response whose framing can be read in two ways is an error, or, where that is
//     allowed, the last on its connection.
//   - Nothing is unbounded: head, interim responses, body, chunk framing and
//     trailers have caps.
//   - After any doubt (an error, a deadline, an abort, a byte too many) the
//     connection is not reusable.
//   - What became of the request is exact: see messages.Sent. The head of an answer
//     counts as soon as it is there, even while the request is being written.
//   - Code of the caller's that panics or ends its goroutine ends one exchange.
//   - An idle connection pins nothing of its last answer.
//   - A request that could be read in two ways is refused before its first byte.
//
// # System calls
//
// A Go socket read tries first, finds nothing, and waits. Right after a request
// was written that first try is always in vain. Here it comes before the write
// instead, where its finding nothing is the proof that the socket is silent:
//
//	net.Conn        write, read (nothing), wait, read
//	Conn.Exchange   read (nothing), write, wait, read
//
// Both run inside one syscall.RawConn.Read, whose poller is armed before the
// first try, so an answer that arrives at once is not missed.
package wire
