// Package request is a request's journey, from Do to its single answer.
//
// The journey of one request:
//
//	request.go    one flow from top to bottom: read this first
//	life.go       what one call needs to know of itself, and how it begins and ends;
//	              clocks.go: how long its parts take
//	attempt.go    one try: signing, exchanging, settling
//	draft.go      what pre-processors work on; sense.go: what is refused at sight;
//	              blueprint.go: the bytes that every attempt starts from; weights.go: what
//	              it costs; target.go: where it goes; sites.go: what is known of where
//	              others went
//	answer.go     what an answer says about limits, and the end of a good one
//	failure.go    what its caller, and the log, are told of a bad one
//	redirect.go   where an answer points to
//	retry.go      what may be repeated, and how soon; repeat.go: what is kept of an
//	              answer that is, and what is known from then on
//	upload.go     a body that is read while it is sent; opening.go: whether there is
//	              one; stream.go: one that is received so, and show.go: how that is printed
//	body.go       a body that is sent from memory, and whose its reader is meanwhile;
//	              outside.go: who is in such a reader still
//	watch.go      the caller's context and the time of one attempt, watched during an
//	              exchange
//	accounts.go   who signs, by name, and how that changes; lane.go: the order of
//	              those that sign with a nonce
//	halted.go     how a halt meets it
//	trace.go      the hooks of net/http/httptrace; observers.go: what observers are told
//
// The actors:
//
//	slots.go      they live again and again; shard.go: where they rest between two
//	              lives; carrier.go: what they share; totals.go: what is counted
//
// A request that nobody's goroutine waits with, because it was submitted, or because very
// many wait already:
//
//	parked.go     its way through the same journey, without a slot while it waits;
//	              kept.go: what is kept of it meanwhile
//	handed.go     how a caller of Do has his go the same way
//	leaving.go    how it is told something, and leaves where it waits; resuming.go: how it
//	              goes on once it is answered, and ends
//	lender.go     the goroutines that are lent to those that go on; tenure.go: the
//	              context of such a time
//	agenda.go     their deadlines, with one timer for all; crowd.go: their contexts, and
//	              who is told of halts and of the engine's end
//
// Without sending anything:
//
//	outline.go    what Do would say of a request; rehearsal.go: what it would send
package request
