package messages

import (
	"context"
	"time"
)

// Observer is told what becomes of requests, while it happens: for metrics, traces and
// logs of the user's own. Every hook is called on a goroutine of the request that it is
// about, never on an actor's turn, and while that request holds what it holds: a hook that is
// slow makes its own request slow, and keeps its connection and its permit from others. Of
// requests that end together where they wait, without a goroutine, 256 are told at once. Each
// must be safe for concurrent use. A panic in one is contained, and logged once for each kind
// of hook; a hook that ends its goroutine (runtime.Goexit) ends its request. Nil hooks are
// not called, and cost nothing.
//
// What hooks are handed is theirs to read until they return, and never has a secret, nor a
// URL with its query; keys and accounts are in the *Request, which is the caller's own.
//
// The engine's own looks at the server's clock are requests too, and are told of: see
// engine.Errand. Permits without a request (Engine.Acquire) and rehearsals (Engine.DryRun)
// are not.
type Observer struct {
	// Begin is called when a request begins its journey, before it is admitted. The context
	// that it returns takes the place of the caller's from here on, for processors, the hooks
	// of net/http/httptrace, the values that a dial may look up, and the hooks below. It should
	// be derived from ctx. What counts of it are its values: the request ends with the caller's
	// own context, whatever the end of this one, and also if it is not derived from ctx. Nil,
	// or a nil context, leaves the caller's.
	Begin func(ctx context.Context, req *Request) context.Context
	// Wait is called after each wait for a permit and a connection, also for one that came
	// to nothing, and for one that took no time.
	Wait func(ctx context.Context, w Waited)
	// Attempt is called after each exchange that was tried, and before what follows it:
	// another attempt, a pause, the end. An exchange on a connection that had died while it was
	// unused, of which nothing was sent, is none, as for Response.Attempts.
	Attempt func(ctx context.Context, a Attempted)
	// End is called once for every Begin, with the answer or the error, before the
	// caller has either. With Request.Stream it is called when the head of the answer is
	// there. It is called as well for a request whose goroutine was ended by code of the
	// caller's: its error is a *PanicError then.
	End func(ctx context.Context, d Ended)
}

// Waited is a wait of a request for a permit and for a connection.
type Waited struct {
	Request *Request
	// LimitID is what it waited for: a limit of the table, or of the one that Engine.ReplaceLimits
	// has replaced last. It is empty without one, and if neither has the name that the request gives.
	LimitID string
	// Queued is until the permit was there, or the wait was over without it; if the connection
	// came late and the permit was given to others meanwhile, the second wait for it as well.
	Queued time.Duration
	// Leased is from then until the connection was there, or the wait was over without it. A
	// wait that the caller's cancellation ends counts as Queued, wherever it was.
	Leased time.Duration
	Err    error // why it came to nothing; nil if it did not
	Stage  Stage // where that was: Throttled for the permit, Leasing for the connection; of use with Err alone
}

// Attempted is one exchange of a request.
type Attempted struct {
	Request    *Request
	Method     string // that was sent: a pre-processor, or a redirect, may have changed the Request's
	Origin     Origin
	Number     int  // 1 for the first
	Reused     bool // its connection had been used before, or is shared with others
	SentAt     time.Time
	Took       time.Duration // from the first byte out to the last byte in, to the head of a stream, or to the failure
	StatusCode int           // zero without an answer
	// ProtoMajor and ProtoMinor are those of the answer; zero without one.
	ProtoMajor, ProtoMinor uint8
	Sent                   Sent // of this attempt
	// Refused says that the answer is a refusal by one of the server's limits, whose scope
	// pauses. Paused is for how long nothing is to be sent, as Config.Feedback understands the
	// answer: where that says nothing of a time, feedback.RetryAfter has one of its own. Zero
	// leaves it to the engine.
	Refused bool
	Paused  time.Duration
	Again   bool  // another attempt is meant to follow, which may yet come to nothing
	Err     error // nil with a whole answer
}

// Ended is a request that has ended.
type Ended struct {
	Request  *Request
	LimitID  string    // that it was charged to, or would have been, as for Waited; empty as well if a pre-processor refused it
	Origin   Origin    // of the last attempt; zero if it got not so far
	Response *Response // nil with Err; not to be changed
	Err      error     // an *Error; nil with Response
	Timing   Timing
	Attempts int
}

// Outcome is what is known of what the request has done at the server.
func (e Ended) Outcome() Outcome {
	if e.Response == nil {
		return OutcomeOf(e.Err)
	}
	return e.Response.Outcome()
}
