package load

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/bench/schedule"
)

// waker releases arrivals when they are due. It waits for nothing but the next instant: not
// for a client, not for a worker. What has become due while it slept is released at once, each
// with its own intended instant, which the desk knows from a schedule of its own.
type waker struct {
	schedule schedule.Schedule
	length   time.Duration // of the schedule; 0 if it has no end
	warmUp   time.Duration
	now      func() time.Duration
	sleep    func(ctx context.Context, until time.Duration) // may return early
	release  func(n uint64)

	mu      sync.Mutex
	offered map[part]uint64 // since the last look
	total   uint64          // of the main part
	asleep  time.Duration   // overslept in all, by more than lagFloor each time
	longest time.Duration
	drowsed time.Duration // as asleep, while the run was drained
}

// atLeast is how long the waker sleeps: above some thousand requests a second several are due
// when it wakes. They are late by at most as much, and their response says so.
const atLeast = 100 * time.Microsecond

// atMost is how long it sleeps, however far the next arrival is: a process that stands still
// between arrivals sees answers late as well, and oversleeping tells of it.
const atMost = 50 * time.Millisecond

// run returns when the schedule is at its end, which may be long after the last arrival, or
// ctx.
func (w *waker) run(ctx context.Context) {
	n, slept := uint64(0), time.Duration(0)
	due, more := w.schedule.At(0)
	for ctx.Err() == nil {
		now := w.now()
		if !more {
			due = w.length
		}
		if due > now {
			until := max(min(due, now+atMost), slept+atLeast)
			w.sleep(ctx, until)
			slept = w.now()
			w.overslept(slept - until)
			continue
		}
		if !more {
			return
		}
		for more && due <= now && ctx.Err() == nil {
			at := part{secondOf(due), due < w.warmUp}
			first := n
			// All arrivals of one part are counted together, but for very many: then somebody may want
			// the end meanwhile.
			for more && due <= now && secondOf(due) == at.second && (due < w.warmUp) == at.warm && n-first < mostAtOnce {
				n++
				due, more = w.schedule.At(n)
			}
			w.offer(at, n-first)
		}
		w.release(n)
	}
}

// mostAtOnce is how many arrivals are counted between two looks whether the run is to end.
const mostAtOnce = 1 << 16

func (w *waker) offer(at part, n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.offered == nil {
		w.offered = make(map[part]uint64)
	}
	w.offered[at] += n
	if !at.warm {
		w.total += n
	}
}

func (w *waker) overslept(by time.Duration) { w.slept(&w.asleep, by) }

func (w *waker) slept(sum *time.Duration, by time.Duration) {
	if by <= lagFloor {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	*sum += by
	w.longest = max(w.longest, by)
}

// attend notes, until ctx ends, whether the process stands still while it waits for answers.
func (w *waker) attend(ctx context.Context) {
	for ctx.Err() == nil {
		until := w.now() + atMost
		pause(ctx, atMost)
		w.slept(&w.drowsed, w.now()-until)
	}
}

// collect hands over what was offered since it was last called.
func (w *waker) collect(f func(at part, n uint64)) {
	w.mu.Lock()
	offered := w.offered
	w.offered = nil
	w.mu.Unlock()
	for at, n := range offered {
		f(at, n)
	}
}

// account says what was offered in the main part, and how badly the waker slept: before the
// drain, in it, and at most at once.
func (w *waker) account() (offered uint64, asleep, drowsed, longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total, w.asleep, w.drowsed, w.longest
}
