package request

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/callsite"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Submitter is who a submitted request is told to. Its methods must not block.
type Submitter interface {
	// Request is the request that the caller gave.
	Request() *messages.Request
	// DefaultLimitID is charged by a request that names no limit; empty is none.
	DefaultLimitID() string
	// Withdraw takes the request out of the queue for credits. False means that it is not
	// there any more: it has been admitted or denied.
	Withdraw() bool
	// Standby is told what the request waits for, as that of Terms is: upon an actor's turn
	// where no goroutine has the request. Nil tells nobody. Ends is never called.
	Standby() Standby
	// Ended is called once, with what Carry would have returned, on a goroutine that may be
	// anybody's. admitted says that the request holds a credit.
	Ended(response *messages.Response, stream *Stream, err error, admitted bool)
}

// Parked is a submitted request: what is left of one while it waits for its first permit and
// connection, for the first sample of the server's time, or for a credit. It has neither a
// slot nor a goroutine then. Its ticket is its own, in the same piece of memory, and the
// answers come to it:
//
//	            ┌── a credit ───┐
//	            ▼               │
//	Submit ─▶ prepared ──▶ admitting, asking, waiting ── answered ──▶ called ─▶ in a slot ─▶ over
//	            │            │                                          ▲
//	            │            └── cancelled, late, halted, closing ──▶ over
//	            └── nothing to wait for ────────────────────────────────┘
//
// It is prepared in a slot, on the submitter's goroutine. If it has to wait, the slot is
// given back. When it is answered, a goroutine is lent to it, takes a slot again, lays the
// life into it as it was, and runs it to its end; later waits are that goroutine's.
//
// Whoever takes it out of a phase in which it waits is the one to go on with it, or to end
// it: the phase changes under mu, and a ticket is cancelled before.
type Parked struct {
	mu    sync.Mutex
	phase phase          // guarded by mu
	next  task           // of whoever it is lent to next; written by who calls for one
	stage messages.Stage // where it ended, if it is to be told so; likewise
	seat  int32          // the agenda's
	place int32          // the crowd's
	news  news           // guarded by mu

	group  *group // the crowd's; set by join, then never again
	by     Submitter
	parent context.Context // the caller's
	kept   *kept           // what else is to be kept; nil for a plain request. Written under mu, by whoever goes on with it
	err    error           // that came with the last answer, or why it is to end. Likewise
	since  time.Duration   // when it was submitted, or, if it has waited for something else since, when it began to wait here
	tenure *tenure         // guarded by mu: nil while no goroutine is lent to it

	ticket ticket.Ticket
}

// phase is where a submitted request is.
type phase uint8

const (
	begun     phase = iota // a slot has it, on a goroutine that is not to wait
	admitting              // in the queue for credits
	asking                 // for a first pool or a first sample of the server's time
	queueing               // throttler or pool have its ticket
	called                 // a goroutine is lent to it, or is about to be
	over
)

// task is what a goroutine is lent for.
type task uint8

const (
	toBegin task = iota // it has a credit
	toGoOn              // it was answered
	toCarry             // a slot has it, and its ticket was answered
	toEnd               // for the reason in err
)

// news are what a request was told of, whether it could do anything about it or not.
type news uint16

const (
	newsAnswered news = 1 << iota // its ticket was
	newsRefused                   // with an error
	newsReady                     // a pool, or the time, or the error of it
	newsEnded                     // the caller's context has ended
	newsCancelled
	newsLate    // its time is up
	newsHalted  // something is halted: it is to look whether it is
	newsClosing // the engine closes
	newsExpires // whoever has the ticket was told that its time is up
	newsCredit  // it holds a credit
	newsQueued  // it has waited for that
	newsBegun   // its life has begun, and is counted
	newsTime    // where it asks, it is for the time, and not for a pool
	newsCut     // code of the caller's has ended the goroutine that was lent
)

// answers are the news that whoever it has asked sends.
const answers = newsAnswered | newsRefused | newsReady

// Park makes a submitted request, which is still to begin. Its caller's context is asked for
// its channel, which may panic. A deadline of zero is none. The watch is of observers that
// were told of its beginning, and are of its end; nil if there are none.
func (c *Carrier) Park(ctx context.Context, by Submitter, deadline time.Time, limitID string, watch *Watch) *Parked {
	p := &Parked{by: by, parent: ctx, since: c.now()}
	if watch != nil {
		p.kept = &kept{watch: watch}
	}
	p.ticket.Deadline, p.ticket.Permit.Limit = c.instant(deadline), limitID // until they are worked out
	c.crowd.join(p, ctx)
	return p
}

func (p *Parked) carrier() *Carrier { return p.group.crowd.carrier }

// asked is the request as it is to be sent.
func (p *Parked) asked() *messages.Request {
	if p.kept != nil && p.kept.asked != nil {
		return p.kept.asked
	}
	return p.by.Request()
}

