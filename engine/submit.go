package engine

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Pending is a request that Engine.Submit sent on its journey. All methods are safe for
// concurrent use.
type Pending struct {
	engine  *Engine // nil if it went no farther than here
	request *Request
	told    listener // nil is nobody

	mu       sync.Mutex
	done     chan struct{}         // guarded by mu; closed when it has ended, nil until somebody asks
	way      interface{ Cancel() } // guarded by mu; nil before it has begun, and when it has ended
	queued   *applicant            // guarded by mu; in the queue for credits, or nil if it never was there
	response *Response             // guarded by mu; one of the two is set when it has ended, and then neither changes
	err      error                 // likewise
}

// Submit sends a request on its journey and returns at once: it is Do without a caller who
// waits. While it waits for limits, or in a queue, it needs no goroutine and no stack; one is
// lent to it while it is signed and exchanged. Not so with Request.Coalesce: then it has a
// goroutine until it ends, and so has the one request that is sent for all who share its
// answer. It ends by its answer, by ctx, by its timeout, by Cancel or by the end of the engine,
// whichever is first, and always does end; what is wrong with it is the error of its Result.
// Nobody need look at the result.
//
// The request is prepared before Submit returns: pre-processors run on the caller's
// goroutine, once. A body that has to be read first is read on another. A request for which
// Config.Admission has no credit queues for one, and is prepared when it has it. What
// ends its goroutine with runtime.Goexit, a processor of the caller's, ends the request with
// a PanicError.
//
// The request must not be changed until it has ended. With Request.Stream the stream of
// the answer must be read or closed by whoever takes the result: one that nobody takes holds
// its connection.
func (e *Engine) Submit(ctx context.Context, req *Request) *Pending { return e.submit(ctx, req, nil) }

// listener is told once when a request has ended, from a goroutine on which user code has run:
// it must not block, and calls nothing that is not the engine's. It is never told by submit
// itself, nor by Cancel. One that is a request.Standby is told of the waits as well.
type listener interface{ toldBy(*Pending) }

// borrower is a listener that is to know the stream that an answer comes with, before it is told
// of the end.
type borrower interface{ lends(*request.Stream) }

// submit is Submit with a listener.
func (e *Engine) submit(ctx context.Context, req *Request, told listener) *Pending {
	p := &Pending{request: req, told: told}
	var err error
	handed := false
	defer func() { // code of the caller's may end this goroutine
		if handed {
			return
		}
		if err == nil {
			err = messages.NewError(req, Admitting, wire.Panicked(Admitting, nil))
		}
		if told == nil {
			p.end(nil, err)
		} else {
			go p.end(nil, err)
		}
	}()
	err = e.send(ctx, p, &handed)
	return p
}

// send is carry for a request whose caller does not wait. It notes when something else is to
// end the request, and has not begun it if it does not.
func (e *Engine) send(ctx context.Context, p *Pending, handed *bool) error {
	if err := e.misused(ctx, p.request); err != nil {
		return messages.NewError(p.request, Admitting, err)
	}
	p.engine = e
	switch {
	case shares(p.request):
		return e.shareFor(ctx, p, handed)
	case e.observers != nil:
		return e.sendObserved(ctx, p, handed)
	}
	return e.sendWatched(ctx, p, nil, handed)
}

// shareFor has a goroutine share an answer for a request.
func (e *Engine) shareFor(ctx context.Context, p *Pending, handed *bool) error {
	var cancel context.CancelFunc
	if err := wire.Guard(Admitting, func() { // what waits for its end is a goroutine of package context's
		ctx, cancel = context.WithCancel(wire.Contain(ctx))
	}); err != nil {
		return messages.NewError(p.request, Admitting, err)
	}
	if err := e.coalescing.submitted.take(); err != nil {
		cancel()
		return e.unshared(ctx, p.request, &request.Terms{LimitID: e.defaultLimit(), Begun: e.system.Now()}, err)
	}
	p.way, *handed = canceller(cancel), true
	go func() {
		defer e.coalescing.submitted.leave() // last: the engine waits for it
		response, err := (*Response)(nil), error(nil)
		defer func() {
			if response == nil && err == nil { // code of the caller's has ended this goroutine
				err = messages.NewError(p.request, Finishing, wire.Panicked(Finishing, nil))
			}
			cancel()
			p.end(response, err)
		}()
		response, err = e.share(ctx, p.request)
	}()
	return nil
}

type canceller context.CancelFunc

// Cancel calls it.
func (c canceller) Cancel() { c() }

// sendObserved is sendWatched, and has the observers told.
func (e *Engine) sendObserved(ctx context.Context, p *Pending, handed *bool) (err error) {
	terms := &request.Terms{LimitID: e.defaultLimit(), Begun: e.system.Now(), Watch: e.observers.Watch()}
	defer func() { // a hook may end this goroutine
		if !*handed {
			e.endUncarried(p.request, terms, &err)
		}
	}()
	e.observers.Begin(ctx, p.request, terms.Watch)
	return e.sendWatched(ctx, p, terms.Watch, handed)
}

