package mailbox

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// Hearer is an actor that hears some words, as most of those are that requests send, without the
// library between: a call of its own costs a few nanoseconds and no room on the stack, where the
// library's context takes half a kilobyte, and all requests that wait have it on theirs. A
// panic in Hear is a failure as one in Receive.
type Hearer interface {
	// Hear reports whether the word was one of those; any other is for Receive.
	Hear(message any) (heard bool)
}

// box is what both mailboxes share: two queues under a lock that is never held
// while a message is handled.
//
// What every message touches fits into the first cache line: a mailbox that is
// posted to from several processors travels between their caches.
type box struct {
	mu        sync.Mutex
	running   bool                 // Inline: a goroutine handles messages. Guarded by mu; set by a poster, cleared by that goroutine
	parked    bool                 // Caller: Run waits for wake. Guarded by mu; set by Run, cleared by it or by the poster that wakes it
	suspended bool                 // by the actor library, between a panic and the verdict on it. Guarded by mu; written by the runner
	deaf      bool                 // the actor was told to stop. Of whoever runs it
	mail      int                  // messages in both queues. Guarded by mu
	invoker   actor.MessageInvoker // set by the spawning goroutine, before anybody can post
	hearer    Hearer               // nil if all goes by the library. Set likewise, and when the actor is made anew
	system    queue                // guarded by mu
	user      queue                // guarded by mu
}

// pushLocked queues a message.
func (b *box) pushLocked(q *queue, message any) {
	q.push(message)
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
			// This suspends the mailbox and hands the message to the supervisor's
			// strategy, which runs on this very goroutine if it is idle.
			b.invoker.EscalateFailure(reason, message)
		}
	}()
	if !system {
		if b.hearer == nil || b.deaf || !b.hearer.Hear(message) {
			b.invoker.InvokeUserMessage(message)
		}
		return
	}
	switch message.(type) { // the library leaves these two to the mailbox
	case *actor.SuspendMailbox:
		b.setSuspended(true)
	case *actor.ResumeMailbox:
		b.setSuspended(false)
	case *actor.Stop:
		b.deaf = true
		b.invoker.InvokeSystemMessage(message)
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
