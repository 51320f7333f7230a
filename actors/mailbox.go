package actors

import (
	"context"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// The two mailboxes decide whose goroutine runs an actor. Both exist to save
// goroutine switches, which cost more than everything else a request does
// between the caller and the socket.
//
//	callerMailbox  a request actor is run by the goroutine that waits in Do
//	inlineMailbox  throttler, pool and timesync, which never block, are run by
//	               whoever posts to them while they are idle
//
// With both, the road request → throttler → pool → request nests on one stack.

// mailQueue is a ring that grows by doubling. Its owner guards it.
type mailQueue struct {
	head, n int
	ring    []any
	few     [2]any // the first ring: most mailboxes never have more
}

func (q *mailQueue) push(m any) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = m
	q.n++
}

func (q *mailQueue) pop() any {
	m := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	if q.n == 0 && len(q.ring) > 1024 {
		q.ring, q.head = nil, 0 // a burst must not keep its memory for ever
	}
	return m
}

func (q *mailQueue) grow() {
	if q.ring == nil {
		q.ring = q.few[:]
		return
	}
	ring := make([]any, 2*len(q.ring))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}

// box is what both mailboxes share: two queues under a lock that is never held
// while a message is handled.
//
// What every message touches fits into the first cache line: a mailbox that is
// posted to from several processors travels between their caches.
type box struct {
	mu        sync.Mutex
	running   bool // inlineMailbox: some goroutine is handling messages
	parked    bool // callerMailbox: run waits for wake
	suspended bool // by the actor library, between a panic and the verdict on it
	mail      int  // in both queues
	invoker   actor.MessageInvoker
	system    mailQueue
	user      mailQueue
}

// pushLocked queues a message.
func (b *box) pushLocked(queue *mailQueue, message any) {
	queue.push(message)
	b.mail++
}

// takeLocked returns the next message to handle; system messages go first.
func (b *box) takeLocked() (message any, system, ok bool) {
	switch {
	case b.mail == 0:
	case b.system.n > 0:
		b.mail--
		return b.system.pop(), true, true
	case !b.suspended:
		b.mail--
		return b.user.pop(), false, true
	}
	return nil, false, false
}

// handle runs the actor for one message and turns a panic into a failure for
// the supervisor to judge.
func (b *box) handle(message any, system bool) {
	defer func() {
		if reason := recover(); reason != nil {
			b.invoker.EscalateFailure(reason, message)
		}
	}()
	if !system {
		b.invoker.InvokeUserMessage(message)
		return
	}
	switch message.(type) {
	case *actor.SuspendMailbox:
		b.setSuspended(true)
	case *actor.ResumeMailbox:
		b.setSuspended(false)
	default:
		b.invoker.InvokeSystemMessage(message)
	}
}

func (b *box) setSuspended(suspended bool) {
	b.mu.Lock()
	b.suspended = suspended
	b.mu.Unlock()
}

// RegisterHandlers is part of actor.Mailbox.
func (b *box) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) { b.invoker = invoker }

// Start is part of actor.Mailbox.
func (b *box) Start() {}

// UserMessageCount is part of actor.Mailbox.
func (b *box) UserMessageCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.user.n
}

// inlineBatch bounds how many messages a poster handles before the rest moves
// to a goroutine of its own: nobody is kept busy for others for long.
const inlineBatch = 64

// inlineMailbox runs its actor on the goroutine that posts to it while it is
// idle. Its actor must never block and never call user code, and nobody may
// post to it under a lock that the actor could want.
type inlineMailbox struct{ box }

// PostUserMessage is part of actor.Mailbox.
func (m *inlineMailbox) PostUserMessage(message any) { m.post(&m.user, message) }

// PostSystemMessage is part of actor.Mailbox.
func (m *inlineMailbox) PostSystemMessage(message any) { m.post(&m.system, message) }

func (m *inlineMailbox) post(queue *mailQueue, message any) {
	m.mu.Lock()
	if m.running || m.mail > 0 {
		m.pushLocked(queue, message)
		idle := !m.running
		m.running = true
		m.mu.Unlock()
		if idle { // mail lay there: the actor had been suspended
			m.run()
		}
		return
	}
	if m.suspended && queue == &m.user {
		m.pushLocked(queue, message)
		m.mu.Unlock()
		return
	}
	m.running = true
	m.mu.Unlock()
	m.handle(message, queue == &m.system) // nobody before it: it need not be queued
	m.run()
}

