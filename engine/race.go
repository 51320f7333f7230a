package engine

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/callsite"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Race sends several requests at once, such as the same question to several mirrors, and
// returns the first answer of success (a status below 400) with the index of its request.
// The others are cancelled and waited for: when Race returns nothing of them is on its way,
// and their streams are closed. One that is waiting for limits then has cost nothing; one
// that was sent counts as any other, and may have been carried out. So a request that is
// not idempotent has no place in a race, unless it is harmless that several are carried
// out: Race does not refuse it.
//
// If none succeeds, the index is -1, and the error *Failures with each of them by its index:
// what Do returns, or a *StatusError. Without any request, or with a nil ctx, it is an
// ErrInvalidRequest.
//
// The winner's stream, with Request.Stream, is the caller's to read and close. Code that a
// loser waits for and that does not return is waited for for ten seconds, and left then,
// with a warning in the log.
func (e *Engine) Race(ctx context.Context, requests ...*Request) (*Response, int, error) {
	return e.Hedge(ctx, 0, requests...)
}

// Hedge is Race, and sends a request only when those before have not succeeded within a
// time, or have all failed: most answers are then had for the price of one, and a slow one
// costs another request. The same *Request may be given several times. A delay that 95
// of 100 answers do not take is customary; zero sends all at once. Of several with Coalesce that ask
// at the same place the first one alone shares its answer with others.
func (e *Engine) Hedge(ctx context.Context, after time.Duration, requests ...*Request) (*Response, int, error) {
	if err := e.cannotRace(ctx, after, requests); err != nil {
		return nil, -1, messages.NewError(nil, Admitting, err)
	}
	own, err := contained(ctx, nil)
	if err != nil {
		return nil, -1, err
	}
	r := &race{eng: e, ctx: ctx, own: own, after: after, requests: requests, ended: make(chan racer, len(requests))}
	for r.begun == 0 || after == 0 && r.begun < len(requests) {
		r.begin()
	}
	won := r.run()
	r.cancelLosers()
	if won.index < 0 {
		slices.SortFunc(r.failures, func(a, b *Failure) int { return int(a.Index - b.Index) })
		return nil, -1, &Failures{Each: r.failures, Of: int64(r.begun)}
	}
	return won.response, won.index, nil
}

func (e *Engine) cannotRace(ctx context.Context, after time.Duration, requests []*Request) error {
	switch err := e.misused(ctx, &Request{}); {
	case err != nil:
		return err
	case len(requests) == 0:
		return fmt.Errorf("%w: a race without requests", ErrInvalidRequest)
	case after < 0:
		return fmt.Errorf("%w: the delay of a hedge is below zero: %s", ErrInvalidRequest, after)
	}
	return nil
}

// race belongs to the goroutine of its caller, but for ended.
type race struct {
	eng         *Engine
	ctx         context.Context
	own         *wire.Contained // the same, for what the race itself asks of it
	after       time.Duration
	requests    []*Request
	begun       int // of requests, from the first
	failures    []*Failure
	contestants []*contestant // by index
	ended       chan racer    // has room for all
}

// contestant is how a request of a race is cancelled. It is submitted by a goroutine of its own,
// on which code of the caller's may run, such as a pre-processor, and take its time.
type contestant struct {
	over bool // its racer's end is known; the race's alone
	told finish

	mu      sync.Mutex
	pending *Pending // guarded by mu; nil until it is submitted
	lost    bool     // guarded by mu
}

// submitted is called with what submit has returned.
func (l *contestant) submitted(p *Pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = p
	if l.lost {
		p.Cancel()
	}
}

func (l *contestant) cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
	if l.pending != nil {
		l.pending.Cancel()
	}
}

// racer is how one request of a race has ended.
type racer struct {
	index    int
	response *Response
	err      error
}

func (one *racer) won() bool { return one.err == nil && one.response.StatusCode < 400 }

