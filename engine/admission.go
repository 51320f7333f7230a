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
	limit   int64 // written by newAdmission, read by every caller
	patient int   // how many may wait; none means that a shortage refuses. Likewise

	// The closing bit, and the credits in use. Written by the caller of take,
	// with or without mu, and of leave, without it; the bit by close, with mu.
	// Read by all of them and by credits.
	inFlight atomic.Int64
	// Those in queue, and those about to join it. Written by whoever changes
	// queue, with mu; read by leave, without.
	waiting atomic.Int64
	// Closed by the first that finds the admission closing and nothing in
	// flight: close, or the last caller of leave. Read by Shutdown and stop.
	idle    chan struct{}
	drained sync.Once // guards the closing of idle

	mu sync.Mutex
	// Most urgent first, first come first within a priority. Written and read
	// with mu: by join, withdraw, promote and close, and read by credits.
	queue []*applicant
}

// applicant is a caller of enter that waits for a credit.
type applicant struct {
	priority messages.Priority // written by enter; read by those who join later, with mu
	// Receives nil with the credit, or why there is none. Of capacity 1, written
	// once by whoever takes the applicant out of the queue, and read by its
	// caller: nobody who writes ever waits.
	verdict chan error
}

// closingBit makes inFlight larger than any limit, so that the one comparison
// which finds that there is no credit finds closing too.
const closingBit = int64(1) << 62

func newAdmission(limit, patient int) *admission {
	return &admission{limit: int64(limit), patient: patient, idle: make(chan struct{})}
}

// enter takes a credit, waiting for one if that is the policy.
func (a *admission) enter(ctx context.Context, priority messages.Priority) error {
	err := a.take()
	if err != ErrOverloaded || a.patient == 0 {
		return err // nil with the credit, too
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
		return messages.ContextError(ctx) // a credit that came at the same instant has been given back
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

// join queues an applicant, unless it is answered at once.
func (a *admission) join(p *applicant) (err error, answered bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// Count first, look then; leave gives back first and reads the count then. So
	// of a credit given back meanwhile one side or the other knows.
	a.waiting.Add(1)
	err = a.take()
	if err != ErrOverloaded || len(a.queue) >= a.patient && !a.shedFor(p) {
		a.waiting.Add(-1)
		return err, true
	}
	// Never equal, so that the place found is behind all of the same priority.
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
// It requires that mu is held and that the queue is full.
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

// withdraw takes out an applicant whose caller left.
func (a *admission) withdraw(p *applicant) {
	a.mu.Lock()
	at := slices.Index(a.queue, p)
	if at >= 0 {
		a.queue = slices.Delete(a.queue, at, at+1)
		a.waiting.Add(-1)
	}
	a.mu.Unlock()
	// Who is not in the queue has its verdict in the channel; if that is a credit,
	// nobody else would ever give it back.
	if at < 0 && <-p.verdict == nil {
		a.leave()
	}
}

// leave gives a credit back, to the most urgent applicant if there is one.
func (a *admission) leave() {
	n := a.inFlight.Add(-1)
	if n == closingBit { // closing, and this was the last
		a.drained.Do(func() { close(a.idle) })
		return
	}
	if a.waiting.Load() > 0 {
		a.promote()
	}
}

// promote gives the most urgent applicant a credit, if both are there.
func (a *admission) promote() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return
	}
	// A newcomer may have taken the credit meanwhile, for take does not queue. It
	// promotes the next when it leaves.
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
	// Only close sets the bit, and with mu held: it is set once.
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
