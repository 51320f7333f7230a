package request

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// How a parked request goes on once it is answered, and how it ends: by its slot if it has
// been given one again, and without one if it leaves where it waits. Then its error is the
// one that a slot's would be.

// reads reports whether a body is read while its request is prepared, and by code that may
// take its time.
func reads(body any) bool {
	switch b := body.(type) {
	case *bytes.Buffer, *bytes.Reader, *strings.Reader:
		return false
	case messages.Multipart:
		return len(b.Files) > 0
	case io.Reader:
		return true
	}
	return false
}

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
	if upon == newsCancelled || p.watch() != nil || p.kept != nil && p.kept.borrowed != nil {
		c.lender.queue(p)
		return
	}
	p.fail(stage, p.err)
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
		c.logFailure(e, stage, cause)
	}
	p.tellEnd(stage, e)
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

// goOnAgain goes on with a request that was answered while it was parked.
func (p *Parked) goOnAgain(g *worker) {
	c := p.carrier()
	if p.ticket.Deadline != 0 {
		c.agenda.take(p)
	}
	p.mu.Lock()
	answered := p.news&newsAnswered != 0
	p.mu.Unlock()
	r, err := c.vacant(false)
	if err != nil {
		p.failAtOnce(answered, err)
		return
	}
	gone := false
	defer func() { p.rescue(r, gone) }()
	err, in := p.unpark(r, answered), over
	switch {
	case err != nil:
		c.recycle(r, false)
	case answered:
		p.carry(r, g)
	default:
		in = p.goOn(r, g)
	}
	gone = true // the slot may be somebody else's
	if err != nil {
		p.failAtOnce(answered, err)
	}
	p.waitIn(in)
}

// failAtOnce ends a request for which there is no slot.
func (p *Parked) failAtOnce(answered bool, err error) {
	p.returnAll(answered)
	p.fail(messages.Admitting, err)
}

// unpark lays a request into a slot, as it was before it was parked. What calls the caller's code
// comes last, when what the answer has brought is the slot's to give back.
func (p *Parked) unpark(r *slot, answered bool) error {
	r.lodge(p)
	r.begin(p.parent, p.by.Request(), &Terms{Deadline: p.deadline(), LimitID: messages.Unlimited, Begun: p.submitted(), Watch: p.watch(), Standby: p.by.Standby()})
	r.terms.Begun = p.submitted() // which instant zero is as well
	r.asked, r.WakeAt = p.asked(), r.deadline
	r.trace = trace{p.ticket.Trace}
	if err := r.layAgain(p.kept); err != nil {
		return err
	}
	r.limit = p.limit()
	r.attempt = attempt{slot: r}
	if answered {
		p.unparkAnswered(r)
	} else {
		r.stage, r.state, r.asking = messages.Preparing, (*slot).preparing, 1
		r.Parked = p.carrier().now() - p.since
	}
	p.beginTenure().hold(r)
	if !answered {
		r.trace = traceOf(&r.own)
		r.call.Trace = r.trace.hooks
	}
	return nil
}

func (p *Parked) unparkAnswered(r *slot) {
	r.stage, r.state = p.stageOfQueue(), (*slot).waiting
	r.waits, r.wait = true, p.carrier().now()-p.since
	if door := p.ticket.Pool.(protocol.Door); r.pool == door {
		door.Leave() // the slot is inside already
	} else {
		r.leavePool()
		r.pool = door
	}
	r.target.pool = r.pool
}

// carry runs a request in its slot, whose ticket was answered, to its end.
func (p *Parked) carry(r *slot, g *worker) {
	p.mu.Lock()
	n := p.news
	p.mu.Unlock()
	if n&newsExpires != 0 {
		r.timeUp = p.timeUp()
	}
	r.lodger = nil // what is asked for from now on is answered to the slot
	if n&newsRefused != 0 {
		r.Handle(ticket.TicketRefused{Ticket: &p.ticket})
	} else {
		r.Handle(ticket.LeaseGranted{Ticket: &p.ticket})
	}
	if !r.Finished {
		g.stay()
		r.Run(r.own.Done(), r.closingFor(r), &r.Turn)
	}
	p.complete(r)
}

// carryOn is carry of a request that another goroutine has prepared.
func (p *Parked) carryOn(r *slot, g *worker) {
	gone := false
	defer func() { p.rescue(r, gone) }()
	p.carry(r, g)
	gone = true
}

// complete ends a request whose slot has finished with it.
func (p *Parked) complete(r *slot) {
	defer p.end(r.response, r.lent, r.err) // as they are now; deferred as Carry's end is
	p.carrier().release(r)
}

// rescue ends a request whose goroutine is being ended by the caller's own code, which has
// called runtime.Goexit.
func (p *Parked) rescue(r *slot, gone bool) {
	if gone || p.isOver() {
		return
	}
	r.doubtSent()
	p.mu.Lock()
	p.news |= newsCut
	p.mu.Unlock()
	defer p.end(nil, nil, r.failure(wire.Panicked(r.stage, nil)))
	p.carrier().release(r)
}

// returnAll gives back what an answer has brought that nobody can use.
func (p *Parked) returnAll(answered bool) {
	if !answered {
		return
	}
	t, throttler := &p.ticket, p.carrier().needs.Throttler
	p.mu.Lock()
	refused := p.news&newsRefused != 0
	p.mu.Unlock()
	door := t.Pool.(protocol.Door)
	if lease := t.Lease; !refused && lease != nil {
		t.Lease, lease.Reusable = nil, true
		door.Tell(ticket.ReturnLease{Lease: lease})
	}
	if t.Limited && (!refused || t.Stage == messages.Leasing) {
		t.Outcome.Fate = throttle.NeverSent
		throttler.Tell(ticket.SettlePermit{Ticket: t})
	}
	door.Leave()
}