func (r *race) begin() {
	index := r.begun
	l := &contestant{told: finish{to: r.ended, index: index}}
	r.begun++
	r.contestants = append(r.contestants, l)
	req := r.apart(index)
	go func() {
		l.submitted(r.eng.submit(r.ctx, req, &l.told))
	}()
}

// apart is a request as it is sent: by itself, if it could share the answer of one that is ahead of
// it in the race, and would be no other then. What else tells requests apart is not looked at, for
// that may take code of the caller's.
func (r *race) apart(index int) *Request {
	req := r.requests[index]
	if req == nil || !req.Coalesce || !slices.ContainsFunc(r.requests[:index], func(other *Request) bool {
		return other != nil && other.Coalesce && cmp.Or(other.Method, http.MethodGet) == cmp.Or(req.Method, http.MethodGet) && other.URL == req.URL && other.Path == req.Path
	}) {
		return req
	}
	alone := *req
	alone.Coalesce = false
	return &alone
}

// finish is where the end of a request of a race is told.
type finish struct {
	to    chan<- racer
	index int

	mu   sync.Mutex
	lent *request.Stream // guarded by mu: that the answer came with; nil without one
	lost bool            // guarded by mu
}

// lends is part of borrower.
func (f *finish) lends(stream *request.Stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lent = stream
}

// toldBy is part of listener. What there is of the body of an error nobody else waits for.
func (f *finish) toldBy(p *Pending) {
	one := racer{f.index, p.response, p.err}
	if one.won() || one.err != nil || one.response.Stream == nil {
		f.to <- one
		return
	}
	go func() {
		if lent, lost := f.state(); lost {
			closeStream(one.response)
		} else {
			keepBeginning(one.response, closing(lent))
		}
		f.to <- one
	}()
}

func (f *finish) state() (lent *request.Stream, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lent, f.lost
}

// loses has what is read of the body not be waited for.
func (f *finish) loses() {
	f.mu.Lock()
	f.lost = true
	lent := f.lent
	f.mu.Unlock()
	if lent != nil {
		_ = lent.Close() // it always returns nil
	}
}

// run returns the winner; with an index of -1 if there is none.
func (r *race) run() racer {
	ticker := time.NewTicker(max(1, r.after)) // at once, there is nobody to come
	defer ticker.Stop()
	next := ticker.C
	if r.after == 0 {
		next = nil
	}
	for {
		select {
		case one := <-r.ended:
			r.contestants[one.index].over = true
			if one.won() {
				return one
			}
			r.failed(one)
			if len(r.failures) < r.begun {
				break // others are on their way
			}
			if r.begun == len(r.requests) || r.own.Ended() {
				return racer{index: -1}
			}
			r.begin()
			ticker.Reset(max(1, r.after))
		case <-next:
			if r.begun < len(r.requests) && !r.own.Ended() {
				r.begin()
			}
		}
	}
}

func (r *race) failed(one racer) {
	if one.err == nil {
		one.err = &StatusError{Answer: one.response.Answer()}
	}
	r.failures = append(r.failures, &Failure{Index: int64(one.index), Err: one.err})
}

// cancelLosers returns when they have ended.
func (r *race) cancelLosers() {
	left := 0
	for _, l := range r.contestants {
		if !l.over {
			l.cancel()
			l.told.loses()
			left++
		}
	}
	if left == 0 {
		return
	}
	patience := time.NewTimer(leavePatience)
	defer patience.Stop()
	for ; left > 0; left-- {
		select {
		case one := <-r.ended:
			closeStream(one.response)
		case <-patience.C:
			r.abandon(left)
			return
		}
	}
}

// abandon leaves losers that do not end to a goroutine that closes their streams when they
// do.
func (r *race) abandon(left int) {
	var stack [32]uintptr
	n := runtime.Callers(1, stack[:])
	r.eng.scribe.Logger().Warn("a race has been won, and some of its other requests have not ended: code that they wait for does not return",
		"waited", leavePatience, "requests", left, "called_from", callsite.Of(stack[:n]))
	go func() {
		for range left {
			closeStream((<-r.ended).response)
		}
	}()
}
