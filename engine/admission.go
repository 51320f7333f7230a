package engine

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-engine/sluice/messages"
)

// admission holds the credits: how many requests may be on their journey at
// once. Without a shortage it is one atomic operation each way.
//
// Invariant: inFlight without the closing bit never exceeds limit.
type admission struct {
	limit   int64
	patient int // how many may wait; none means that a shortage refuses

	inFlight atomic.Int64  // the closing bit, and the credits in use
	waiting  atomic.Int64  // len(queue), and those about to join it
	idle     chan struct{} // closed when closing and nothing is in flight
	drained  sync.Once

	mu    sync.Mutex
	queue []*applicant // most urgent first, first come first within a priority
}

// applicant waits for a credit. verdict receives nil with the credit, or why
// there is none.
type applicant struct {
	priority messages.Priority
	verdict  chan error // capacity 1; written once, by whoever takes it out of the queue
}

const closingBit = int64(1) << 62

func newAdmission(limit, patient int) *admission {
	return &admission{limit: int64(limit), patient: patient, idle: make(chan struct{})}
}

// enter takes a credit, waiting for one if that is the policy.
func (a *admission) enter(ctx context.Context, priority messages.Priority) error {
	err := a.take()
	if err != ErrOverloaded || a.patient == 0 {
		return err
	}
	p := &applicant{priority: priority, verdict: make(chan error, 1)}
	if err, answered := a.join(p); answered {
		return err
	}
	select {
	case err := <-p.verdict:
		return err
	case <-ctx.Done():
		a.withdraw(p)
		return ctx.Err()
	}
}

// take takes a credit if there is one.
func (a *admission) take() error {
	for {
		n := a.inFlight.Load()
		switch {
		case n >= closingBit:
			return ErrClosed
		case n >= a.limit:
			return ErrOverloaded
		case a.inFlight.CompareAndSwap(n, n+1):
			return nil
		}
	}
}

// join queues an applicant, unless it is answered at once. The count goes up
// before the last look, so that a credit given back meanwhile is seen by one
// side or the other.
func (a *admission) join(p *applicant) (err error, answered bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting.Add(1)
	err = a.take()
	if err != ErrOverloaded || len(a.queue) >= a.patient && !a.shedFor(p) {
		a.waiting.Add(-1)
		return err, true
	}
	at, _ := slices.BinarySearchFunc(a.queue, p, func(q, p *applicant) int {
		if q.priority >= p.priority {
			return -1
		}
		return 1
	})
	a.queue = slices.Insert(a.queue, at, p)
	return nil, false
}

// shedFor makes room for a more urgent applicant by refusing the least urgent.
func (a *admission) shedFor(p *applicant) bool {
	last := a.queue[len(a.queue)-1]
	if last.priority >= p.priority {
		return false
	}
	a.queue = a.queue[:len(a.queue)-1]
	a.waiting.Add(-1)
	last.verdict <- ErrOverloaded
	return true
}

// withdraw takes out an applicant whose caller left. If it was answered before
// that, its credit is given back.
func (a *admission) withdraw(p *applicant) {
	a.mu.Lock()
	at := slices.Index(a.queue, p)
	if at >= 0 {
		a.queue = slices.Delete(a.queue, at, at+1)
		a.waiting.Add(-1)
	}
	a.mu.Unlock()
	if at < 0 && <-p.verdict == nil {
		a.leave()
	}
}

// leave gives a credit back, to the most urgent applicant if there is one.
func (a *admission) leave() {
	n := a.inFlight.Add(-1)
	if n == closingBit {
		a.drained.Do(func() { close(a.idle) })
		return
	}
	if a.waiting.Load() > 0 {
		a.promote()
	}
}

func (a *admission) promote() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return
	}
	if a.take() != nil {
		return
	}
	first := a.queue[0]
	a.queue = slices.Delete(a.queue, 0, 1)
	a.waiting.Add(-1)
	first.verdict <- nil
}

// close refuses everyone who waits and everyone to come. It is idempotent.
func (a *admission) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inFlight.Load() < closingBit && a.inFlight.Add(closingBit) == closingBit {
		a.drained.Do(func() { close(a.idle) })
	}
	for _, p := range a.queue {
		p.verdict <- ErrClosed
	}
	a.waiting.Add(-int64(len(a.queue)))
	a.queue = nil
}

// credits returns how many requests are on their journey, and how many wait to
// start it.
func (a *admission) credits() (inFlight, waiting int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(a.inFlight.Load() &^ closingBit), len(a.queue)
}
