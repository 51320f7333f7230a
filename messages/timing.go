package messages

import "time"

// Timing is where a request's time went. Of a request that was attempted more than once,
// the times of all attempts are added up, those of answers that nobody was given included.
//
// What a step takes that has nothing to wait for is not measured: a permit and a connection
// that are there at once are zero, and so is a body that came with its head. A clock is read
// where the engine needs its instant anyway, and so each value may be off by what a
// goroutine takes to wake up: some microseconds. What is left of Total is neither waiting
// nor the server's: pre- and post-processors, reading the body that is to be sent, hooks,
// and the engine's own few microseconds.
type Timing struct {
	// Total is from the beginning of the request to the last byte of its answer, to the
	// head of one that is streamed, or to the return of the last post-processor if there are
	// any; of a request without an answer, to its error.
	Total    time.Duration
	Admitted time.Duration // waited for a credit of Config.Admission
	Queued   time.Duration // waited for permits: limits, pauses of scopes, and whoever goes before
	Leased   time.Duration // waited for connections, dials included
	// Signed is what authenticators took, with the wait for their turn where nonces keep an
	// order, and for the first look at the server's clock. It is zero for a request that is
	// not signed.
	Signed time.Duration
	// FirstByte is from the first byte out to the head of the answer, the request's body
	// included, and for an exchange without an answer to its failure.
	FirstByte time.Duration
	Body      time.Duration // from the head of the answer to the end of its body; zero for a stream
	Paused    time.Duration // between attempts, and for a new look at the server's clock
}

// Rest is what is left of Total besides the waits, the signing, the exchanges and the
// pauses: the time of processors and of hooks, and the engine's own. It is never below zero.
func (t Timing) Rest() time.Duration {
	return max(0, t.Total-t.Admitted-t.Queued-t.Leased-t.Signed-t.FirstByte-t.Body-t.Paused)
}
