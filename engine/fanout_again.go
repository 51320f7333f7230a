package engine

import (
	"cmp"
	"container/heap"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// again holds the requests of a run that were refused for now, until they go again. Those
// that are outside of the window need a credit then, and come before the input. One timer
// is set for the first of all.
//
// Invariant: while mu is free and the run not stopped, each that is due is on its way, or
// lacks a credit and credits.owed is set.
type again struct {
	run *run

	mu      sync.Mutex
	inside  dueHeap // they hold a credit
	outside dueHeap
	timer   *time.Timer // nil until the first; its func is send
	stopped bool        // the run is at its end: nothing goes again
}

// mostDoubling bounds the pauses after refusals that say nothing: 2^6 times 100 to 200 ms.
const mostDoubling = 6

// when says whether the failure of an item is one that passes, and when it is to go again.
// It is called before anybody else has the item.
func (a *again) when(it *item) (at time.Time, again bool) {
	r := a.run
	if it.tries > r.how.RetryLater || r.ctx.Err() != nil || it.request == nil {
		return at, false
	}
	err := it.failure()
	if err == nil {
		return at, false
	}
	said := ask(err, it.tries)
	if !said.passes || !said.clean && !it.request.IsIdempotent() {
		return at, false
	}
	at = time.Now().Add(said.pause)
	for _, end := range []time.Time{it.until, r.until} {
		if !end.IsZero() && !at.Before(end) { // it would wait in vain
			return at, false
		}
	}
	it.doubted = it.doubted || !said.clean
	return at, true
}

// verdict is what an error says of going again.
type verdict struct {
	passes bool          // it is for now
	clean  bool          // nothing was carried out
	pause  time.Duration // until it makes sense
}

// ask asks an error, whose methods may be the caller's own: they may panic, or end the goroutine that
// they are called on. Then it says nothing.
func ask(err error, tries int) verdict {
	var said verdict
	if cut := wire.Apart(Finishing, func() {
		said = verdict{passes(err) && !lasting(err), untouched(err), pauseBefore(tries, err)}
	}); cut != nil {
		return verdict{}
	}
	return said
}

// inDoubt has the end of a try say what is known of all of them: one before it may have been
// carried out, whatever became of this one.
func (it *item) inDoubt() {
	if it.response != nil {
		it.response.Sent = it.response.Sent.Worst(SentMaybe)
	}
	if failure, is := it.err.(*Error); is {
		all := *failure // others may share it
		all.Sent = all.Sent.Worst(SentMaybe)
		it.err = &all
	}
}

// failure is what the last try of an item failed with: its error, or its answer, if that refuses.
func (it *item) failure() error {
	if it.err == nil && it.response != nil && refuses(it.response.StatusCode) {
		return &StatusError{Answer: it.response.Answer()}
	}
	return it.err
}

func refuses(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusTeapot || status == http.StatusServiceUnavailable
}

// passes reports whether an error is a refusal for now.
func passes(err error) bool {
	if errors.Is(err, ErrHalted) { // whatever it failed with before
		return false
	}
	if failure, ok := errors.AsType[*Error](err); ok && !failure.RetryAt.IsZero() {
		return true
	}
	if refused, ok := errors.AsType[*StatusError](err); ok && refuses(refused.StatusCode) {
		return true
	}
	return errors.Is(err, ErrQueueFull) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrTooManyWaiters)
}

// untouched reports whether it is certain that a request was not carried out.
func untouched(err error) bool {
	outcome := OutcomeOf(err)
	return outcome == NotSent || outcome == Refused
}

// pauseBefore is what the error says, or a pause that doubles with the tries.
func pauseBefore(tries int, err error) time.Duration {
	if pause, said := pauseSaid(err); said {
		return pause
	}
	return (leastPause + rand.N(leastPause)) << min(tries-1, mostDoubling)
}

// park keeps an item until it goes again; false if nothing does any more. Then it keeps what it has
// failed with.
func (a *again) park(it *item, at time.Time) bool {
	r := a.run
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped || r.eng.ending.hasBegun() { // whoever ends the engine takes mu behind that
		return false
	}
	it.due = at // and it keeps what it has failed with, should the run end before
	r.tally.retrying.Add(1)
	if r.how.InOrder || len(a.outside) >= mostOutside {
		heap.Push(&a.inside, it)
		a.rearm()
		return true
	}
	it.outside = true
	heap.Push(&a.outside, it)
	r.credits.give()
	a.rearm() // the credit may be for one that is due
	r.credits.nudge()
	return true
}

