package engine

import (
	"context"
	"time"
)

// Observer is told what becomes of requests, while it happens: for metrics, traces and
// logs of the user's own. Every hook is called on the goroutine of the request that it is
// about, never on an actor's turn, and while that request holds what it holds: a hook that is
// slow makes its own request slow, and no other. Each must be safe for concurrent use. A
// panic in one is contained and logged. Nil hooks are not called, and cost nothing.
//
// What hooks are handed is theirs to read until they return, and never has a secret, nor a
// URL with its query; keys and accounts are in the *Request, which is the caller's own.
//
// Package telemetry has one for OpenTelemetry.
type Observer struct {
	// Begin is called when a request begins its journey, before it is admitted. The context
	// that it returns takes the place of the caller's from here on, for processors,
	// authenticators and the hooks below; it must be derived from ctx. Nil, or a nil
	// context, leaves the caller's.
	Begin func(ctx context.Context, req *Request) context.Context
	// Wait is called after each wait for a permit and a connection, also for one that came
	// to nothing.
	Wait func(ctx context.Context, w Waited)
	// Attempt is called after each exchange that was tried, and before what follows it:
	// another attempt, a pause, the end.
	Attempt func(ctx context.Context, a Attempted)
	// End is called once for every Begin, with the answer or the error, before the
	// caller has either. With Request.Stream it is called when the head of the answer is
	// there.
	End func(ctx context.Context, d Ended)
}

// Waited is a wait of a request for a permit and for a connection.
type Waited struct {
	Request *Request
	LimitID string        // that it was charged to; empty without a limit
	Queued  time.Duration // until the permit was there, or the wait was over without it
	Leased  time.Duration // from then until the connection was there; zero without one
	Err     error         // why it came to nothing; nil if it did not
}

// Attempted is one exchange of a request.
type Attempted struct {
	Request    *Request
	Origin     Origin
	Number     int  // 1 for the first
	Reused     bool // its connection had been used before
	SentAt     time.Time
	Took       time.Duration // from the first byte out to the last byte in, or to the failure
	StatusCode int           // zero without an answer
	Sent       Sent
	Paused     time.Duration // for which its answer stops whatever is in its scope; zero for none
	Again      bool          // another attempt follows
	Err        error         // nil with an answer
}

// Ended is a request that has ended.
type Ended struct {
	Request  *Request
	LimitID  string
	Origin   Origin    // zero if it got not so far
	Response *Response // nil with Err; not to be changed
	Err      error     // an *Error; nil with Response
	Timing   Timing
	Attempts int
}

// Timing is where a request's time went, attempt by attempt added up: each is how long it
// was at that. What is left of Total is the engine's own time, and pauses.
type Timing struct {
	Total     time.Duration // from its beginning to its end, or to the head of a streamed answer
	Admitted  time.Duration // waited for a credit of Config.Admission
	Queued    time.Duration // waited for permits: limits, pauses of scopes, who goes before
	Leased    time.Duration // waited for connections, dials included
	Signed    time.Duration // in authenticators, lanes of nonces included
	FirstByte time.Duration // from the first byte out to the head of the answer
	Body      time.Duration // from there to the end of the body; zero for a stream
	Paused    time.Duration // between attempts
}
