// Package request is a request's journey, from Do to its single answer.
//
//	request.go    the journey, one flow from top to bottom: read this first
//	life.go       what one call needs to know of itself, and how it begins and ends
//	attempt.go    one try: signing, exchanging, settling
//	blueprint.go  the bytes that every attempt starts from; target.go: where they go;
//	              sites.go: what is known of where others went
//	answer.go     what an answer says about limits, and the end of a good one
//	failure.go    what its caller, and the log, are told of a bad one
//	redirect.go   where an answer points to
//	retry.go      what may be repeated, and how soon; repeat.go: what is kept of an
//	              answer that is, and what is known from then on
//	upload.go     a body that is read while it is sent; opening.go: whether there is
//	              one; stream.go: one that is received so
//	watch.go      the caller's context and the time of one attempt, watched during an
//	              exchange
//	accounts.go   who signs, by name, and how that changes; lane.go: the order of
//	              those that sign with a nonce
//	trace.go      the hooks of net/http/httptrace
//	body.go       a body that is sent from memory, and whose its reader is meanwhile;
//	              outside.go: who is in such a reader still
//	slots.go      the actors, which live again and again; shard.go: where they rest
//	              between two lives; carrier.go: what they share
package request
