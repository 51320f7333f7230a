package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// admission holds the credits: how many requests may be on their journey at
// once. Without a shortage it is one atomic operation each way.
//
// Who waits is served first, by rank: priority, then first come. A credit that
// comes back while somebody waits is handed over under mu, and whoever comes
// meanwhile joins the queue, because the waiting bit makes take fail.
//
// Invariants: the credits in use never exceed limit. Whenever mu is free, the
// waiting bit is set exactly if the queue is not empty.
type admission struct {
	limit   int64 // written by newAdmission, read by every caller
	patient int   // how many may wait; none means that a shortage refuses. Likewise

	// The credits in use, and the two bits below. The number is raised by take,
	// with the bits clear, and by whoever holds mu; it is lowered by leave. The
	// bits belong to whoever holds mu. Read by all of them and by credits.
	state atomic.Int64
	// Closed by the first that finds the admission closing and nothing in
	// flight: close, or the last caller of leave. Read by Shutdown and stop.
	idle    chan struct{}
	drained sync.Once // guards the closing of idle

	mu    sync.Mutex
	queue applicants // guarded by mu

	turnedAway atomic.Int64 // requests that ended without a journey
	overloaded atomic.Int64 // those of them that ErrOverloaded ended
	toldAt     atomic.Int64 // when that was last told, on the ledger's clock; zero for never
}

const tellsOverloadEvery = 30 * time.Second

// turnAway counts a request that ends with an error before its journey began.
func (e *Engine) turnAway(req *Request, err error) error {
	e.countTurnedAway(err)
	return messages.NewError(req, Admitting, err)
}

func (e *Engine) countTurnedAway(err error) {
	a := e.admission
	a.turnedAway.Add(1)
	if errors.Is(err, ErrOverloaded) {
		n, now, told := a.overloaded.Add(1), int64(e.system.Now()), a.toldAt.Load()
		if (told == 0 || now-told >= int64(tellsOverloadEvery)) && a.toldAt.CompareAndSwap(told, max(1, now)) {
			e.scribe.Logger().Warn("requests are turned away, for too many are in flight: Admission bounds them", "so far", n)
		}
	}
}

// Each bit makes state larger than any limit, so that the one comparison which
// finds that there is no credit finds them too.
const (
	waitingBit = int64(1) << 61 // somebody is in the queue, or about to be
	closingBit = int64(1) << 62 // set once, by close
	bits       = waitingBit | closingBit
)

func newAdmission(limit, patient int) *admission {
	return &admission{limit: min(int64(limit), waitingBit-1), patient: patient, idle: make(chan struct{})}
}

// enter takes a credit, waiting for one if that is the policy.
func (a *admission) enter(ctx context.Context, p *applicant) error {
	err := a.take()
	if err != ErrOverloaded || a.patient == 0 {
		return err // nil with the credit, too
	}
	p.verdict = make(chan error, 1)
	a.join(p)
	select {
	case err := <-p.verdict:
		return err
	case <-ctx.Done():
		a.withdraw(p)
		return messages.ContextError(ctx) // a credit that came at the same instant has been given back
	}
}

// take takes a credit if there is one, and nobody waits for it.
func (a *admission) take() error {
	for {
		n := a.state.Load()
		switch {
		case n >= closingBit:
			return ErrClosed
		case n >= a.limit:
			return ErrOverloaded
		case a.state.CompareAndSwap(n, n+1):
			return nil
		}
	}
}

// join queues an applicant, who may be answered at once.
func (a *admission) join(p *applicant) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state.Load() >= closingBit {
		p.answer(ErrClosed)
		return
	}
	// Under the lock that whoever halts takes next: of the two, one sees the other.
	if err := p.refused(); err != nil {
		p.answer(err)
		return
	}
	// The bit first, then a look at the credits: leave gives back first and looks
	// at the bit then. So of a credit given back meanwhile one side or the other
	// knows.
	a.state.Or(waitingBit)
	a.queue.add(p)
	a.handOver()
	if a.queue.len() > a.patient {
		a.queue.takeLast().answer(ErrOverloaded)
	}
	a.settleBit()
}

// handOver gives the credits that are free to the first in the queue. It
// requires that mu is held and the waiting bit set, so that nobody else takes
// one.
func (a *admission) handOver() {
	for a.queue.len() > 0 && a.state.Load()&^bits < a.limit {
		a.state.Add(1)
		a.queue.takeFirst().answer(nil)
	}
}

// settleBit lets callers take credits again once nobody waits. It requires that
// mu is held.
func (a *admission) settleBit() {
	if a.queue.len() == 0 {
		a.state.And(^waitingBit)
	}
}

// refuseHalted refuses those who wait and are halted.
func (a *admission) refuseHalted() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue.refuse((*applicant).refused)
	a.settleBit()
}

// remove takes an applicant out, and reports whether it was in the queue.
func (a *admission) remove(p *applicant) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	queued := a.queue.remove(p)
	if queued {
		a.settleBit()
	}
	return queued
}

// withdraw takes out an applicant whose caller left.
func (a *admission) withdraw(p *applicant) {
	queued := a.remove(p)
	// Who is not in the queue has its verdict in the channel; if that is a credit,
	// nobody else would ever give it back.
	if !queued && <-p.verdict == nil {
		a.leave()
	}
}

// leave gives a credit back, to the first in the queue if there is one.
func (a *admission) leave() {
	n := a.state.Add(-1)
	if n&bits == 0 {
		return
	}
	if n&waitingBit != 0 {
		a.mu.Lock()
		a.handOver()
		a.settleBit()
		a.mu.Unlock()
	}
	a.noteIdle()
}

// noteIdle tells those who wait for the end, if this is it: closing, and nothing
// in flight.
func (a *admission) noteIdle() {
	if a.state.Load() == closingBit {
		a.drained.Do(func() { close(a.idle) })
	}
}

// close refuses everyone who waits and everyone to come. It is idempotent.
func (a *admission) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Or(closingBit)
	for a.queue.len() > 0 {
		a.queue.takeFirst().answer(ErrClosed)
	}
	a.settleBit()
	a.noteIdle()
}

// credits returns how many requests are on their journey, and how many wait to
// start it.
func (a *admission) credits() (inFlight, waiting int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(a.state.Load() &^ bits), a.queue.len()
}
