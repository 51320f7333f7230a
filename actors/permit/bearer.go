package permit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// bearer asks the throttler for one permit after another: it takes the answers, and has
// the ticket while the permit is held. It belongs to the goroutine in Acquire, then to
// whoever wins Permit.Done, and between two permits to Issuer.bearers.
//
// It is told things as an actor is, and is run by its caller's goroutine like a request;
// but nobody supervises it, for it runs no code of anybody's.
type bearer struct {
	mailbox.Caller
	issuer  *Issuer
	ticket  *ticket.Ticket // the next permit's, or the present one's
	spare   *ticket.Ticket // one before it, which the throttler may not have let go of
	first   ticket.Ticket  // one of the two
	ctx     wire.Contained // the caller's, while it waits
	counted bool           // Needs.Returned hears of its permit
	from    []uintptr      // who asked; empty without Needs.Trace
	next    *bearer        // among those that were dropped

	wait
}

// wait is one wait for the throttler. It begins as the zero value.
type wait struct {
	turn    mailbox.Turn
	tries   bool          // it does not wait: time that is up is no deadline's
	err     error         // why there is no permit
	asked   time.Duration // of turn.Parked, what was before it asked for the permit last
	timeUp  error         // why the wait is being ended; nil if it is not
	hasLeft bool          // the ticket is the throttler's for good
}

// granted is what a bearer tells itself: the throttler has sent the ticket on to it.
type granted struct{}

// Tell is part of protocol.Recipient. It runs on the throttler's turn, and waits for
// nobody.
func (b *bearer) Tell(message any) {
	switch m := message.(type) {
	case ticket.AcquireLease: // the grant: where a request goes on to its pool
		if m.Answer() {
			b.PostUserMessage(granted{})
			return
		}
		m.Fate = throttle.NeverSent // the caller has left
		b.issuer.needs.Throttler.Tell(ticket.SettlePermit(m))
	case ticket.TicketRefused:
		b.PostUserMessage(m)
	case ticket.AbandonLease, ticket.ExpireLease: // they follow a ticket that was answered before
	default:
		b.issuer.needs.Logger.Error("permit was told a word it does not know", "word", fmt.Sprintf("%T", m))
	}
}

// InvokeUserMessage is part of the actor library's MessageInvoker: the mailbox calls it.
func (b *bearer) InvokeUserMessage(message any) {
	switch m := message.(type) {
	case granted:
		b.turn.Finished = true
	case ticket.TicketRefused:
		b.err, b.turn.Finished = b.late(m.Refused), true
	case mailbox.WakeDue:
		b.expire(context.DeadlineExceeded)
	case mailbox.ContextDone:
		b.expire(messages.ContextError(&b.ctx))
	case mailbox.EngineClosing:
		b.leave(messages.ErrClosed)
	}
}

// InvokeSystemMessage is part of MessageInvoker. Nobody tells a bearer such a word.
func (b *bearer) InvokeSystemMessage(any) {}

// EscalateFailure is part of MessageInvoker: a panic is its caller's.
func (b *bearer) EscalateFailure(reason, _ any) { panic(reason) }

// renewTicket makes sure that nobody else has the ticket: a settlement may still be in
// the throttler's mailbox.
func (b *bearer) renewTicket() {
	if b.ticket.Closed() {
		return
	}
	if b.spare == nil || !b.spare.Closed() {
		b.spare = new(ticket.Ticket)
	}
	b.ticket, b.spare = b.spare, b.ticket
}

// open writes into the ticket what is asked for.
func (b *bearer) open(ask *Ask) {
	t := b.ticket
	t.Reopen()
	t.Owner, t.Pool, t.Limited, t.Errand = b, b, true, ask.Errand
	t.Deadline, t.Priority = b.issuer.instant(ask.Deadline), ask.Priority
	p := &t.Permit
	p.Limit, p.Origin, p.Weight = ask.Limit, ask.Origin, ask.Weight
	p.Account, p.Key, p.Egress = ask.Account, ask.Key, ask.Egress
	p.Priority, p.Deadline = ask.Priority, t.Deadline
	p.Weights = p.Weights[:0] // the ticket's own: the throttler may have the one before still
	for id, weight := range ask.Weights {
		p.Weights = append(p.Weights, throttle.Cost{ID: id, Weight: weight})
	}
	if t.Told {
		t.Clear()
	}
	t.Fate = 0
}

// await returns when the permit is granted, or why there is none.
func (b *bearer) await(closing <-chan struct{}) error {
	b.turn.Finished = false
	b.Run(b.ctx.Done(), closing, &b.turn)
	return b.err
}