// sendWatched sends a request of whose beginning observers have been told, if there are any.
// From when it is handed over on, its journey has the watch, and may have forgotten it: so
// that is told before, because a processor may end this goroutine.
func (e *Engine) sendWatched(ctx context.Context, p *Pending, watch *request.Watch, handed *bool) error {
	limitID := e.defaultLimit()
	if e.halts.Any() {
		if err := e.refuseHalted(p.request, limitID); err != nil {
			return e.turnAway(p.request, err)
		}
	}
	deadline, err := e.begins(ctx, p.request)
	if err != nil {
		return e.turnAway(p.request, err)
	}
	var parked *request.Parked
	if err := wire.Guard(Preparing, func() { // its Done, which Do asks for when it prepares the request
		parked = e.system.Park(ctx, (*submitted)(p), deadline, limitID, watch)
	}); err != nil {
		e.countTurnedAway(err)
		return messages.NewError(p.request, Preparing, err)
	}
	p.way = parked
	if err := e.setOut(p, parked, limitID, handed); err != nil {
		return e.turnAway(p.request, err)
	}
	return nil
}

// begins returns by when a request must have ended, or why it does not begin. The context's methods
// may be the caller's own code.
func (e *Engine) begins(ctx context.Context, req *Request) (deadline time.Time, err error) {
	panicked := wire.Guard(Admitting, func() {
		deadline = e.deadline(ctx, req.Timeout)
		if ctx.Err() != nil {
			err = messages.ContextError(ctx)
		}
	})
	return deadline, cmp.Or(panicked, err)
}

// setOut takes a credit for a request and has it begin, or has it queue for one.
func (e *Engine) setOut(p *Pending, parked *request.Parked, limitID string, handed *bool) error {
	switch err := e.admission.take(); {
	case err == nil:
		*handed = true
		parked.Begin()
		return nil
	case err != ErrOverloaded || e.admission.patient == 0:
		p.way = nil // nobody has it but this goroutine, and the crowd, which only tells it
		parked.Drop()
		return err
	}
	queued := &applicant{
		priority: p.request.Priority, since: time.Now(), about: e.system.Subject(p.request, limitID), halted: e.halts.Refuse, parked: parked,
	}
	p.mu.Lock()
	p.queued = queued
	p.mu.Unlock()
	*handed = true
	e.admission.join(queued)
	parked.Await()
	return nil
}

// submitted is a Pending as its journey sees it.
type submitted Pending

// Request is part of request.Submitter.
func (s *submitted) Request() *Request { return s.request }

// DefaultLimitID is part of request.Submitter.
func (s *submitted) DefaultLimitID() string { return s.engine.defaultLimitID }

// Withdraw is part of request.Submitter.
func (s *submitted) Withdraw() bool {
	s.mu.Lock()
	queued := s.queued
	s.mu.Unlock()
	return queued != nil && s.engine.admission.remove(queued) // nil if it has ended meanwhile
}

// Standby is part of request.Submitter.
func (s *submitted) Standby() request.Standby {
	told, _ := s.told.(request.Standby)
	return told
}

// Ended is part of request.Submitter. The credit is back before anybody sees the end, who
// might want it.
func (s *submitted) Ended(response *Response, stream *request.Stream, err error, admitted bool) {
	e, p := s.engine, (*Pending)(s)
	switch {
	case stream != nil:
		e.prolong(response, stream)
		if one, is := p.told.(borrower); is {
			one.lends(stream)
		}
	case admitted:
		e.admission.leave()
	case err != nil:
		e.countTurnedAway(err)
	}
	p.end(response, err)
}

// end is called once.
func (p *Pending) end(response *Response, err error) {
	p.mu.Lock()
	p.response, p.err = response, err
	p.way, p.queued = nil, nil // whoever keeps the Pending keeps nothing else
	if p.done != nil {
		close(p.done)
	}
	p.mu.Unlock()
	if p.told != nil {
		p.told.toldBy(p)
	}
}

// hasEnded requires that mu is held.
func (p *Pending) hasEnded() bool { return p.response != nil || p.err != nil }

// Request returns the request that was submitted.
func (p *Pending) Request() *Request { return p.request }

// Done returns a channel that is closed when the request has ended.
func (p *Pending) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = make(chan struct{})
		if p.hasEnded() {
			close(p.done)
		}
	}
	return p.done
}

// Result waits until the request has ended, and returns what Do would have: the error, if any,
// is an *Error.
func (p *Pending) Result() (*Response, error) {
	<-p.Done()
	return p.response, p.err
}

// Cancel ends the request as the end of its context would, with an error that is
// context.Canceled. It does nothing to one that has ended, and does not wait: Done tells.
func (p *Pending) Cancel() {
	p.mu.Lock()
	way := p.way
	p.mu.Unlock()
	if way != nil {
		way.Cancel()
	}
}
