package engine

import (
	"cmp"
	"context"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Observer is told what becomes of requests, while it happens: Begin, Wait, Attempt, End,
// each a function that may be nil. Hooks run on a goroutine of the request that they are
// about, and hold up that one alone. Every request that has had Begin has End, also one that
// was refused before its journey began.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Observer
type Observer = messages.Observer

// Waited is a wait of a request for a permit and for a connection, as Observer.Wait is told.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Waited
type Waited = messages.Waited

// Attempted is one exchange of a request, as Observer.Attempt is told.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Attempted
type Attempted = messages.Attempted

// Ended is a request that has ended, as Observer.End is told.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Ended
type Ended = messages.Ended

// Timing is where a request's time went: Response.Timing has it, and Ended.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Timing
type Timing = messages.Timing

type errandKey struct{}

// Errand reports whether a context that a hook of an Observer or a processor is given is
// that of a request which the engine sends for itself: a look at the server's clock by a
// TimeEndpoint. It takes permits and connections as any other, and has no caller.
func Errand(ctx context.Context) bool {
	errand, _ := ctx.Value(errandKey{}).(bool)
	return errand
}

// observed carries a request, and has the observers told of it. It is apart, so that others
// need no room on their stack for what only this needs.
//
//go:noinline
func (e *Engine) observed(ctx context.Context, req *Request, terms *request.Terms) (*Response, *request.Stream, error) {
	return e.carryObserved(ctx, req, terms, terms.Errand)
}

// carryObserved has the observers told of a request that is carried. Its life tells of its
// end; if that does not begin, this does. One that is free needs no credit.
func (e *Engine) carryObserved(ctx context.Context, req *Request, terms *request.Terms, free bool) (response *Response, stream *request.Stream, err error) {
	if terms.Begun == 0 && !terms.Waited {
		terms.Begun = e.system.Now()
	}
	terms.Watch = e.observers.Watch()
	defer e.endUncarried(req, terms, &err)
	e.observers.Begin(ctx, req, terms.Watch)
	if free {
		return e.system.Carry(ctx, req, terms)
	}
	return e.carry(ctx, req, terms)
}

// endUncarried tells of the end of a request whose life did not begin. It is deferred: code
// of the caller's may have ended the goroutine, and then there is no error.
func (e *Engine) endUncarried(req *Request, terms *request.Terms, err *error) {
	defer e.observers.Forget(terms.Watch)
	if terms.Watch.Carried {
		return
	}
	ended := Ended{Request: req, LimitID: e.observers.LimitOf(cmp.Or(req.LimitID, terms.LimitID), false), Err: *err}
	if ended.Err == nil { // code of the caller's is ending the goroutine, and nobody else counts it
		ended.Err = e.turnAway(req, wire.Panicked(Admitting, nil))
	}
	ended.Timing.Total = e.system.Now() - terms.Begun
	if terms.Waited {
		ended.Timing.Admitted = ended.Timing.Total
	}
	e.observers.End(terms.Watch, &ended)
}
