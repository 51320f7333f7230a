package engine

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
)

// source is the input of a run, and the goroutine that reads it.
type source struct {
	gone   chan struct{} // closed when the goroutine has ended
	pulled atomic.Int64
	cut    atomic.Bool // it ended before the input did
	// asking is set while the input is asked for more, and so whatever it does it begins
	// nothing without a look at the context behind it.
	asking atomic.Bool
	within context.CancelFunc // of FanOut.Within; nil without
	spare  *item              // its goroutine's alone

	// Written before gone is closed, and read behind it.
	panicked *PanicError // a panic in the input
	exited   bool        // a runtime.Goexit in it
}

func (s *source) isGone() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// raised reports whether the input has panicked, or ended its goroutine.
func (s *source) raised() bool { return s.isGone() && (s.panicked != nil || s.exited) }

// raise has the goroutine of the loop do what the input has done.
func (s *source) raise() {
	switch {
	case !s.raised():
	case s.panicked != nil:
		panic(s.panicked.Value)
	default:
		runtime.Goexit()
	}
}

// log tells of a panic that cannot be raised beside another one.
func (s *source) log(logger *slog.Logger) {
	if s.raised() && s.panicked != nil {
		logger.Error("the input of a run panicked while its loop did", "error", s.panicked)
	}
}

// pull reads the input and submits what it has, as credits allow. It is a goroutine of its
// own: neither a slow input holds results back, nor the loop's body the input.
func (r *run) pull() {
	returned := false
	defer func() {
		if v := recover(); v != nil {
			r.source.panicked = wire.Panicked(Admitting, v)
		} else if !returned {
			r.source.exited = true
		}
		if r.source.panicked != nil || r.source.exited {
			r.cancel(errLeft) // at once: the loop's body may take its time
		}
		close(r.source.gone)
	}()
	r.read()
	returned = true
}

// read reads the input to its end, or that of the context.
func (r *run) read() {
	done := r.ctx.Done()
	if !r.credits.await(done) {
		return
	}
	r.ask()
	for req := range r.input {
		r.source.asking.Store(false)
		if r.isOver() {
			return // read after the end: the loop may be over
		}
		for !r.credits.take() {
			if !r.credits.await(done) {
				break // and it is submitted, to end with what the context says
			}
		}
		r.send(r.newItem(req, done))
		if !r.credits.await(done) {
			return
		}
		r.ask()
	}
	r.source.asking.Store(false)
	// An input that returns because the context has ended may have had more. It may have heard
	// of that a moment before the run's own context does.
	if r.caller.Ended() {
		<-done
	}
	r.source.cut.Store(r.isOver())
}

// isOver reports whether the context has ended, or its deadline has passed, which requests
// may be told a moment before it ends: those that had failed by it would make room for
// others that do.
func (r *run) isOver() bool {
	if r.ctx.Err() != nil {
		return true
	}
	if r.until.IsZero() || time.Now().Before(r.until) {
		return false
	}
	const moment = 10 * time.Millisecond
	late := time.NewTimer(moment)
	defer late.Stop()
	select {
	case <-r.ctx.Done():
	case <-late.C: // of a context of the caller's own, which does not keep its word
		r.cancel(context.DeadlineExceeded)
	}
	return true
}

// ask notes that the input is asked for more. The loop may sleep already, with a context
// that has ended, and would not know that nothing more is begun.
func (r *run) ask() {
	r.source.asking.Store(true)
	if r.ctx.Err() != nil {
		r.signal()
	}
}

// newItem takes a spare item, or makes one.
func (r *run) newItem(req *Request, done <-chan struct{}) *item {
	if r.source.spare == nil {
		r.source.spare = r.spare.takeAll()
	}
	it := r.source.spare
	if it == nil {
		it = &item{run: r}
	} else {
		r.source.spare, it.next = it.next, nil
	}
	it.index, it.request, it.sent = r.source.pulled.Load(), req, req
	r.source.pulled.Add(1)
	if r.rules.ask != nil && req != nil {
		it.sent = r.rules.ask(req)
	}
	if r.how.InOrder {
		if it.sent != nil && it.sent.Stream {
			r.earlier.await(done)
		}
		r.earlier.going.Add(1)
	}
	it.ctx = r.ctx
	if r.how.Each > 0 {
		it.ctx, it.cancel = context.WithTimeout(r.ctx, r.how.Each)
		it.until, _ = it.ctx.Deadline()
	}
	r.tally.begun(it)
	r.out.Add(1)
	return it
}

// send has an item go, for the first time or again. It is not the caller's any more.
func (r *run) send(it *item) {
	it.tries++
	if takes(it.sent) {
		r.crews.put(it)
		return
	}
	// Code of the caller's that ends its goroutine ends one request, and not the input.
	_ = wire.Apart(Admitting, func() { r.eng.submit(it.ctx, it.sent, it) })
}