// submitted is when it was.
func (p *Parked) submitted() time.Duration {
	if p.kept != nil && p.kept.asked != nil {
		return p.kept.submitted
	}
	return p.since
}

// watch is what observers were told of it; nil if there are none.
func (p *Parked) watch() *Watch {
	if p.kept == nil {
		return nil
	}
	return p.kept.watch
}

// deadline is on the wall's clock; zero means never.
func (p *Parked) deadline() time.Time {
	if p.ticket.Deadline == 0 {
		return time.Time{}
	}
	return p.carrier().needs.Epoch.Add(p.ticket.Deadline)
}

// Begin has a request that holds a credit set out. It is prepared on this goroutine, unless
// its body is to be read, which may take a while.
func (p *Parked) Begin() {
	p.mu.Lock()
	p.news |= newsCredit
	p.mu.Unlock()
	if reads(p.by.Request().Body) {
		p.call(toBegin)
		p.carrier().lender.lend(p)
		return
	}
	p.begin(nil)
}

// Await has a request wait for a credit, for which it is in the queue. Admitted or Denied
// follow, or have come already, unless it withdraws.
func (p *Parked) Await() {
	p.mu.Lock()
	if p.phase != begun {
		p.mu.Unlock()
		return
	}
	p.phase = admitting
	p.news |= newsQueued
	n, at := p.news, p.ticket.Deadline // whoever it is admitted by may write it anew from here on
	p.mu.Unlock()
	if at != 0 {
		p.carrier().agenda.put(p, at)
		p.takeIfOver()
	}
	p.heed(n)
}

// takeIfOver takes back what was put on the agenda of a request that has ended meanwhile.
func (p *Parked) takeIfOver() {
	if p.isOver() {
		p.carrier().agenda.take(p)
	}
}

func (p *Parked) isOver() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase == over
}

// Drop forgets a request that has not begun.
func (p *Parked) Drop() {
	p.carrier().agenda.take(p)
	p.group.leave(p)
}

// Admitted gives a request that awaits it a credit. It returns at once.
func (p *Parked) Admitted() {
	p.mu.Lock()
	p.news |= newsCredit
	p.phase, p.next = called, toBegin
	p.mu.Unlock()
	p.carrier().lender.lend(p)
}

// Denied ends a request that awaits a credit. It returns at once.
func (p *Parked) Denied(err error) {
	p.mu.Lock()
	p.phase, p.next, p.stage, p.err = called, toEnd, messages.Admitting, err
	p.mu.Unlock()
	p.carrier().lender.queue(p)
}

// Tell is part of protocol.Recipient: it is told the answers. Those who tell it are upon
// their turns, and so it does nothing but call for a goroutine.
func (p *Parked) Tell(message any) {
	switch m := message.(type) {
	case ticket.LeaseGranted:
		p.answer(newsAnswered, nil)
	case ticket.TicketRefused:
		p.answer(newsAnswered|newsRefused, nil)
	case ticket.PermitQueued:
		p.standBy()
	case protocol.PoolOpened:
		p.answer(newsReady, m.Err)
	case protocol.TimeReady:
		p.answer(newsReady, m.Err)
	default:
		p.carrier().needs.Logger.Error("a parked request was told a word it does not know", "word", fmt.Sprintf("%T", m))
	}
}

// standBy tells that the ticket queues for its permit, unless the request is about to end, or has:
// the word may be late.
func (p *Parked) standBy() {
	p.mu.Lock()
	defer p.mu.Unlock() // held over the word: whoever ends the request takes it first
	if s := p.by.Standby(); s != nil && p.phase != over && p.next != toEnd {
		s.StandsBy(&p.ticket)
	}
}

func (p *Parked) answer(n news, err error) {
	p.mu.Lock()
	if p.next == toEnd { // it was taken out before, and ends
		p.mu.Unlock()
		return
	}
	p.news |= n
	if n == newsReady {
		p.err = err
	}
	waits := p.phase == asking || p.phase == queueing
	if waits {
		p.phase, p.next = called, toGoOn
	}
	p.mu.Unlock()
	if !waits {
		return // whoever has it looks
	}
	if n == newsAnswered {
		p.carrier().lender.lend(p)
	} else {
		p.carrier().lender.queue(p)
	}
}

// call takes a request out of whatever phase it is in, for a goroutine that is to be lent.
func (p *Parked) call(to task) {
	p.mu.Lock()
	p.phase, p.next = called, to
	p.mu.Unlock()
}

