package engine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/callsite"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// rules are what Fetch's kind of run does otherwise than Stream.
type rules struct {
	ask    func(*Request) *Request        // what is submitted in a request's place; nil for itself
	refuse func(*Request, *Response) bool // an answer that is a failure; nil goes by FanOut.FailStatuses
	raw    bool                           // what refuse finds stays a Response
	begins func(context.Context)          // is told the context of the run before the input is asked; nil is nobody
}

// run is one call of Stream, or of what is built on it.
//
//	input ──▶ pull ── send ──▶ crews ──▶ requests ── ended ──▶ finished ──▶ results ──▶ the loop
//	            ▲                ▲                     │                      │
//	            │                └────── again ◀───────┘                      │
//	            └─────────────────────── credits ◀────────────────────────────┘
//
// Invariant: every item that was begun is in exactly one place: with a crew, submitted, waiting
// to go again, finished, in turns, or in batch. out counts them until the goroutine of the loop
// takes them from finished.
type run struct {
	eng     *Engine
	how     FanOut
	rules   rules
	input   iter.Seq[*Request]
	invalid error       // why it cannot begin
	stack   []uintptr   // of whoever called Stream
	used    atomic.Bool // somebody has ranged over it
	extent

	credits   *credits
	out       atomic.Int64
	finished  stack
	spare     stack
	wake      chan struct{} // something is finished, or has changed; room for one
	crews     crews
	earlier   earlier // of a run in order
	again     again
	source    source
	abandoned atomic.Bool // the loop is gone, and waits no more: who finishes tidies up

	// The goroutine of the loop alone uses these.
	batch *item // taken and not handed over
	turns turns
	tally tally
}

// extent is for how long a run lasts.
type extent struct {
	parent context.Context // the caller's
	// begin sets these.
	caller *wire.Contained // the same, for the engine's code
	ctx    context.Context
	cancel context.CancelCauseFunc
	until  time.Time // the end of ctx; zero for none
}

// over is why nothing of the run is to leave any more; nil if it may. The run's context ends with the
// caller's, and those that FanOut.Each makes with the run's, one after the other.
func (e *extent) over() error {
	switch {
	case e.ctx.Err() != nil:
		return messages.ContextError(e.ctx)
	case e.caller.Ended():
		return cmp.Or(messages.ContextError(e.caller), context.Canceled)
	}
	return nil
}

// newRun never fails: what is wrong is a result.
func (e *Engine) newRun(ctx context.Context, input iter.Seq[*Request], how FanOut, rules rules) *run {
	r := &run{eng: e, extent: extent{parent: ctx}, input: input, rules: rules, wake: make(chan struct{}, 1)}
	var stack [32]uintptr
	r.stack = slices.Clone(stack[:runtime.Callers(2, stack[:])])
	r.how, r.invalid = how.read()
	switch {
	case e.made() != nil:
		r.invalid = e.made()
	case ctx == nil:
		r.invalid = fmt.Errorf("%w: the context is nil", ErrInvalidRun)
	case input == nil:
		r.invalid = fmt.Errorf("%w: the input is nil", ErrInvalidRun)
	case r.invalid != nil:
		r.invalid = fmt.Errorf("%w: %w", ErrInvalidRun, r.invalid)
	}
	return r
}

// results is what Stream returns.
func (r *run) results(yield func(*Request, Result) bool) {
	if r.used.Swap(true) {
		yield(nil, aboutTheRun(0, ErrRanTwice))
		return
	}
	if err := r.begin(); err != nil {
		yield(nil, aboutTheRun(0, err))
		return
	}
	returned := false
	// The only place that cancels and waits: it is reached by break, by a panic and by
	// runtime.Goexit in the loop's body alike.
	defer func() { r.leave(returned) }()
	if r.deliver(yield) && !r.source.raised() && r.source.cut.Load() {
		yield(nil, aboutTheRun(r.source.pulled.Load(), messages.ContextError(r.ctx)))
	}
	returned = true
}

func aboutTheRun(pulled int64, err error) Result {
	return Result{Index: -1, Err: &RunError{Pulled: pulled, Err: err}}
}