// run handles one batch. The flag running passes on to the goroutine that
// takes the rest, so there is never more than one runner.
func (m *inlineMailbox) run() {
	for range inlineBatch {
		message, system, ok := m.take()
		if !ok {
			return
		}
		m.handle(message, system)
	}
	go m.run()
}

// take returns the next message, or lets go of the runner's role. It looks
// again after a panic, whose verdict was posted while this runner was busy.
func (m *inlineMailbox) take() (message any, system, ok bool) {
	m.mu.Lock()
	message, system, ok = m.takeLocked()
	if !ok {
		m.running = false
	}
	m.mu.Unlock()
	return message, system, ok
}

// What the waiting caller's goroutine tells its own actor.
type (
	lifeBegins    struct{} // there is a request to carry
	contextDone   struct{} // the caller's context ended
	engineClosing struct{} // the engine stops waiting for requests to end
	wakeDue       struct{} // the instant set with wakeAt has come
)

// stopMessage is told by a mailbox to its own actor; the library hands out no
// value of it.
var stopMessage = &actor.Stop{}

// callerMailbox runs its actor on the goroutine that calls run. Posting only
// enqueues, and wakes that goroutine if it is parked.
type callerMailbox struct {
	box
	wake chan struct{} // capacity 1

	// Owned by the goroutine in run, which is also the actor's.
	wakeAt   time.Time // deliver wakeDue then; zero means never
	finished bool      // the actor has its answer
}

// PostUserMessage is part of actor.Mailbox.
func (m *callerMailbox) PostUserMessage(message any) { m.post(&m.user, message) }

// PostSystemMessage is part of actor.Mailbox.
func (m *callerMailbox) PostSystemMessage(message any) { m.post(&m.system, message) }

func (m *callerMailbox) post(queue *mailQueue, message any) {
	m.mu.Lock()
	m.pushLocked(queue, message)
	wake := m.parked
	m.parked = false
	m.mu.Unlock()
	if wake {
		m.wake <- struct{}{}
	}
}

// begin begins a life of the actor.
func (m *callerMailbox) begin() { m.handle(lifeBegins{}, false) }

// stop ends the actor for good.
func (m *callerMailbox) stop() { m.handle(stopMessage, true) }

// run handles messages until the actor has finished. While there are none it
// waits, and tells the actor when the context ends, the engine closes, or its
// own alarm rings; the first two are told once. A channel that all callers share
// is dear to wait for, so closing is nil for an actor that is told by message.
func (m *callerMailbox) run(ctx context.Context, closing <-chan struct{}) {
	done := ctx.Done()
	for !m.finished { // it may be already: a life can end as it begins
		message, system, ok := m.take()
		if !ok {
			message = m.wait(done, closing)
			switch message.(type) {
			case nil:
				continue
			case contextDone:
				done = nil
			case engineClosing:
				closing = nil
			}
		}
		m.handle(message, system)
	}
}

// take returns the next message, or marks the goroutine as parked.
func (m *callerMailbox) take() (message any, system, ok bool) {
	m.mu.Lock()
	message, system, ok = m.takeLocked()
	m.parked = !ok
	m.mu.Unlock()
	return message, system, ok
}

// wait parks until something happens, and says what; nil means mail.
func (m *callerMailbox) wait(done, closing <-chan struct{}) any {
	var alarm <-chan time.Time
	if !m.wakeAt.IsZero() {
		timer := time.NewTimer(time.Until(m.wakeAt))
		defer timer.Stop()
		alarm = timer.C
	}
	var event any
	select {
	case <-m.wake:
		return nil
	case <-done:
		event = contextDone{}
	case <-closing:
		event = engineClosing{}
	case <-alarm:
		m.wakeAt = time.Time{}
		event = wakeDue{}
	}
	m.unpark()
	return event
}

// unpark takes back the wake-up that a poster may have begun meanwhile, so
// that none is left over for a later wait.
func (m *callerMailbox) unpark() {
	m.mu.Lock()
	posted := !m.parked
	m.parked = false
	m.mu.Unlock()
	if posted {
		<-m.wake
	}
}

// reset prepares the mailbox for the next life of its actor.
func (m *callerMailbox) reset() {
	m.wakeAt = time.Time{}
	m.finished = false
}
