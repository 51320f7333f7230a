package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/journal"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// coalescing are the requests on their journey that others may share: see
// Request.Coalesce.
//
//	Do ── credit ──▶ join ──▶ waits for its context, its deadline, a halt, or the answer
//	                  │  first: go fly ── permit, connection, exchange ──▶ end
//	                  └─ later: nothing
//
// Whoever shares a flight holds a credit of the engine's for as long, as any request does.
// Invariants: a flight that has not ended has at least one sharer, or has been cancelled by
// the last, who waits for its end; so none outlives the credits, which Close and Shutdown
// wait for. Nobody joins a flight that was cancelled or has ended, or one that is less
// urgent than himself.
type coalescing struct {
	mu     sync.Mutex
	open   map[string]*flight   // guarded by mu: those that may be joined, by what is sent
	flying map[*flight]struct{} // guarded by mu: all that have not ended
	joined int64                // guarded by mu

	submitted *admission // requests of Submit, until their ends are told; set by New
	rewritten bool       // pre-processors may have a request be charged otherwise than it says; set by New
}

// flight is one request that is sent for all who share it.
type flight struct {
	// Set by who leads it, and not changed after.
	key     string
	request Request
	limitID string        // charged if the request names none
	begun   time.Duration // when it was asked for, on the ledger's clock; zero means when it flies, unless it has waited
	waited  bool          // for a credit
	within  *flight       // that in whose processors it was asked for; nil if in none
	ctx     context.Context
	cancel  context.CancelCauseFunc

	sharers []*sharer     // guarded by coalescing.mu: who waits
	stands  bool          // guarded by coalescing.mu: it waits for something before it asks for its permit
	queue   request.Queue // guarded by coalescing.mu: where it has asked for its permit last; nil before, and once it has ended

	hasLeft atomic.Bool // it has a connection, or had one: something may be sent

	done     chan struct{} // closed at the end
	response *Response     // written before done is closed; guarded by mu from then on
	err      error         // written before done is closed
	mu       sync.Mutex
	claims   int // guarded by mu: sharers that have not taken their answer
}

// sharer is one caller.
type sharer struct {
	asked  *Request
	since  time.Duration // when he came, on the ledger's clock
	halted chan error    // has room for the one error that is ever put there
	stands chan struct{} // has room for the word that the flight lacks its permit; nil if he has no deadline
}

// look has him look whether he can be in time.
func (s *sharer) look() {
	select {
	case s.stands <- struct{}{}:
	default: // he has not looked yet, or need not
	}
}

// share is Do for a request that may share its answer. It is apart, so that others need no room
// on its stack for what only this needs.
//
//go:noinline
func (e *Engine) share(ctx context.Context, req *Request) (*Response, error) {
	if copied, key, able := frozen(req); able {
		if response, err := e.shared(ctx, req, &flight{key: key, request: copied}); err != errAlone {
			return response, err
		}
	}
	alone := *req
	alone.Coalesce = false
	return e.Do(ctx, &alone)
}

// errAlone has a request sent by itself that would wait for itself.
var errAlone = errors.New("the request is made by a processor of the very one that it would share")

// shared takes part in the flight of a request, which may be the one that it is given.
func (e *Engine) shared(ctx context.Context, req *Request, own *flight) (*Response, error) {
	terms := request.Terms{LimitID: e.defaultLimit()}
	if e.observers != nil {
		terms.Begun = e.system.Now()
	}
	if e.halts.Any() {
		if err := e.refuseHalted(req, terms.LimitID); err != nil {
			return nil, e.unshared(ctx, req, &terms, err)
		}
	}
	if err := e.admit(ctx, req, &terms); err != nil {
		return nil, e.unshared(ctx, req, &terms, err)
	}
	defer e.admission.leave()
	var contained *wire.Contained
	if err := wire.Guard(Admitting, func() { contained = wire.Contain(ctx) }); err != nil {
		return nil, e.unshared(ctx, req, &terms, err)
	}
	own.limitID, own.begun, own.waited = terms.LimitID, terms.Begun, terms.Waited
	own.within, _ = contained.Value(flightKey{}).(*flight)
	own.ctx, own.cancel = context.WithCancelCause(context.WithoutCancel(contained.Copy()))
	s := &sharer{asked: req, since: e.system.Now(), halted: make(chan error, 1)}
	if !terms.Deadline.IsZero() {
		s.stands = make(chan struct{}, 1)
	}
	switch f, err := e.join(own, s); {
	case err == errAlone:
		return nil, err
	case err != nil:
		return nil, e.unshared(ctx, req, &terms, err)
	default:
		return e.await(contained, f, s, terms.Deadline)
	}
}

