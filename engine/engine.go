package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors"
	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/scribe"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// Engine carries requests to their answers. Make one with New and share it: it
// is safe for concurrent use, and what it shares (limits, connections, the
// server's time, cookies) is the point of it.
//
// Requests go by Do, and decoded by Fetch; Submit does not wait for the answer. Many go by
// Stream, All, FetchAll and Map, pages by Pages and Items, server-sent events by Events,
// the requests of an http.Client by RoundTripper, and what is no request by Acquire. Halt
// stops a kind of them, and Explain, Waiting and Stats tell what is the matter.
type Engine struct {
	// New writes these, and everybody reads them thereafter, but for those that say otherwise.

	system         *actors.System
	admission      *admission
	permits        *permits
	timeout        time.Duration            // of requests that have none; zero means none
	defaultLimitID string                   // empty means that a request must name its limit, if there are any
	homes          []messages.Origin        // that credentials are for; none means that no home is named
	maxHeader      int                      // bytes of an answer's header
	timeIsFree     bool                     // the source of time names no limit
	unmarshal      func([]byte, any) error  // of Responses.Decode
	limitIDs       atomic.Pointer[limitIDs] // written by ReplaceLimits
	replacing      sync.Mutex               // held by ReplaceLimits: limitIDs must be those of the last table
	baseOrigin     string                   // as a URL; empty without a base URL
	scribe         *scribe.Scribe           // writes what the actors log
	ending         ending
	observers      *request.Observers // who is told of requests; nil for nobody
	mostAtOnce     int                // requests of a run that are of use at once: connections that an origin may have, or credits
	halts          throttle.Halts     // what is halted
	foreign        foreign            // origins that Resign has warned of
	coalescing     coalescing         // requests on their journey that others may share
	runs           runs               // of Stream, and of what is built on it
	remembering                       // of a Config.Memory
}

// New checks the whole configuration, reports every mistake in one error, and
// starts the engine. It waits for nothing; if a limit is in windows of the
// server's clock, the first look at that clock is under way when it returns.
func New(config Config) (*Engine, error) {
	p, err := readConfig(config)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		admission:      newAdmission(p.Admission.MaxInFlight, p.Admission.MaxWaiting),
		permits:        newPermits(),
		timeout:        p.Timeout,
		defaultLimitID: p.DefaultLimitID,
		homes:          p.homes,
		maxHeader:      p.Responses.MaxHeader,
		timeIsFree:     p.timeIsFree,
		unmarshal:      p.Responses.Decode,
		scribe:         scribe.New(p.Logger),
		ending:         ending{begun: make(chan struct{}), ended: make(chan struct{})},
	}
	e.observers = request.NewObservers(p.Observers, e.tellsLimit, e.scribe.Logger())
	e.coalescing.submitted = newAdmission(math.MaxInt, 0)
	e.coalescing.rewritten = len(p.PreProcessors) > 0
	if e.mostAtOnce = p.Connections.Max; p.Connections.MaxTotal > 0 {
		e.mostAtOnce = min(e.mostAtOnce, p.Connections.MaxTotal)
	}
	e.mostAtOnce = int(min(int64(e.mostAtOnce), e.admission.limit))
	if p.base.Host != "" {
		e.baseOrigin = p.base.Origin.String()
	}
	e.limitIDs.Store(&limitIDs{own: idsOf(p.Limits)})
	e.halts.Under(p.base.Prefix)
	parts := p.system(e)
	if err := e.remember(p, &parts); err != nil {
		e.scribe.Close(logPatience)
		return nil, err
	}
	if e.system, err = actors.Start(parts); err != nil {
		e.forget()
		return nil, err
	}
	// The first look at the server's clock goes through e.system, which must
	// therefore be set before.
	e.system.Begin()
	return e, nil
}

// Do sends a request and returns its answer, whatever the status. The error,
// if any, is an *Error. It blocks for as long as the limits, the pool and the
// server need, bounded by ctx and Request.Timeout.
func (e *Engine) Do(ctx context.Context, req *Request) (*Response, error) {
	response, _, err := e.carry(ctx, req, new(request.Terms))
	return response, err
}

// carry is Do, and returns the stream that the answer came with as well, whatever
// post-processors have made of it: it holds a connection. Of terms, the deadline and
// the limit are the engine's to say.
func (e *Engine) carry(ctx context.Context, req *Request, terms *request.Terms) (*Response, *request.Stream, error) {
	if err := e.misused(ctx, req); err != nil {
		return nil, nil, messages.NewError(req, Admitting, err)
	}
	if req.Coalesce && shares(req) { // looked at here and not in Do, so that the compiler inlines Do
		response, err := e.share(ctx, req)
		return response, nil, err
	}
	terms.LimitID = e.defaultLimit()
	if e.observers != nil && terms.Watch == nil {
		return e.observed(ctx, req, terms) // which comes back here
	}
	if e.halts.Any() {
		if err := e.refuseHalted(req, terms.LimitID); err != nil {
			return nil, nil, e.turnAway(req, err)
		}
	}
	if err := e.admit(ctx, req, terms); err != nil {
		return nil, nil, e.turnAway(req, err)
	}
	if e.system.HandsOver(req, terms) {
		response, err := e.system.HandOver(ctx, req, terms)
		return response, nil, err
	}
	return e.carryHere(ctx, req, terms)
}