// rearm sets the timer for the first that is due by time alone: those outside that are
// owed a credit are not waiting for time, but go at once if there is one. It requires mu.
func (a *again) rearm() {
	var due time.Time
	if a.run.credits.owed.Load() && a.run.credits.free.Load() > 0 {
		a.setTimer(0)
		return
	}
	if len(a.inside) > 0 {
		due = a.inside[0].due
	}
	if len(a.outside) > 0 && !a.run.credits.owed.Load() && (due.IsZero() || a.outside[0].due.Before(due)) {
		due = a.outside[0].due
	}
	if !due.IsZero() {
		a.setTimer(time.Until(due))
	}
}

// setTimer requires mu.
func (a *again) setTimer(in time.Duration) {
	if a.timer == nil {
		a.timer = time.AfterFunc(in, a.send)
		return
	}
	a.timer.Reset(in)
}

// hurry has send called, by a goroutine of its own: for whoever gives a credit back while
// some are owed.
func (a *again) hurry() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.stopped {
		a.setTimer(0)
	}
}

// send submits those that are due and have, or get, a credit. The timer calls it: code of
// the caller's that runs before a request leaves, and takes its time, holds up nobody else.
func (a *again) send() {
	for it := a.next(); it != nil; it = a.next() {
		a.run.send(it)
	}
}

// next takes one that is to go now, or sees to it that send is called when there is one.
func (a *again) next() *item {
	credits := a.run.credits
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.stopped {
		return nil
	}
	if len(a.inside) > 0 && !a.inside[0].due.After(now) {
		return a.leave(&a.inside)
	}
	if len(a.outside) > 0 && !a.outside[0].due.After(now) {
		credits.owed.Store(true) // before the look at the credits: whoever gives one looks at it then
		if credits.take() {
			return a.leave(&a.outside)
		}
		a.rearm()
		return nil
	}
	if credits.owed.Swap(false) {
		credits.nudge() // the input's turn
	}
	a.rearm()
	return nil
}

// leave requires mu.
func (a *again) leave(h *dueHeap) *item {
	it := heap.Pop(h).(*item)
	it.outside, it.response, it.lent, it.err, it.failed = false, nil, nil, nil, false
	a.run.tally.retrying.Add(-1)
	return it
}

// flush ends those that wait, and has nothing go again. They end with the failure that they have,
// and with why the run ends, if that is told: nil is a loop that is left, where nobody hears of them.
func (a *again) flush(why error) {
	a.mu.Lock()
	a.stopped = true
	if a.timer != nil {
		a.timer.Stop()
	}
	all := append(a.inside, a.outside...)
	a.inside, a.outside = nil, nil
	a.run.credits.owed.Store(false)
	a.mu.Unlock()
	for _, it := range all {
		a.run.tally.retrying.Add(-1)
		if why != nil {
			it.ended(nil, it.interrupted(why))
		} else {
			a.run.finish(it)
		}
	}
}

// interrupted is the error of an item that does not go again, beside what it has failed with: what
// is known of its last try is known of it.
func (it *item) interrupted(why error) error {
	failure := messages.NewError(it.sent, Admitting, errors.Join(why, it.failure()))
	if last, is := it.err.(*Error); is {
		failure.Sent, failure.Attempts, failure.Waited = last.Sent, last.Attempts, last.Waited
	} else if answer := it.response; answer != nil {
		failure.Sent, failure.Attempts, failure.Waited = answer.Sent, answer.Attempts, answer.Timing.Queued+answer.Timing.Leased
	}
	return failure
}

// dueHeap has the one that is due first on top, and of several the first of the input.
type dueHeap []*item

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return cmp.Or(h[i].due.Compare(h[j].due), cmp.Compare(h[i].index, h[j].index)) < 0
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *dueHeap) add(it *item) { heap.Push(h, it) }

// Push and Pop are heap's.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(*item)) }
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	return it
}