// expiryGrace is how long the throttler may take to say what a ticket waited for.
const expiryGrace = 20 * time.Millisecond

// expire ends the wait. If it is time that is up, the throttler refuses the ticket, and
// says what it waited for; without an answer the bearer leaves by itself.
func (b *bearer) expire(reason error) {
	switch {
	case b.tries:
		b.expireTry()
	case b.timeUp != nil:
		b.leave(b.timeUp)
	case !errors.Is(reason, context.DeadlineExceeded):
		b.leave(reason)
	default:
		b.timeUp = reason
		b.turn.WakeAt = time.Now().Add(expiryGrace)
		b.issuer.needs.Throttler.Tell(ticket.ExpirePermit{Ticket: b.ticket})
	}
}

// expireTry ends the wait of one who does not wait, unless it has its permit and nothing is missing
// but that the memory takes it: for that there is more time.
func (b *bearer) expireTry() {
	switch silent := b.unremembered(); {
	case silent == 0:
		b.leave(errBusy)
	case silent < memoryPatience:
		b.turn.WakeAt = time.Now().Add(memoryPatience - silent)
	default:
		b.leave(b.issuer.needs.Silence(silent, silent))
	}
}

// unremembered is for how long the permit has been granted, and only the memory been waited for.
func (b *bearer) unremembered() time.Duration {
	return b.ticket.Unremembered(time.Since(b.issuer.needs.Epoch))
}

// errBusy says why TryAcquire had no answer.
var errBusy = fmt.Errorf("%w: the throttler was busy for %v", throttle.ErrNoRoom, tryPatience)

// leave ends the wait, unless the answer is on its way: then that decides.
func (b *bearer) leave(err error) {
	if !b.ticket.Cancel() {
		return
	}
	b.issuer.needs.Throttler.Tell(ticket.AbandonPermit{Ticket: b.ticket})
	b.err, b.hasLeft, b.turn.Finished = err, true, true
}

// late makes a deadline that no permit can meet look like any other: what was waited for
// comes first, and then that time was up, whoever has noticed it.
func (b *bearer) late(err error) error {
	if !errors.Is(err, throttle.ErrDeadline) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cmp.Or(b.timeUp, context.DeadlineExceeded))
}

// crossed is why a permit that was granted is not handed over.
func (b *bearer) crossed() error {
	return &throttle.LimitError{ID: b.ticket.Permit.Limit, Err: throttle.ErrNoRoom, Paused: true}
}

// refuse lets go of a ticket without a permit, and returns the error for its caller.
func (b *bearer) refuse(err error) *messages.Error {
	asked := &b.ticket.Permit
	failure := &messages.Error{Stage: messages.Throttled, Account: asked.Account, Key: asked.Key, Egress: asked.Egress, Waited: b.turn.Parked, Err: err}
	messages.NoteLimit(failure, asked.Limit, err, b.issuer.needs.Epoch)
	if b.hasLeft {
		if silence := b.issuer.needs.Silence; silence != nil {
			messages.NoteMemory(failure, err, silence(b.unremembered(), b.turn.Parked-b.asked))
		}
		return failure // nobody knows when the throttler lets go of the ticket
	}
	b.ctx.Hold(context.Background())
	if b.err != nil { // otherwise it was settled, and the throttler closes it
		b.ticket.Close()
	}
	b.issuer.rest(b)
	return failure
}

// settle tells the throttler what became of the permit, and lets go of it. What pauses is
// posted when it returns.
func (b *bearer) settle(outcome throttle.Outcome, said *feedback.Feedback) {
	t := b.ticket
	t.Conclude(outcome)
	var heard chan struct{}
	if said != nil {
		t.Say(*said)
		if said.Refused || said.Busy {
			heard = make(chan struct{})
			t.Said.Heard = heard
		}
	}
	b.issuer.needs.Throttler.Tell(ticket.SettlePermit{Ticket: t})
	if heard != nil {
		b.awaitHeard(heard)
	}
	if b.counted {
		b.issuer.needs.Returned()
	}
	b.issuer.rest(b)
}

// heardPatience is how long a settlement waits for its pause to be posted. The throttler
// never blocks, and so takes no time, unless it has just failed.
const heardPatience = time.Second

func (b *bearer) awaitHeard(heard <-chan struct{}) {
	select {
	case <-heard:
		return
	default:
	}
	timer := time.NewTimer(heardPatience)
	defer timer.Stop()
	select {
	case <-heard:
	case <-timer.C:
	case <-b.issuer.needs.Closing: // nobody is held back any more
	}
}
