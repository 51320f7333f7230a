package request

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Observers are told what becomes of requests, one after the other. All methods may be
// called by many goroutines at once.
type Observers struct {
	all      []messages.Observer
	hasLimit func(id string) bool // reports whether the table has it, or the last one had
	waits    bool                 // somebody is told of waits
	attempts bool                 // likewise
	logger   *slog.Logger
	failed   [len(hookNames)]atomic.Bool // a hook of that kind has panicked, and that was told
	spare    sync.Pool                   // of *Watch
}

// NewObservers returns nil for none. One without a single hook is none either.
func NewObservers(all []messages.Observer, hasLimit func(id string) bool, logger *slog.Logger) *Observers {
	all = slices.DeleteFunc(slices.Clone(all), func(o messages.Observer) bool {
		return o.Begin == nil && o.Wait == nil && o.Attempt == nil && o.End == nil
	})
	if len(all) == 0 {
		return nil
	}
	return &Observers{
		all: all, hasLimit: hasLimit, logger: logger,
		waits:    slices.ContainsFunc(all, func(o messages.Observer) bool { return o.Wait != nil }),
		attempts: slices.ContainsFunc(all, func(o messages.Observer) bool { return o.Attempt != nil }),
	}
}

// Watch is what observers were told of a request. It is lent by them.
type Watch struct {
	Told    int             // of how many observers Begin was called
	Values  context.Context // what they have made of the caller's context
	Carried bool            // the request's life has begun, which tells of its end
}

// Watch returns one of a request of which nobody has been told.
func (o *Observers) Watch() *Watch {
	if watch, ok := o.spare.Get().(*Watch); ok {
		return watch
	}
	return new(Watch)
}

// Forget takes back what Watch returned. The request has ended.
func (o *Observers) Forget(watch *Watch) {
	*watch = Watch{}
	o.spare.Put(watch)
}

type hook uint8

const (
	beginHook hook = iota
	waitHook
	attemptHook
	endHook
)

var hookNames = [...]string{"Begin", "Wait", "Attempt", "End"}

// contain keeps a panic in a hook from its request. It is deferred.
func (o *Observers) contain(which hook) {
	v := recover()
	if v == nil || o.failed[which].Swap(true) {
		return
	}
	failure := wire.Panicked(messages.Finishing, v)
	o.logger.Error("an observer's hook panicked, which is told once for each kind of hook",
		"hook", hookNames[which], "error", failure, "stack", string(failure.Stack))
}

// Begin tells the observers that a request begins, and takes note of whom it has told.
func (o *Observers) Begin(ctx context.Context, asked *messages.Request, watch *Watch) {
	watch.Values = ctx
	for i := range o.all {
		watch.Told++ // first: its End is called whatever becomes of its Begin
		if begin := o.all[i].Begin; begin != nil {
			o.begin(begin, asked, watch)
		}
	}
}

func (o *Observers) begin(begin func(context.Context, *messages.Request) context.Context, asked *messages.Request, watch *Watch) {
	defer o.contain(beginHook)
	if ctx := begin(watch.Values, asked); ctx != nil && !messages.HoldsNil(ctx) {
		watch.Values = ctx
	}
}

// End tells those that were told of its beginning that a request has ended.
func (o *Observers) End(watch *Watch, ended *messages.Ended) {
	o.endFrom(0, watch, ended)
}

// endFrom goes on with the observers behind one that ends the goroutine.
func (o *Observers) endFrom(first int, watch *Watch, ended *messages.Ended) {
	at := first
	defer func() {
		if at < watch.Told {
			o.endFrom(at+1, watch, ended)
		}
	}()
	for ; at < watch.Told; at++ {
		if end := o.all[at].End; end != nil {
			o.end(end, watch.Values, ended)
		}
	}
}

func (o *Observers) end(end func(context.Context, messages.Ended), ctx context.Context, ended *messages.Ended) {
	defer o.contain(endHook)
	end(ctx, *ended)
}

func (o *Observers) wait(ctx context.Context, w *messages.Waited) {
	for i := range o.all {
		if wait := o.all[i].Wait; wait != nil {
			o.tellWait(wait, ctx, w)
		}
	}
}

