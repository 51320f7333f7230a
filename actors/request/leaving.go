package request

import (
	"cmp"
	"context"
	"errors"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// How a parked request is told something, and leaves where it waits: it ends without a slot,
// and its error is the one that a slot's would be.

// Cancel ends a request with an error that is context.Canceled, unless it has ended. It
// returns at once, and the Submitter is told on another goroutine.
func (p *Parked) Cancel() { p.notify(newsCancelled) }

// heed does what those of the news ask for that a request was told of when it did not wait.
func (p *Parked) heed(n news) {
	for _, one := range [...]news{newsCancelled, newsClosing, newsEnded, newsLate, newsHalted} {
		if n&one != 0 {
			p.notify(one)
		}
	}
}

// notify tells a request of something that is no answer: it leaves where it waits, if that is
// what follows. A slot that has it is told by itself, but for what ends its context.
func (p *Parked) notify(n news) {
	p.mu.Lock()
	p.news |= n
	in, t := p.phase, p.tenure
	p.mu.Unlock()
	switch {
	case in == admitting, in == asking, in == queueing:
		p.leaveWhereItWaits(in, n)
	case t == nil: // whoever gives it one looks
	case n == newsEnded:
		t.end(errParentEnded)
	case n == newsCancelled:
		t.end(context.Canceled)
	}
}

// endContext has a request that goes on do so no farther, because its caller's context has ended. One
// that waits only takes note, and is still to be told.
func (p *Parked) endContext() {
	p.mu.Lock()
	p.news |= newsEnded
	t := p.tenure
	p.mu.Unlock()
	if t != nil {
		t.end(errParentEnded)
	}
}

// leaveWhereItWaits has a request heed something. The caller's context is asked for its error
// before anything is changed: if that ends this goroutine, the request has ended before.
func (p *Parked) leaveWhereItWaits(in phase, n news) {
	returned := false
	defer func() {
		if !returned {
			p.breakOff()
		}
	}()
	switch in {
	case admitting:
		p.withdraw(n)
	case asking:
		p.stopAsking(n)
	default:
		p.leaveQueue(n)
	}
	returned = true
}

// breakOff ends a request, if it waits still, whose context has ended the goroutine that told it
// something.
func (p *Parked) breakOff() {
	p.mu.Lock()
	in, stage := p.phase, messages.Admitting
	waits := in == admitting || in == asking || in == queueing
	if waits {
		stage = p.stageOfWait()
	}
	p.mu.Unlock()
	if waits && (in != admitting || p.by.Withdraw()) {
		p.quit(in, newsEnded, wire.Panicked(stage, nil))
	}
}

// contextError is the error of the caller's context, which has ended.
func (p *Parked) contextError() error { return messages.ContextError(p.contained()) }

// contained is the caller's context, for the engine's own code.
func (p *Parked) contained() *wire.Contained { return wire.ContainAgain(p.parent, p.group.done) }

// withdraw ends the wait for a credit. Halts and the end of the engine are told by whoever
// has the queue.
func (p *Parked) withdraw(n news) {
	var err error
	switch n {
	case newsCancelled:
		err = context.Canceled
	case newsEnded:
		err = p.contextError()
	case newsLate:
		err = context.DeadlineExceeded
	default:
		return
	}
	if p.by.Withdraw() {
		p.quit(admitting, n, err)
	}
}

// stopAsking ends the wait for the time, or for a pool.
func (p *Parked) stopAsking(n news) {
	switch n {
	case newsCancelled:
		p.quit(asking, n, context.Canceled)
	case newsEnded:
		p.quit(asking, n, p.contextError())
	case newsLate:
		p.quit(asking, n, context.DeadlineExceeded)
	case newsClosing:
		p.quit(asking, n, messages.ErrClosed)
	case newsHalted:
		p.quitIfHalted(asking)
	}
}

// leaveQueue ends the wait for permit and connection.
func (p *Parked) leaveQueue(n news) {
	switch n {
	case newsCancelled:
		p.quit(queueing, n, context.Canceled)
	case newsClosing:
		p.quit(queueing, n, messages.ErrClosed)
	case newsHalted:
		p.quitIfHalted(queueing)
	case newsEnded:
		if err := p.contextError(); !errors.Is(err, context.DeadlineExceeded) || !p.expire(n) {
			p.quit(queueing, n, err)
		}
	case newsLate:
		if !p.expire(n) {
			p.quit(queueing, n, p.timeUp())
		}
	}
}

func (p *Parked) stageOfQueue() messages.Stage {
	if p.ticket.Limited {
		return messages.Throttled
	}
	return messages.Leasing
}

// stageOfWait is where a request ends that leaves where it waits. It requires that mu is held.
func (p *Parked) stageOfWait() messages.Stage {
	switch p.phase {
	case admitting:
		return messages.Admitting
	case asking:
		return messages.Preparing
	}
	return p.stageOfQueue()
}

// expire has whoever has the ticket refuse it, and say what it waited for. False means that
// it was asked for that before, and has not answered in time. The request's own time and its
// context's are mostly up at the same instant: the second to tell of it waits for the same answer.
func (p *Parked) expire(n news) bool {
	c := p.carrier()
	p.mu.Lock()
	if p.phase != queueing {
		p.mu.Unlock()
		return true
	}
	if p.news&newsExpires != 0 {
		p.mu.Unlock()
		return n != newsLate || c.agenda.has(p) // without it the agenda has told of the end of the grace
	}
	p.news |= newsExpires
	c.agenda.put(p, c.now()+expiryGrace)
	limited, pool := p.ticket.Limited, p.ticket.Pool // from when it is answered on, whoever goes on with it may write them
	p.mu.Unlock()
	if limited {
		c.needs.Throttler.Tell(ticket.ExpirePermit{Ticket: &p.ticket})
	} else {
		pool.Tell(ticket.ExpireLease{Ticket: &p.ticket})
	}
	return true
}

// timeUp is why the wait of a request is over that has expired.
func (p *Parked) timeUp() error {
	p.mu.Lock()
	n := p.news
	p.mu.Unlock()
	if n&newsEnded != 0 {
		if err := p.contextError(); errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return context.DeadlineExceeded
}

// quitIfHalted takes a request out that is halted.
func (p *Parked) quitIfHalted(in phase) {
	halts := p.carrier().needs.Halts
	if !halts.Any() {
		return
	}
	about, waits := p.subjectIn(in)
	if !waits {
		return
	}
	if h := halts.Of(about); h != nil {
		p.quit(in, newsHalted, h.Refuse())
	}
}

// subjectIn is what halts look at in a request, if it waits in a phase. It is read with mu held,
// without which the request would not end: from its end on it is the caller's, who may change it.
func (p *Parked) subjectIn(in phase) (about throttle.Subject, waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase != in {
		return about, false
	}
	return p.carrier().Subject(p.asked(), cmp.Or(p.by.DefaultLimitID(), messages.Unlimited)), true
}

// quit takes a request out of where it waits, and ends it, unless an answer is on its way:
// then that decides. Where its end may be told on this goroutine, it is.
func (p *Parked) quit(in phase, upon news, why error) {
	p.mu.Lock()
	if p.phase != in || in == queueing && !p.ticket.Cancel() {
		p.mu.Unlock()
		return
	}
	stage := p.stageOfWait()
	p.phase, p.next = called, toEnd
	p.mu.Unlock()
	c := p.carrier()
	switch {
	case in == asking && c.needs.Timesync != nil:
		c.needs.Timesync.Tell(protocol.LeaveTime{Owner: p}) // or it would be kept for as long as there is no time
	case in != queueing:
	case p.ticket.Limited:
		c.needs.Throttler.Tell(ticket.AbandonPermit{Ticket: &p.ticket})
	default:
		p.ticket.Pool.Tell(ticket.AbandonLease{Ticket: &p.ticket})
	}
	if in == queueing { // it may be whoever meets the ticket that ends the pool
		p.ticket.Pool.(protocol.Door).Leave()
	}
	p.stage, p.err = stage, why
	// Whoever calls Cancel may hold what is told, and the caller's own code, which readers and
	// observers are, must hold up nobody else.
	if upon == newsCancelled || p.callsBack() {
		c.lender.queue(p)
		return
	}
	p.fail(stage, p.err)
}

// callsBack reports whether code of the caller's is told of the end of a request that waits.
func (p *Parked) callsBack() bool {
	return p.watch() != nil || p.kept != nil && p.kept.borrowed != nil
}

// fail ends a request that has no slot.
func (p *Parked) fail(stage messages.Stage, cause error) {
	c, err := p.carrier(), cause
	if p.kept != nil && p.kept.spent() && !errors.Is(cause, messages.ErrInvalidRequest) {
		err = withBodyRead(cause)
	}
	e := messages.NewError(p.by.Request(), stage, err)
	defer p.end(nil, nil, e) // deferred, like the other: observers and readers are the caller's code
	defer p.kept.giveBack()
	if stage > messages.Preparing {
		e.Waited = c.now() - p.since
	}
	if stage > messages.Admitting {
		c.explain(e, p.limit(), cause)
		messages.NoteMemory(e, cause, p.silence(stage))
		c.logFailure(e, stage, cause)
	}
	p.tellEnd(stage, e)
}

// silence is what the memory says of the wait that a request has left; nil if that was not for the
// memory.
func (p *Parked) silence(stage messages.Stage) error {
	c := p.carrier()
	p.mu.Lock()
	forTime := p.news&newsTime != 0
	p.mu.Unlock()
	switch waited := c.now() - p.since; {
	case stage == messages.Throttled:
		return c.silenceAbout(&p.ticket, waited)
	case stage == messages.Preparing && forTime:
		return c.silenceOfLook(waited)
	}
	return nil
}

// tellEnd counts, and tells observers of, a request that ends without a slot. If they end the
// goroutine, the rest is deferred.
func (p *Parked) tellEnd(stage messages.Stage, e *messages.Error) {
	c := p.carrier()
	p.mu.Lock()
	n := p.news
	p.mu.Unlock()
	if n&newsBegun != 0 {
		last := lifeSum{}
		last.failed(e)
		c.slots.note(last)
	}
	watch := p.watch()
	if watch == nil {
		return
	}
	now, o := c.now(), c.needs.Observers
	limit := o.LimitOf(p.limit(), false) // of an exchange a slot would tell
	ended := messages.Ended{Request: p.by.Request(), LimitID: limit, Err: e, Timing: messages.Timing{Total: now - p.submitted()}}
	var at target
	if stage > messages.Admitting && c.aim(&at, p.asked()) == nil {
		ended.Origin = at.origin
	}
	ended.Timing.Admitted, ended.Timing.Leased, ended.Timing.Signed = p.kept.admitted, p.kept.opened, p.kept.looked
	wait := messages.Waited{Request: ended.Request, LimitID: limit, Err: e.Err, Stage: stage}
	switch stage {
	case messages.Admitting:
		ended.Timing.Admitted = ended.Timing.Total
	case messages.Preparing:
		if n&newsTime != 0 {
			ended.Timing.Signed += now - p.since
		} else {
			ended.Timing.Leased += now - p.since
		}
	case messages.Throttled:
		wait.Queued = now - p.since
	case messages.Leasing:
		wait.Leased = now - p.since
	}
	ended.Timing.Queued = wait.Queued
	ended.Timing.Leased += wait.Leased
	defer o.End(watch, &ended)
	if stage > messages.Preparing {
		o.wait(watch.Values, &wait)
	}
}

// limit is what a request is charged to that has been prepared: without any limits, one that
// names none is charged to nothing.
func (p *Parked) limit() string {
	return cmp.Or(p.asked().LimitID, p.by.DefaultLimitID(), messages.Unlimited)
}

// end tells the submitter.
func (p *Parked) end(response *messages.Response, stream *Stream, err error) {
	p.mu.Lock()
	p.phase, p.next = over, toEnd
	t, admitted := p.tenure, p.news&newsCredit != 0
	p.tenure = nil
	p.mu.Unlock()
	defer p.group.leave(p)                            // last: the engine waits for it
	defer p.by.Ended(response, stream, err, admitted) // deferred, because to cancel looks up a value of the caller's context
	if p.ticket.Deadline != 0 {
		p.carrier().agenda.take(p)
	}
	if watch := p.watch(); watch != nil {
		p.carrier().needs.Observers.Forget(watch)
		p.kept.watch = nil
	}
	switch {
	case t == nil || t.cancel == nil:
	case stream != nil:
		stream.OnEnd(t.cancel)
	default:
		t.cancel()
	}
}