// carryHere carries a request that has its credit on this goroutine. It is apart from carry, for
// what it takes of the stack nobody needs who hands his request over.
//
//go:noinline
func (e *Engine) carryHere(ctx context.Context, req *Request, terms *request.Terms) (*Response, *request.Stream, error) {
	var stream *request.Stream
	// Deferred, because a processor runs on this goroutine and may end it with
	// runtime.Goexit; the credit comes back nevertheless.
	defer func() {
		if stream == nil {
			e.admission.leave()
		}
	}()
	response, lent, err := e.system.Carry(ctx, req, terms)
	if stream = lent; stream != nil {
		e.prolong(response, stream)
	}
	return response, stream, err
}

// prolong has a journey last as long as the body of its answer.
func (e *Engine) prolong(response *Response, stream *request.Stream) {
	stream.OnEnd(e.admission.leave)
	if response.Stream == nil {
		_ = stream.Close() // taken away by a post-processor: nobody else would
	}
}

// made returns ErrNoEngine for an engine that New has not made. A New that failed
// returns such a one, and whoever defers Close before he looks at the error calls
// it.
func (e *Engine) made() error {
	if e == nil || e.system == nil {
		return ErrNoEngine
	}
	return nil
}

// misused says which of what a request needs is missing.
func (e *Engine) misused(ctx context.Context, req *Request) error {
	switch err := e.made(); {
	case err != nil:
		return err
	case ctx == nil:
		return fmt.Errorf("%w: the context is nil", ErrInvalidRequest)
	case req == nil:
		return fmt.Errorf("%w: the *Request is nil", ErrInvalidRequest)
	}
	return nil
}

// contained is a caller's context for goroutines of package context's, where a panic of its
// methods would end the process.
func contained(ctx context.Context, req *Request) (own *wire.Contained, err error) {
	if err := wire.Guard(Admitting, func() { own = wire.Contain(ctx) }); err != nil {
		return nil, messages.NewError(req, Admitting, err)
	}
	return own, nil
}

// defaultLimit is the one that a request is charged which names none; empty refuses
// such a request.
func (e *Engine) defaultLimit() string {
	if e.defaultLimitID == "" && len(e.limitIDs.Load().own) == 1 {
		return Unlimited // without limits, to name none is no oversight
	}
	return e.defaultLimitID
}

// deadline is the earlier of the context's and the request's, or charge's, own; zero means
// none.
func (e *Engine) deadline(ctx context.Context, timeout time.Duration) time.Time {
	deadline, _ := e.deadlineAt(ctx, timeout)
	return deadline
}

// deadlineAt returns besides what the clock said, if there was a reason to look at it;
// otherwise zero.
func (e *Engine) deadlineAt(ctx context.Context, timeout time.Duration) (deadline, now time.Time) {
	timeout = cmp.Or(timeout, e.timeout)
	deadline, ok := ctx.Deadline()
	if timeout <= 0 { // below zero the request wants none, whatever the engine's
		return deadline, now
	}
	now = time.Now()
	if own := now.Add(timeout); !ok || own.Before(deadline) {
		return own, now
	}
	return deadline, now
}

// admit finds out by when a request must have ended, and takes a credit for it. The
// context's methods may be the caller's own code, which panics.
func (e *Engine) admit(ctx context.Context, req *Request, terms *request.Terms) (err error) {
	defer func() { // and no wire.Guard, which would take more of a stack of 2 KB
		if v := recover(); v != nil {
			err = wire.Panicked(Admitting, v)
		}
	}()
	var now time.Time
	terms.Deadline, now = e.deadlineAt(ctx, req.Timeout)
	if terms.Begun == 0 && !now.IsZero() {
		terms.Begun = now.Sub(e.system.Epoch())
	}
	return e.enter(ctx, req, terms)
}

// enter takes a credit, or waits for one until the context or the deadline ends.
func (e *Engine) enter(ctx context.Context, req *Request, terms *request.Terms) error {
	if ctx.Err() != nil {
		return messages.ContextError(ctx)
	}
	// Nearly every request gets its credit here, and needs no context of its own
	// to wait with.
	if err := e.admission.take(); err != ErrOverloaded {
		return err
	}
	return e.apply(ctx, req, terms)
}

