package request

import (
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// How a parked request goes on once it is answered: in a slot that it is given again, to its end.

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
		t.Fate = throttle.NeverSent
		throttler.Tell(ticket.SettlePermit{Ticket: t})
	}
	door.Leave()
}
