package load

import (
	"context"
	"sync/atomic"
	"time"
)

// loop is what the callers of a closed run share.
type loop struct {
	run    *runner
	issued atomic.Uint64
	limit  uint64        // of requests; 0 means none
	length time.Duration // after which nothing more is issued; 0 means never
	last   chan struct{} // closed when the last one was issued
}

func newLoop(r *runner) *loop {
	l := &loop{run: r, limit: share(r.cfg.Closed.Requests, r.cfg.Worker, r.cfg.Workers), length: r.cfg.Closed.For, last: make(chan struct{})}
	if r.cfg.Closed.Requests > 0 && l.limit == 0 { // other machines have them all
		close(l.last)
	}
	return l
}

// call makes one request after another. Each is due when its caller could send it: at the
// end of the answer before, and of the pause for thought. So a closed run measures what its
// callers felt, and omits what did not arrive because they waited.
func (l *loop) call(ctx context.Context, w *worker) {
	defer w.leave()
	due, think := l.run.now(), l.run.cfg.Closed.Think
	for ctx.Err() == nil && !(l.length > 0 && due >= l.length) {
		n := l.issued.Add(1) - 1
		if l.run.cfg.Closed.Requests > 0 && n >= l.limit {
			return
		}
		if n+1 == l.limit {
			close(l.last)
		}
		due = w.arrival(l.run.number(n), due, false)
		if think > 0 {
			due += think
			pause(ctx, due-l.run.now())
		}
	}
}

// share is what one of several machines has of a number of things.
func share(all uint64, worker, workers int) uint64 {
	if workers < 2 {
		return all
	}
	mine := all / uint64(workers)
	if uint64(worker) < all%uint64(workers) {
		mine++
	}
	return mine
}