// unshared turns a request away that takes part in no flight, and has the observers told,
// whom a flight would tell otherwise.
func (e *Engine) unshared(ctx context.Context, req *Request, terms *request.Terms, why error) (err error) {
	err = e.turnAway(req, why)
	if e.observers == nil {
		return err
	}
	terms.Watch = e.observers.Watch()
	defer e.endUncarried(req, terms, &err)
	e.observers.Begin(ctx, req, terms.Watch)
	return err
}

// join finds the flight that a request may share, or begins its own.
func (e *Engine) join(own *flight, s *sharer) (*flight, error) {
	c := &e.coalescing
	c.mu.Lock()
	defer c.mu.Unlock()
	// Under the lock that whoever halts takes next: of the two, one sees the other.
	if e.halts.Any() {
		if err := e.refuseHalted(s.asked, own.limitID); err != nil {
			return nil, err
		}
	}
	if f := c.open[own.key]; f != nil && own.request.Priority <= f.request.Priority {
		if f.surrounds(own.within) {
			return nil, errAlone
		}
		f.sharers = append(f.sharers, s)
		c.joined++
		s.look() // it may have stood by for long
		return f, nil
	}
	if c.open == nil {
		c.open, c.flying = make(map[string]*flight), make(map[*flight]struct{})
	}
	own.sharers, own.done = []*sharer{s}, make(chan struct{})
	c.open[own.key], c.flying[own] = own, struct{}{}
	go e.fly(own)
	return own, nil
}

// surrounds reports whether a request is made by code that the flight waits for.
func (f *flight) surrounds(within *flight) bool {
	for ; within != nil; within = within.within {
		if within == f {
			return true
		}
	}
	return false
}

// fly carries a flight to its end. Processors run in there, and may end this goroutine.
func (e *Engine) fly(f *flight) {
	returned := false
	defer func() {
		if v := recover(); !returned && f.response == nil && f.err == nil {
			f.err = messages.NewError(&f.request, Admitting, wire.Panicked(Admitting, v))
		}
		f.refuseStream()
		e.land(f)
	}()
	var stream *request.Stream
	var ctx context.Context = flightContext{f.ctx, f}
	terms := &request.Terms{LimitID: f.limitID, Begun: f.begun, Waited: f.waited, Standby: landing{f, &e.coalescing}}
	if e.observers == nil {
		f.response, stream, f.err = e.system.Carry(ctx, &f.request, terms)
	} else {
		f.response, stream, f.err = e.carryObserved(ctx, &f.request, terms, true) // the sharers have credits
	}
	if stream != nil {
		_ = stream.Close() // it always returns nil
	}
	returned = true
}

// refuseStream refuses an answer that a processor has made a stream: it would be one sharer's.
func (f *flight) refuseStream() {
	if f.response == nil || f.response.Stream == nil {
		return
	}
	closeStream(f.response)
	failure := messages.NewError(&f.request, Finishing, errStreamShared)
	failure.Attempts, failure.Sent = f.response.Attempts, f.response.Sent
	f.response, f.err = nil, failure
}

// landing is told what a flight waits for, and how it has ended where code of the caller's ends its
// goroutine.
type landing struct {
	*flight
	among *coalescing
}

// Ends is part of request.Standby.
func (l landing) Ends(response *Response, err error) { l.response, l.err = response, err }

// Asks is part of request.Standby.
func (l landing) Asks(in request.Queue) {
	l.among.mu.Lock()
	l.queue = in
	l.among.mu.Unlock()
}

// StandsBy is part of request.Standby: whoever shares the flight looks each time, for by himself
// he would be refused each time that he came to queue.
func (l landing) StandsBy(in request.Queue) {
	l.among.mu.Lock()
	defer l.among.mu.Unlock()
	l.stands = in == nil
	for _, s := range l.sharers {
		s.look()
	}
}

// GoesOn is part of request.Standby: it is called with every connection, before anything is sent
// there.
func (l landing) GoesOn(leased bool) {
	if leased {
		l.hasLeft.Store(true)
	}
	l.among.mu.Lock()
	l.stands = false
	l.among.mu.Unlock()
}