func (o *Observers) tellWait(wait func(context.Context, messages.Waited), ctx context.Context, w *messages.Waited) {
	defer o.contain(waitHook)
	wait(ctx, *w)
}

func (o *Observers) attempt(ctx context.Context, a *messages.Attempted) {
	for i := range o.all {
		if attempt := o.all[i].Attempt; attempt != nil {
			o.tellAttempt(attempt, ctx, a)
		}
	}
}

func (o *Observers) tellAttempt(attempt func(context.Context, messages.Attempted), ctx context.Context, a *messages.Attempted) {
	defer o.contain(attemptHook)
	attempt(ctx, *a)
}

// ---- what a life tells them ----

// LimitOf is the limit of a request, as observers are told: one of the table, and no text that
// a caller has made up, of which there is no end. What it was charged to was in the table, which
// may have been replaced since.
func (o *Observers) LimitOf(limitID string, charged bool) string {
	if !charged && !o.hasLimit(limitID) {
		return ""
	}
	return messages.LimitName(limitID)
}

// tellWait is apart from endWait, because of the room that it takes on a stack.
//
//go:noinline
func (r *slot) tellWait(queued, leased time.Duration, err error) {
	o := r.needs.Observers
	o.wait(r.ctx, &messages.Waited{
		Request: r.caller, LimitID: o.LimitOf(r.limit, err == nil), Queued: queued, Leased: leased, Err: err, Stage: r.stage,
	})
}

// noteAttempt keeps what is to be told of an exchange until it is known what follows it. The
// fields are set where they stay: a literal would be made elsewhere, and copied.
func (r *slot) noteAttempt(response *messages.Response, sent messages.Sent, err error) {
	if r.lastTry == nil {
		r.lastTry = new(messages.Attempted)
	}
	last, a := r.lastTry, &r.attempt
	last.Request, last.Method, last.Origin, last.Number, last.Reused = r.caller, r.call.Method, r.call.Origin, r.tried, a.reused
	last.Sent, last.Refused, last.Paused, last.Err = sent, a.paused, a.pause, err
	if response != nil {
		last.SentAt, last.StatusCode = response.SentAt, response.StatusCode
		last.ProtoMajor, last.ProtoMinor = response.ProtoMajor, response.ProtoMinor
	} else {
		last.SentAt, last.StatusCode = r.needs.Epoch.Add(a.began), 0
		last.ProtoMajor, last.ProtoMinor = 0, 0
	}
	if err == nil {
		last.Took = response.AnsweredAt.Sub(response.SentAt)
	} else {
		last.Took = a.ended - last.SentAt.Sub(r.needs.Epoch)
	}
	r.untold = true
}

// tellAttempt tells of the last exchange, if that has not been done.
func (r *slot) tellAttempt(again bool) {
	if r.untold {
		r.untold = false
		r.lastTry.Again = again
		r.needs.Observers.attempt(r.ctx, r.lastTry)
	}
}

// reused reports whether a lease is not of a connection that nobody else has, or had.
func reused(l *ticket.Lease) bool {
	shared, ok := l.Conn.(interface{ Shared() bool })
	return l.Uses > 0 || ok && shared.Shared()
}

// tellEnd tells of the end of a life. If that ends the goroutine, nobody has the answer.
func (r *slot) tellEnd() {
	returned := false
	defer func() {
		if !returned && r.lent != nil {
			_ = r.lent.Close() // it always returns nil
		}
	}()
	o := r.needs.Observers
	ended := messages.Ended{
		Request: r.caller, LimitID: o.LimitOf(r.limit, r.tried > 0), Origin: r.call.Origin, Response: r.response, Err: r.err, Attempts: r.tried,
	}
	switch {
	case !r.Finished: // code of the caller's has ended its goroutine
		ended.Response, ended.Err = nil, r.failure(wire.Panicked(r.stage, nil))
		fallthrough
	case r.response == nil:
		ended.Timing = r.timing
		ended.Timing.Total = r.now() - r.terms.Begun
	default:
		ended.Timing = r.response.Timing
	}
	o.End(r.terms.Watch, &ended)
	returned = true
}