// begin makes the context of the run. The caller's context may be code that panics.
func (r *run) begin() error {
	if r.invalid != nil {
		return r.invalid
	}
	err := wire.Guard(Admitting, func() {
		r.caller = wire.Contain(r.parent) // goroutines of package context's ask it
		r.ctx, r.cancel = context.WithCancelCause(r.caller)
		if r.how.Within > 0 {
			r.ctx, r.source.within = context.WithTimeout(r.ctx, r.how.Within)
		}
		r.until, _ = r.ctx.Deadline()
	})
	if err != nil {
		return err
	}
	if r.rules.begins != nil {
		r.rules.begins(r.ctx)
	}
	r.credits = newCredits(r.how.Window)
	r.again.run, r.tally.run = r, r
	r.crews.prepare(r)
	r.earlier.wake = make(chan struct{}, 1)
	r.tally.begin()
	r.eng.runs.add(r)
	r.source.gone = make(chan struct{})
	r.source.cut.Store(true) // until it has come to the input's end
	go r.pull()
	return nil
}

// stop cancels the rest, as FanOut.StopAtFirst says. What fails by the run's deadline may be told a
// moment before its context ends, and has not stopped it.
func (r *run) stop() {
	if !r.until.IsZero() && !time.Now().Before(r.until) {
		r.cancel(context.DeadlineExceeded)
		return
	}
	r.cancel(ErrStopped)
}

// endOfItself is why a run was over before all that it had read was done, if it was and no failure has
// stopped it.
func (r *run) endOfItself() error {
	if context.Cause(r.ctx) == ErrStopped {
		return nil
	}
	return messages.ContextError(r.ctx)
}

// deliver hands results over until there will be none; false if the loop was left.
func (r *run) deliver(yield func(*Request, Result) bool) bool {
	for r.await() {
		for r.batch != nil {
			it := r.batch
			r.batch = it.next
			r.tally.ended(it)
			if !r.how.InOrder {
				if !r.hand(it, yield) {
					return false
				}
				continue
			}
			r.turns.put(it)
			for it = r.turns.take(); it != nil; it = r.turns.take() {
				if !r.hand(it, yield) {
					return false
				}
			}
		}
	}
	return true
}

// await waits for a batch; false if none will come.
func (r *run) await() bool {
	gone, ended := r.source.gone, r.ctx.Done()
	for {
		if r.source.raised() {
			return false
		}
		r.tally.look()
		// Read before what is finished: after it nothing more is begun.
		over := r.source.isGone() || r.ctx.Err() != nil && r.source.asking.Load()
		if r.takeBatch() {
			return true
		}
		if over && r.out.Load() == 0 {
			return false
		}
		r.credits.nudge()
		select {
		case <-r.wake:
		case <-gone:
			gone = nil
		case <-ended:
			ended = nil
			r.crews.flush()
			r.again.flush(messages.ContextError(r.ctx))
		case <-r.tally.tick():
			r.tally.tell(false)
		}
	}
}

func (r *run) takeBatch() bool {
	var n int64
	r.batch, n = reversed(r.finished.takeAll())
	r.out.Add(-n)
	return n > 0
}

// hand hands one result over; false if the loop was left.
func (r *run) hand(it *item, yield func(*Request, Result) bool) bool {
	result := Result{Index: it.index, Request: it.request, Response: it.response, Err: it.err, Tries: it.tries}
	if it.failed && it.err == nil && !r.rules.raw {
		result.Response, result.Err = nil, &StatusError{Answer: it.response.Answer()}
	}
	if it.err != nil {
		result.Response = nil
	}
	if it.failed && r.how.StopAtFirst {
		r.stop() // who has finished it does so too, and may be slower: no credit is given before
	}
	r.tally.done(it)
	outside := it.outside
	it.clear()
	r.spare.push(it)
	if !yield(result.Request, result) {
		return false
	}
	if !outside {
		r.credits.give()
	}
	if r.credits.owed.Load() {
		r.again.hurry()
	}
	r.tally.look()
	return true
}

// lends is part of borrower.
func (it *item) lends(stream *request.Stream) { it.lent = stream }

// toldBy is part of listener: ended for an item that was submitted.
func (it *item) toldBy(p *Pending) {
	if it.submitted {
		it.countOut()
	}
	it.ended(p.response, p.err)
}

// ended is what a request of the run is told by, on its own goroutine.
func (it *item) ended(response *Response, err error) {
	r := it.run
	it.response, it.err = response, err
	if it.doubted {
		it.inDoubt()
	}
	streamed := it.response != nil && it.response.Stream != nil
	it.failed = r.fails(it)
	at, again := r.again.when(it)
	switch {
	case again && streamed: // to close it may be the caller's own code, and take time
		go func() {
			closeStream(it.response)
			r.park(it, at)
		}()
	case it.failed && streamed: // and so may what there is of it: nobody else waits for that
		go func() {
			keepBeginning(it.response, closing(it.lent))
			r.finish(it)
		}()
	case again:
		r.park(it, at)
	default:
		r.finish(it)
	}
}