// AskedAt is part of request.Standby.
func (landing) AskedAt() string { return "" }

// Over is part of request.Standby.
func (landing) Over() error { return nil }

var errStreamShared = fmt.Errorf("%w: a processor has made a stream of an answer that is shared: such a request must not have Coalesce", ErrInvalidRequest)

// land ends a flight: whoever shares it has an answer from now on, and nobody joins it.
func (e *Engine) land(f *flight) {
	c := &e.coalescing
	c.mu.Lock()
	c.close(f)
	delete(c.flying, f)
	f.claims = len(f.sharers)
	c.mu.Unlock()
	f.cancel(nil)
	close(f.done)
}

// close has nobody join a flight any more. It requires that mu is held. Another flight may
// have taken its place.
func (c *coalescing) close(f *flight) {
	if c.open[f.key] == f {
		delete(c.open, f.key)
	}
}

// await waits for what ends a sharer's part in a flight.
func (e *Engine) await(ctx *wire.Contained, f *flight, s *sharer, deadline time.Time) (*Response, error) {
	returned := false
	defer func() {
		if !returned { // the caller's context, or its cause, has ended this goroutine
			e.quit(f, s)
		}
	}()
	response, err := e.awaitEnd(ctx, f, s, deadline)
	returned = true
	return response, err
}

// quit takes a sharer out of a flight who has nobody any more that waits for an answer, if he is still in
// it.
func (e *Engine) quit(f *flight, s *sharer) {
	if e.coalescing.leave(f, s).last {
		f.cancel(context.Canceled)
		<-f.done
	}
}

func (e *Engine) awaitEnd(ctx *wire.Contained, f *flight, s *sharer, deadline time.Time) (*Response, error) {
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	var why error
	for why == nil {
		select {
		case <-f.done:
			return f.take()
		case <-ctx.Done():
			why = messages.ContextError(ctx)
		case <-late:
			why = context.DeadlineExceeded
		case why = <-s.halted:
		case <-s.stands:
			if _, soonest := e.opens(f); soonest.After(deadline) {
				why = context.DeadlineExceeded
			}
		}
	}
	return e.part(f, s, why)
}

// part ends a sharer's part in a flight before its answer is there.
func (e *Engine) part(f *flight, s *sharer, why error) (*Response, error) {
	// Asked first: from when this sharer has left, the last one may end the flight.
	now := e.system.Now()
	lacks, silent, opens := e.coalescing.lacksPermit(f), e.coalescing.unremembered(f, now), (*Error)(nil)
	if lacks && errors.Is(why, context.DeadlineExceeded) {
		opens, _ = e.opens(f)
	}
	how := e.coalescing.leave(f, s)
	switch {
	case how.landed: // in the same moment
		return f.take()
	case how.last:
		// Its end says where the journey was and what it waited for, and takes no time.
		f.cancel(why)
		<-f.done
		return f.response, f.err
	}
	why = fmt.Errorf("%w: others wait on for the answer that it shared", why)
	failure := messages.NewError(s.asked, Leasing, why)
	if how.sent {
		failure.Stage, failure.Sent = Exchanging, SentMaybe
	}
	if lacks || silent > 0 {
		failure.Stage = Throttled
		messages.NoteMemory(failure, why, journal.Silence(silent, now-s.since))
	}
	if opens != nil {
		failure.Route, failure.Limit, failure.RetryAt = opens.Route, opens.Limit, opens.RetryAt
		failure.Err = fmt.Errorf("%w: %w", throttle.ErrDeadline, why)
	}
	return nil, failure
}

// lacksPermit reports whether a flight waits for its permit, or, before anything was sent, for
// something else that comes first. In a pause after an answer it is that answer which its last
// sharer may have, if there is no room for another attempt.
func (c *coalescing) lacksPermit(f *flight) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f.stands && !f.hasLeft.Load() || f.queue != nil && f.queue.Queues()
}

// unremembered is for how long, until now, a flight that has its permit has waited for the memory
// alone; zero if it does not.
func (c *coalescing) unremembered(f *flight, now time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.queue == nil {
		return 0
	}
	return f.queue.Unremembered(now)
}