// waitIn has a request wait from now on, unless it was told something meanwhile that it
// waits for, or has to heed. One that is over, as far as this goroutine is concerned, does not.
func (p *Parked) waitIn(in phase) {
	if in == over {
		return
	}
	p.mu.Lock()
	n := p.news
	if n&answers != 0 {
		p.phase, p.next = called, toGoOn
		p.mu.Unlock()
		p.carrier().lender.lend(p)
		return
	}
	p.phase = in
	p.mu.Unlock()
	p.heed(n)
	if p.carrier().isClosing() { // and those who are parked may have been told before
		p.notify(newsClosing)
	}
}

// step goes on with a request on a goroutine that is lent to it.
func (p *Parked) step(g *worker) {
	switch p.next {
	case toBegin:
		g.stay() // it runs the caller's code, which may take its time
		if p.group == &p.carrier().crowd.told {
			p.group.add(p)
		}
		p.begin(g)
	case toCarry:
		p.carryOn(p.tenure.slot, g)
	case toEnd:
		p.stepAside(g)
		p.fail(p.stage, p.err)
	default:
		p.stepAside(g)
		p.goOnAgain(g)
	}
}

// stepAside has others go along the line while code of the caller's is told of this request.
func (p *Parked) stepAside(g *worker) {
	if p.callsBack() {
		g.stepAside()
	}
}

// begin prepares a request, on the submitter's goroutine if g is nil.
func (p *Parked) begin(g *worker) {
	c := p.carrier()
	p.mu.Lock()
	p.news |= newsBegun
	queued := p.news&newsQueued != 0
	p.mu.Unlock()
	r, err := c.vacant(true)
	if err != nil {
		p.fail(messages.Admitting, err)
		return
	}
	gone := false
	defer func() { p.rescue(r, gone) }()
	r.lodge(p)
	r.begin(p.parent, p.by.Request(), &Terms{
		Deadline: p.deadline(), LimitID: p.ticket.Permit.Limit, Begun: p.since, Waited: queued, Watch: p.watch(), Standby: p.by.Standby(),
	})
	if g != nil {
		p.beginTenure().hold(r)
	} else if r.asked.Stream && c.needs.Plan.TraceStreams {
		r.askedAt = callsite.Here()
	}
	r.Handle(lifeBegins{&r.life})
	c.retries.count(r)
	in := p.goOn(r, g)
	gone = true // the slot may be somebody else's
	p.waitIn(in)
}

// vacant returns a slot that is an actor, and has no life. A life is counted that is the
// first of its request.
func (c *Carrier) vacant(counted bool) (*slot, error) {
	r := c.slot(counted)
	if err := r.spawn(); err != nil {
		c.slots.drop(r)
		return nil, err
	}
	return r, nil
}

// goOn goes on with a request whose slot has just handled something, for as long as it need
// not wait. Then the slot is given back, and the request is to wait in that phase, if it has not
// ended or gone on elsewhere.
func (p *Parked) goOn(r *slot, g *worker) phase {
	for !r.Finished {
		p.mu.Lock()
		n, err := p.news, p.err
		p.news &^= newsReady
		p.mu.Unlock()
		switch {
		case n&newsAnswered != 0:
			p.goStraightOn(r, g)
			return over
		case n&newsReady != 0:
			r.Handle(protocol.TimeReady{Err: err})
		default:
			return p.park(r)
		}
	}
	p.complete(r)
	return over
}

// goStraightOn goes on with a request that was answered before it had to wait.
func (p *Parked) goStraightOn(r *slot, g *worker) {
	if g != nil {
		p.carry(r, g)
		return
	}
	t := p.beginTenure()
	t.hold(r)
	p.call(toCarry)
	p.carrier().lender.lend(p)
}

// park gives the slot back of a request that is to wait, and returns in which phase.
func (p *Parked) park(r *slot) phase {
	p.endTenure() // first: to cancel looks up a value of the caller's context
	c, in := p.carrier(), queueing
	now := c.now()
	k := r.keep(now-p.since > briefly)
	p.mu.Lock()
	if p.kept = k; k != nil {
		p.since = now
	}
	if r.pool != nil {
		p.news |= newsTime
	}
	p.mu.Unlock()
	if r.asking > 0 {
		in, r.asking = asking, 0 // the answer comes here
	} else {
		r.pool.Enter() // the slot is inside, so it is open
	}
	r.borrowed, r.upload = nil, nil // they are kept
	r.Finished = true               // as far as the slot is concerned
	c.recycle(r, false)
	if p.ticket.Deadline != 0 {
		c.agenda.put(p, p.ticket.Deadline)
	}
	return in
}

// briefly is how long a request may be prepared without its being told apart from the wait
// that follows: a plain one is prepared in some microseconds.
const briefly = 100 * time.Microsecond

// endTenure takes the request's context of the time away that a goroutine was lent to it.
func (p *Parked) endTenure() {
	p.mu.Lock()
	t := p.tenure
	p.tenure = nil
	p.mu.Unlock()
	if t != nil && t.cancel != nil {
		t.cancel()
	}
}