// park has an item go again, unless the run is about to end.
func (r *run) park(it *item, at time.Time) {
	if !r.again.park(it, at) {
		r.finish(it)
	}
}

// finish gives an item to the goroutine of the loop.
func (r *run) finish(it *item) {
	it.endContext()
	stops := it.failed && r.how.StopAtFirst
	if r.how.InOrder {
		r.earlier.ended()
	}
	if r.finished.push(it) {
		r.signal()
	}
	if stops { // behind it, so that the loop sees it before what it stops
		r.stop()
	}
	if r.abandoned.Load() {
		go r.tidy() // it may close streams
	}
}

// endContext ends the context that FanOut.Each has made, or has it end with the stream of the
// answer. It is called when the item does not go again: closing a stream before ends nothing.
func (it *item) endContext() {
	switch {
	case it.cancel == nil:
	case it.response == nil || it.response.Stream == nil:
		it.cancel()
	case it.lent != nil: // whatever a post-processor has put around it
		it.lent.OnEnd(it.cancel)
	default:
		it.response.Stream = &lastRead{it.response.Stream, it.cancel}
	}
}

// lastRead is a post-processor's own stream, with which a context ends.
type lastRead struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Read is part of io.Reader.
func (s *lastRead) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil {
		s.cancel()
	}
	return n, err
}

// Close is part of io.Closer.
func (s *lastRead) Close() error {
	defer s.cancel()
	return s.ReadCloser.Close()
}

func (r *run) signal() {
	select {
	case r.wake <- struct{}{}:
	default: // it is to look already
	}
}

func (r *run) fails(it *item) bool {
	switch {
	case it.err != nil || it.response == nil:
		return true
	case r.rules.refuse != nil:
		return r.rules.refuse(it.request, it.response)
	}
	return r.how.FailStatuses && it.response.StatusCode >= 400
}

// leave cancels what is left of the run and waits for it. It is deferred; returned tells
// an end of the loop, or a break, from a panic and from runtime.Goexit.
func (r *run) leave(returned bool) {
	r.cancel(errLeft)
	if r.source.within != nil {
		r.source.within()
	}
	r.crews.flush()
	r.again.flush(nil)
	for it := r.batch; it != nil; it = it.next {
		closeStream(it.response)
	}
	for _, it := range r.turns.drain() {
		closeStream(it.response)
	}
	r.waitForRest()
	r.eng.runs.remove(r)
	r.tally.end(returned)
	if returned {
		r.source.raise()
	} else {
		r.source.log(r.eng.scribe.Logger())
	}
}

func (r *run) waitForRest() {
	patience := time.NewTimer(leavePatience)
	defer patience.Stop()
	gone := r.source.gone
	for {
		isGone := r.source.isGone()
		r.tidy()
		if isGone && r.out.Load() == 0 {
			return
		}
		select {
		case <-r.wake:
		case <-gone:
			gone = nil
		case <-patience.C:
			r.abandon()
			return
		}
	}
}

// abandon waits no longer for what ignores that its context has ended.
func (r *run) abandon() {
	text := "a run of requests has ended, and some of its requests have not: code that they wait for does not return, and holds what they hold"
	if !r.source.isGone() && r.source.asking.Load() {
		text = "a run of requests has ended, and its input has not returned: one that blocks must watch the context; its goroutine is left until it does"
	}
	r.eng.scribe.Logger().Warn(text, "waited", leavePatience, "requests", r.out.Load(), "called_from", callsite.Of(r.stack))
	r.abandoned.Store(true)
	r.tidy()
}

// tidy closes the streams of what is finished, and counts it as gone.
func (r *run) tidy() {
	first, n := reversed(r.finished.takeAll())
	for it := first; it != nil; it = it.next {
		closeStream(it.response)
	}
	r.out.Add(-n)
}

// closeStream closes the stream of an answer that nobody will be handed, and returns: it may be a
// post-processor's, which ends the goroutine that it is closed on.
func closeStream(response *Response) {
	if response != nil && response.Stream != nil {
		_ = wire.Apart(Finishing, func() { _ = response.Stream.Close() })
	}
}