// opens is the limit that holds a flight which lacks its permit, and when that lets it go, those
// ahead apart: as the throttler would refuse who asked by himself, and could not be in time. Nil is
// not known, or that the flight has its permit, which may be what fills the limit. Before soonest it
// cannot go, whatever becomes of what is ahead and in flight; zero says nothing.
func (e *Engine) opens(f *flight) (opens *Error, soonest time.Time) {
	if e.coalescing.rewritten || !e.coalescing.lacksPermit(f) {
		return nil, time.Time{}
	}
	if full, at := e.held(&f.request, f.limitID); full != nil {
		opens, soonest = new(Error), e.system.Epoch().Add(at)
		messages.NoteLimit(opens, "", full, e.system.Epoch())
		if full.ID != Unlimited {
			opens.Route = full.ID
		}
	}
	if !e.coalescing.lacksPermit(f) { // looked at again: what it had when the throttler was asked, it has now
		return nil, time.Time{}
	}
	return opens, soonest
}

// held says which limit holds a request that asks now, and when that lets it go, those ahead apart:
// as the throttler would refuse one that had no time for it. Nil is that nothing does, or that
// nobody knows until when. One that has to leave before soonest is refused.
func (e *Engine) held(req *Request, defaultLimit string) (full *throttle.LimitError, soonest time.Duration) {
	// Functions of costs are the caller's own code.
	_ = wire.Apart(Throttled, func() {
		found, err := e.system.Explain(context.Background(), req, defaultLimit)
		if f := &found.Forecast; err == nil && !f.AtOnce && f.RetryAt > 0 && f.RetryAt != throttle.Never {
			hold := &f.Hold
			soonest = f.Soonest
			full = &throttle.LimitError{
				ID: found.Subject.LimitID, Err: throttle.ErrDeadline, Full: hold.Limit,
				Account: hold.Account, Key: hold.Key, Egress: hold.Egress, Kept: hold.Kept, Paused: hold.Paused, RetryAt: f.RetryAt,
			}
		}
	})
	return full, soonest
}

// left is how a sharer has left a flight.
type left struct {
	landed bool // it did not: the answer is there, and to be taken
	last   bool // and so has to end the flight, which nobody joins any more
	sent   bool // something may have been sent by then; what is sent later is sent for others
}

// leave takes a sharer out of a flight.
func (c *coalescing) leave(f *flight, s *sharer) left {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, flying := c.flying[f]; !flying {
		return left{landed: true}
	}
	f.sharers = slices.DeleteFunc(f.sharers, func(other *sharer) bool { return other == s })
	if len(f.sharers) > 0 {
		return left{sent: f.hasLeft.Load()} // looked at here: a flight that is being ended hears of a refusal
	}
	c.close(f)
	return left{last: true}
}

// take returns a sharer's own answer. The last to take it has the one that came, and so
// whoever is alone pays for no copy; nobody else reads that any more.
func (f *flight) take() (*Response, error) {
	<-f.done
	if f.err != nil {
		return nil, f.err // it is never changed
	}
	f.mu.Lock()
	last := f.claims == 1
	f.mu.Unlock()
	if last {
		return f.response, nil
	}
	own := f.response.Clone()
	f.mu.Lock()
	f.claims-- // only now: the copy is made
	f.mu.Unlock()
	return own, nil
}

// refuseSharers refuses those who wait for the answer of a request which goes on, because
// it is more urgent than theirs, though theirs is halted.
func (e *Engine) refuseSharers() {
	c := &e.coalescing
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.flying {
		about := func(asked *Request) throttle.Subject { return e.system.Subject(asked, f.limitID) }
		if e.halts.Of(about(&f.request)) != nil {
			continue // its own journey ends, or has begun to leave
		}
		for _, s := range f.sharers {
			if e.halts.Of(about(s.asked)) == nil || len(s.halted) > 0 {
				continue
			}
			s.halted <- e.halts.Refuse(about(s.asked))
		}
	}
}

func (c *coalescing) stats() CoalesceStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := CoalesceStats{InFlight: len(c.flying), Joined: c.joined}
	for f := range c.flying {
		s.Waiting += len(f.sharers)
	}
	return s
}

// flightContext is the context of a flight: the values are those of whoever came first, and
// it ends when the last has left, as the last one's did.
type flightContext struct {
	context.Context
	flight *flight
}

type flightKey struct{}

// Value is part of context.Context.
func (c flightContext) Value(key any) any {
	if _, own := key.(flightKey); own {
		return c.flight
	}
	return c.Context.Value(key)
}

// Err is part of context.Context.
func (c flightContext) Err() error {
	err := c.Context.Err()
	if err != nil && errors.Is(context.Cause(c.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}
