package mailbox

import "github.com/asynkron/protoactor-go/actor"

// inlineBatch bounds how many messages a poster handles before the rest moves
// to a goroutine of its own: nobody is kept busy for others for long.
const inlineBatch = 64

// Inline runs its actor on the goroutine that posts to it while it is
// idle. Its actor must never block and never call user code, and nobody may
// post to it under a lock that the actor could want.
type Inline struct {
	box
	after func() // see Address.AfterEach; set before anybody can post, nil for nothing
}

// PostUserMessage is part of actor.Mailbox. It may run the actor, queue the
// message for whoever runs it, or leave it until a suspended actor is resumed.
func (m *Inline) PostUserMessage(message any) { m.post(&m.user, message) }

// PostSystemMessage is part of actor.Mailbox.
func (m *Inline) PostSystemMessage(message any) { m.post(&m.system, message) }

func (m *Inline) post(q *queue, message any) {
	m.mu.Lock()
	if m.running || m.mail > 0 {
		m.pushLocked(q, message)
		idle := !m.running
		m.running = true
		m.mu.Unlock()
		if idle { // mail lay there: the actor had been suspended
			m.run()
		}
		return
	}
	if m.suspended && q == &m.user {
		// Nobody becomes the runner: the verdict on the panic is a system
		// message, and whoever posts that will find this one.
		m.pushLocked(q, message)
		m.mu.Unlock()
		return
	}
	m.running = true
	m.mu.Unlock()
	m.turn(message, q == &m.system) // nobody before it: it need not be queued
	m.run()                         // the actor may have been told more meanwhile
}

// turn handles one message, and then what is to be done after each.
func (m *Inline) turn(message any, system bool) {
	m.handle(message, system)
	if m.after != nil {
		m.after()
	}
}

// run handles one batch. The flag running passes on to the goroutine that
// takes the rest, so there is never more than one runner.
func (m *Inline) run() {
	for range inlineBatch {
		message, system, ok := m.take()
		if !ok {
			return
		}
		m.turn(message, system)
	}
	go m.run() // still with running set: posters go on queueing
}

// take returns the next message, or lets go of the runner's role. It looks
// again after a panic, whose verdict was posted while this runner was busy.
func (m *Inline) take() (message any, system, ok bool) {
	m.mu.Lock()
	message, system, ok = m.takeLocked()
	if !ok {
		// Under the same lock as the look: a poster that comes later finds
		// nobody running and runs the actor itself.
		m.running = false
	}
	m.mu.Unlock()
	return message, system, ok
}

// Address is where a service actor is told something: its mailbox, for the
// actor library's registry would only look up the same one. The zero Address
// is nobody's.
type Address struct{ mailbox *Inline }

// NewAddress returns the address of an actor that is still to be spawned with
// its Props. Nobody may tell it anything before that.
func NewAddress() Address { return Address{new(Inline)} }

// AfterEach has f called after each message that the actor was told, whether or not it
// has failed over it, and before the next: by the same goroutine, but not upon the
// actor's turn. What f tells other actors may be run by that goroutine, and then needs
// less of its stack. f must not panic. It is called before the actor is spawned.
func (a Address) AfterEach(f func()) { a.mailbox.after = f }

// Tell is part of protocol.Recipient. An actor that has ended is told nothing.
func (a Address) Tell(message any) { a.mailbox.PostUserMessage(message) }

// Stop has the actor stop, before it hears what it was told and has not heard.
func (a Address) Stop() { a.mailbox.PostSystemMessage(stopMessage) }

// Props are those of the actor that lives here. One that is a Hearer hears what it can.
func (a Address) Props(producer actor.Producer, more ...actor.PropsOption) *actor.Props {
	at := actor.WithMailbox(func() actor.Mailbox { return a.mailbox })
	return actor.PropsFromProducer(func() actor.Actor {
		made := producer()
		a.mailbox.hearer, _ = made.(Hearer)
		return made
	}, append(more, at)...)
}