// apply waits for a credit. It is apart from enter, whose room is on every caller's stack.
//
//go:noinline
func (e *Engine) apply(ctx context.Context, req *Request, terms *request.Terms) error {
	if terms.Begun == 0 {
		terms.Begun = e.system.Now()
	}
	terms.Waited = true
	ctx = wire.Contain(ctx) // what waits is in a queue, and is to leave it
	if !terms.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, terms.Deadline)
		defer cancel()
	}
	return e.admission.enter(ctx, &applicant{
		priority: req.Priority, since: time.Now(), about: e.system.Subject(req, e.defaultLimit()), halted: e.halts.Refuse,
	})
}

// UpdateCookies adds cookies to those sent to a URL's host, as an earlier
// answer might have set them. Without Config.Cookies the engine makes a jar of its
// own, which knows the public suffixes and keeps the 180 newest cookies of a site.
//
// A cookie whose name, value or attribute no cookie may have is ErrInvalidRequest, and
// then none is added: a semicolon in a value would be sent as another cookie.
func (e *Engine) UpdateCookies(rawURL string, cookies ...*http.Cookie) error {
	if err := e.made(); err != nil {
		return err
	}
	if _, err := request.OriginOf(rawURL); err != nil {
		return fmt.Errorf("%w: URL of the cookies: %w", ErrInvalidRequest, err)
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return errors.New("sluice: malformed URL") // url.Error would repeat a secret in it
	}
	for i, cookie := range cookies {
		if err := cookie.Valid(); err != nil { // its text has one byte of it at most
			return fmt.Errorf("%w: cookie %d: %w", ErrInvalidRequest, i, err)
		}
	}
	// The jar may be the caller's own.
	return wire.Guard(Preparing, func() { e.system.SetCookies(u, cookies, newJar) })
}

// Warm opens connections to an origin until n are open, or Connections.Max, and
// returns then, or with the first error. The origin is that of rawURL, or of
// Config.BaseURL if rawURL is empty. They are those of the default egress: see WarmEgress.
func (e *Engine) Warm(ctx context.Context, rawURL string, n int) error {
	return e.WarmEgress(ctx, "", rawURL, n)
}

// ReplaceLimits swaps the whole table of limits; the slice is copied. What is on
// the wire stays counted; a request that waits for its connection waits for the new
// limits again, with the rank it had; a queued request whose limit is gone is
// refused. What was spent of a limit is known by its id: under another one it begins unused, and the
// log names those that are gone and of which something counted as spent. Without any
// limits, requests need no limit id. A table with a mistake changes nothing, and the error
// lists every one.
func (e *Engine) ReplaceLimits(limits []throttle.Limit) error {
	if err := e.made(); err != nil {
		return err
	}
	if len(limits) > 0 && e.timeIsFree {
		return fmt.Errorf("sluice: Config.Time.LimitID: %w", errTimeIsFree)
	}
	e.replacing.Lock()
	defer e.replacing.Unlock()
	return e.replaceLimits(limits)
}

// Parts are what a request is told apart by: account, key and egress.
//
// Its fields: go doc github.com/sluice-engine/sluice/throttle.Parts
type Parts = throttle.Parts

// AdjustLimit adds delta to what a limit counts as used, for costs that only
// the server knows and tells on another channel. A delta below zero gives back. The
// parts tell whose count it is: the limit looks at those that its By names, and ignores
// the others. A limit by key must be given one; an empty Account or Egress is the default
// one. A route has no count of its own. The error is a *throttle.LimitError, with
// ErrUnknownLimit, ErrNoKey, ErrUnknownKey or ErrLongName.
func (e *Engine) AdjustLimit(id string, of Parts, delta int64) error {
	if err := e.made(); err != nil {
		return err
	}
	return e.system.AdjustLimit(id, of, delta)
}

// AwaitTime returns once the server's clock has been compared with this machine's, as a
// request to be signed waits for it by itself, or the context has ended: for callers that
// stamp something themselves, before they ask Clock. N callers cause one look. Without
// Config.Time it returns at once. The error says why the time could not be learned, such
// as a *SkewError, or is ErrClosed, or the end of the context.
func (e *Engine) AwaitTime(ctx context.Context) error {
	if err := e.misused(ctx, &Request{}); err != nil {
		return err
	}
	return e.system.AwaitTime(ctx)
}

// Clock returns the server's time as the engine knows it, for callers that
// stamp something themselves. Before the first sample, which AwaitTime waits for, it is
// the local time, with a bound that claims nothing; without Config.Time, the local time.
// It is an auth.Ranger with Config.Time, and none without.
func (e *Engine) Clock() auth.Clock {
	if e.made() != nil {
		return auth.LocalClock(0)
	}
	return e.system.Clock()
}
