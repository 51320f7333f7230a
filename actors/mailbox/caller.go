package mailbox

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// What the waiting caller's goroutine tells its own actor.
type (
	// ContextDone says that the caller's context ended.
	ContextDone struct{}
	// EngineClosing says that the engine stops waiting for requests to end.
	EngineClosing struct{}
	// WakeDue says that the instant Turn.WakeAt has come.
	WakeDue struct{}
)

// stopMessage is told by a mailbox to its own actor; the library hands out no
// value of it.
var stopMessage = &actor.Stop{}

// Caller runs its actor on the goroutine that calls Run. Posting only enqueues,
// and wakes that goroutine if it is parked.
type Caller struct {
	box
	wake chan struct{} // capacity 1; whoever clears box.parked sends exactly once
}

// Turn is one call of Run, as the actor sees it. It belongs to the goroutine in
// Run, which is also the actor's.
type Turn struct {
	WakeAt   time.Time     // WakeDue is told then; zero means never
	Finished bool          // the actor has its answer, and Run returns
	Parked   time.Duration // how long Run has waited for messages
}

// NewCaller returns the mailbox of an actor that is run by its callers, and that hears what it
// can without the library; nil is one that hears nothing so.
func NewCaller(hearer Hearer) Caller {
	return Caller{box: box{hearer: hearer}, wake: make(chan struct{}, 1)}
}

// PostUserMessage is part of actor.Mailbox.
func (m *Caller) PostUserMessage(message any) { m.post(&m.user, message) }

// PostSystemMessage is part of actor.Mailbox.
func (m *Caller) PostSystemMessage(message any) { m.post(&m.system, message) }

func (m *Caller) post(q *queue, message any) {
	m.mu.Lock()
	m.pushLocked(q, message)
	wake := m.parked
	m.parked = false // so that no second poster wakes it too
	m.mu.Unlock()
	if wake {
		m.wake <- struct{}{} // never blocks: the place is free while somebody is parked
	}
}

// Handle has the actor handle a message at once, before whatever it has in its
// mailbox. Only the goroutine that is about to call Run may call it.
func (m *Caller) Handle(message any) { m.handle(message, false) }

// Stop ends the actor for good. Nobody may be in Run.
func (m *Caller) Stop() { m.handle(stopMessage, true) }

// Run handles messages until the actor has finished its turn. While there are
// none it waits, and tells the actor when its caller's context is done, the engine
// closes, or the turn's alarm rings; the first two are told once. A channel that all
// callers share is dear to wait for, so closing is nil for an actor that is told
// by message.
func (m *Caller) Run(done, closing <-chan struct{}, turn *Turn) {
	for !turn.Finished { // it may be already: a life can end as it begins
		message, system, ok := m.take()
		if !ok {
			message = m.wait(done, closing, turn)
			switch message.(type) {
			case nil:
				continue
			case ContextDone:
				done = nil
			case EngineClosing:
				closing = nil
			}
		}
		m.handle(message, system)
	}
}

// take returns the next message, or marks the goroutine as parked.
func (m *Caller) take() (message any, system, ok bool) {
	m.mu.Lock()
	message, system, ok = m.takeLocked()
	m.parked = !ok
	m.mu.Unlock()
	return message, system, ok
}

// wait parks until something happens, and says what; nil means mail.
func (m *Caller) wait(done, closing <-chan struct{}, turn *Turn) any {
	var alarm <-chan time.Time
	if !turn.WakeAt.IsZero() {
		timer := time.NewTimer(time.Until(turn.WakeAt))
		defer timer.Stop()
		alarm = timer.C
	}
	begun := time.Now()
	defer func() { turn.Parked += time.Since(begun) }()
	var event any
	select {
	case <-m.wake:
		return nil // and whoever sent it has cleared parked
	case <-done:
		event = ContextDone{}
	case <-closing:
		event = EngineClosing{}
	case <-alarm:
		turn.WakeAt = time.Time{}
		event = WakeDue{}
	}
	m.unpark()
	return event
}

// unpark takes back the wake-up that a poster may have begun meanwhile, so
// that none is left over for a later wait.
func (m *Caller) unpark() {
	m.mu.Lock()
	posted := !m.parked
	m.parked = false
	m.mu.Unlock()
	if posted {
		<-m.wake
	}
}
