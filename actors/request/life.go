package request

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"time"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// life is one call of Do, from there to its answer: what the journey knows. It
// belongs to the caller's goroutine. It is made anew for every call, and ends as
// the zero value: nothing of one caller's is left for the next.
type life struct {
	mailbox.Turn

	under
	caller *messages.Request // the caller's own value
	terms  Terms
	lodging
	asked    *messages.Request // the same, or the pre-processors' copy
	deadline time.Time         // zero means never

	state func(*slot, any) // the current state is the current handler
	stage messages.Stage   // the same, in the words of an Error

	blueprint
	trace trace

	tally
	// lastAnswer is one whose status is being repeated, or that refused the timestamp: the
	// response, should no other attempt be made.
	lastAnswer *messages.Response

	observed bool    // observers were told of its beginning, and are of the rest
	asking   int     // answers still to come from supervisor or timesync
	stream   *Stream // the response's, until the caller has it
	timeUp   error   // why the wait for permit and connection is being ended; nil if it is not
	conclusion

	attempt attempt // the present one
}

// conclusion is how a life ends.
type conclusion struct {
	response *messages.Response
	lent     *Stream // the response's
	err      error
	failed   bool // it panicked: the library may still hold the mailbox
	returns  bool // Carry returns: nothing has ended its goroutine
}

// lodging is what a life knows of where its request comes from, if that is not a call of Do.
type lodging struct {
	lodger  *Parked // the submitted request, which is told the answers to what is asked for; nil if the slot is
	askedAt string  // where a run or Submit was asked for the stream, if somebody wants to know; empty otherwise
}

// under is the context of a life.
type under struct {
	from context.Context // the caller's own, with which the request ends
	ctx  context.Context // the same, or what observers made of it: its values, for code that is the caller's too
	own  wire.Contained  // both, for the engine's code; it may not outlive the life

	tenure *tenure // that it is of, if it was submitted; otherwise nil
}

// tally is what a life counts.
type tally struct {
	tried     int           // exchanges begun on a connection that was good
	failures  int           // failed dials and exchanges, but for those that are spared
	spared    int           // exchanges that are repeated without budget, see spares
	unserved  int           // connections it met that nobody had used, and that were dead
	outdates  int           // how often limits were replaced behind a permit of it
	sent      messages.Sent // the worst of all attempts
	untouched bool          // of all that was sent the server says that it did not process it
	doubted   bool          // the last attempt may have been carried out, though it is repeated
	redirects int           // redirects followed
	resampled bool          // a timestamp was refused, and the clock looked at again
	renewed   bool          // credentials were refused, and others taken
	untold    bool          // slot.lastTry is
	clocks
}

// Terms are what the engine says of a request, beside what its caller does.
type Terms struct {
	Deadline time.Time // zero means never
	// LimitID is charged by a request that names none; empty means that such a
	// request is refused.
	LimitID string
	// Stranger says that the caller did not choose where the request goes: it
	// gets neither credentials nor the engine's own header.
	Stranger bool
	// MethodAsSpelt says that a method which is a known one in lower case is meant so.
	MethodAsSpelt bool
	// Errand says that the engine sends it for itself, to learn the time by which
	// others are signed: no halt selects it.
	Errand bool
	// ReaderAsHTTP says that a body's reader may have nothing to read, and that its
	// caller knows by himself that it is read once.
	ReaderAsHTTP bool
	// Waited says that it has waited for its credit.
	Waited bool
	// Watch is what observers were told of it; nil if they were told nothing.
	Watch *Watch
	// Begun is when the request began, on the ledger's clock; zero means now.
	Begun time.Duration
	// Rehearsed is written instead of a request that is sent; nil sends it.
	Rehearsed *Rehearsed
	// Standby is told what the request waits for; nil tells nobody.
	Standby Standby
}

// Standby is a caller that keeps only so many requests under way, such as a crew: it is told
// when one of them stops using connections, so that another can take its place, and when that
// goes on. Its methods are called on the goroutine that carries the request, and must not block.
type Standby interface {
	// Asks says where the request is about to ask for its permit: for each attempt another place,
	// and nil once the request has ended, for then the place is another's.
	Asks(in Queue)
	// StandsBy says that the request waits for something else than a connection or an answer:
	// in that queue for its permit, each time that it comes to queue; nil is for anything else.
	StandsBy(in Queue)
	// GoesOn says that it waits for that no more, and whether it has a connection now. It may be
	// called without the other before it.
	GoesOn(leased bool)
	// AskedAt is where in the program the request was asked for.
	AskedAt() string
	// Over is why nothing that was asked for together is to leave any more: the context which that of
	// the request ends with has ended, and it is about to. Nil lets it leave.
	Over() error
	// Ends says how the request has ended where Carry may not return: code of the caller's is
	// ending the goroutine by runtime.Goexit, or observers, who may do so, are about to hear of
	// the end.
	Ends(response *messages.Response, err error)
}

// Queue is the place of a request among those that wait for their permits.
type Queue interface {
	// Queues reports whether the request waits there still. Anybody may call it, then and later.
	Queues() bool
	// Unremembered is for how long, until now, it has been granted its permit and waited for the
	// memory alone; zero if that is not so. Anybody may call it until the request has ended.
	Unremembered(now time.Duration) time.Duration
}

// lifeBegins carries a life to its actor; Carry has laid it into the slot.
type lifeBegins struct{ *life }

// Carry takes one request from here to its single answer, on this goroutine, and
// returns the stream that the answer came with as well.
func (c *Carrier) Carry(ctx context.Context, asked *messages.Request, terms *Terms) (*messages.Response, *Stream, error) {
	r, err := c.slotFor(ctx, asked, terms)
	if err != nil {
		return nil, nil, err
	}
	// Deferred, because the caller's own code runs in there, and may end this
	// goroutine with runtime.Goexit: what it held comes back nevertheless.
	defer c.release(r)
	if r.terms.Standby != nil {
		defer r.tellWhoStandsBy()
	}
	// Handled at once, before what lies in the mailbox: that may be the word that
	// the engine closes, which is for this life too.
	r.Handle(lifeBegins{&r.life})
	if r.terms.Rehearsed == nil {
		c.retries.count(r)
	}
	r.Run(r.own.Done(), c.closingFor(r), &r.Turn)
	r.returns = true
	return r.response, r.lent, r.err
}

// slotFor returns a slot in which a life of that request has begun.
func (c *Carrier) slotFor(ctx context.Context, asked *messages.Request, terms *Terms) (*slot, error) {
	r := c.slot(terms.Rehearsed == nil)
	if err := r.spawn(); err != nil {
		c.slots.drop(r)
		c.slots.note(lifeSum{outcome: messages.NotSent})
		return nil, messages.NewError(asked, messages.Admitting, err)
	}
	r.begin(ctx, asked, terms)
	if terms.Standby != nil && asked.Stream && c.needs.Plan.TraceStreams {
		r.askedAt = terms.Standby.AskedAt()
	}
	return r, nil
}

// tellWhoStandsBy tells whoever stands by how a request has ended, if Carry may not return.
func (r *slot) tellWhoStandsBy() {
	switch {
	case !r.returns:
		r.doubtSent()
		r.terms.Standby.Ends(nil, r.failure(wire.Panicked(r.stage, nil)))
	case r.observed:
		r.terms.Standby.Ends(r.response, r.err)
	}
}

// tellAsks says where the request is about to ask for its permit.
func (r *slot) tellAsks() {
	if s := r.terms.Standby; s != nil {
		s.Asks(r.ticket)
	}
}

// standBy says that the request does not use connections for a while, and in which queue it is;
// nil is none.
func (r *slot) standBy(in Queue) {
	if s := r.terms.Standby; s != nil {
		s.StandsBy(in)
	}
}

// goOn says that it does so again, and whether it has a connection for that.
func (r *slot) goOn(leased bool) {
	if s := r.terms.Standby; s != nil {
		s.GoesOn(leased)
	}
}

// begin is the first that a life knows. From here on it is release that ends it.
func (r *slot) begin(ctx context.Context, asked *messages.Request, terms *Terms) {
	switch {
	case terms.Waited:
		r.timing.Admitted = r.now() - terms.Begun
	case terms.Begun == 0:
		terms.Begun = r.now()
	}
	r.from, r.ctx, r.caller, r.asked, r.deadline = ctx, ctx, asked, asked, terms.Deadline
	if watch := terms.Watch; watch != nil {
		r.observed, watch.Carried, r.ctx = true, true, watch.Values
	}
	r.terms = *terms
}

// closingFor is what a request must watch to learn that the engine closes. One in
// a slot of the list is told, if the engine closes from now on: an earlier life
// may have had the slot's message.
func (c *Carrier) closingFor(r *slot) <-chan struct{} {
	if r.kept && !c.isClosing() {
		return nil
	}
	return c.needs.Closing
}

// release ends a life, once: observers hear of it, and its slot is recycled. What they do
// may end this goroutine.
func (c *Carrier) release(r *slot) {
	if r.observed {
		defer c.recycle(r, true)
		r.tellEnd()
		return
	}
	c.recycle(r, true)
}

// recycle has a slot rest that nobody holds any more; any other is stopped and
// left to the collector, with a name that is never used again. What has become of the
// request is counted, unless it goes on elsewhere.
func (c *Carrier) recycle(r *slot, counted bool) {
	if r.own.Failure() != nil {
		r.tellContext()
	}
	if s := r.terms.Standby; s != nil && counted {
		s.Asks(nil)
	}
	r.returnBody()
	last := lifeSum{uncounted: true}
	if counted {
		last = r.sum()
	}
	if r.Finished && !r.failed && r.asking == 0 {
		longKey := r.asked != nil && len(r.asked.Key) > keptTarget
		r.life = life{}
		r.rest(longKey)
		if c.slots.put(r, last) {
			return
		}
	} else {
		c.slots.note(last)
	}
	r.end()
}

// tellContext warns of a panic that was contained, and so is told by nothing else. Its
// value may be a secret.
func (r *slot) tellContext() {
	r.needs.Logger.Warn("a method of the caller's context panicked, and was taken for one that says nothing",
		"context", fmt.Sprintf("%T", callersOwn(r.from)))
}

// keptTarget is up to how long the URL of a target may be that a slot remembers.
const keptTarget = 4 << 10

// keptWeights is for how many weights of its own a slot keeps room.
const keptWeights = 64

// rest lets go of what a slot between two lives must not pin: it may rest for long. Whether the
// last one had a long key it is told, for a permit that the throttler may have is not the slot's to
// look at.
func (r *slot) rest(longKey bool) {
	if len(r.target.shown) > keptTarget {
		r.target = target{}
	}
	r.takeBackTicket()
	r.renewTicket() // the ticket is the slot's own now
	r.ticket.Rest()
	p := &r.ticket.Permit
	p.Account, p.Key, p.Egress, p.WeighedBy = "", "", "", nil
	if clear(p.Weights); cap(p.Weights) <= keptWeights {
		p.Weights = p.Weights[:0]
	} else {
		p.Weights = nil
	}
	if r.signed != nil {
		*r.signed = messages.Call{} // credentials
	}
	// Nobody closes a ticket whose caller left. One that is long, and that the throttler may
	// not have let go of yet, would be kept for the next life.
	if last := r.spare; last != nil && (longKey || last.Left() || len(last.Path) > keptTarget) {
		r.spare = nil
	}
}

// openTicket readies the slot's ticket for its way.
func (r *slot) openTicket() *ticket.Ticket {
	t := r.ticket
	t.Reopen()
	t.Asked = ticket.Asked{
		Method: r.call.Method, Path: r.call.Path,
		Owner: r.recipient(), Pool: r.pool, Deadline: r.instant(r.deadline), Trace: r.hooks(), Values: r.dialValues(), Priority: r.asked.Priority,
	}
	t.Errand = r.terms.Errand
	t.TellsQueue = r.terms.Standby != nil
	t.Limited = r.limit != messages.Unlimited || r.needs.Gated(r.target.name)
	t.Permit.Deadline, t.Permit.Account = t.Deadline, r.asked.Account
	if t.Told { // mostly it is not, and the report is wide
		t.Clear()
	}
	return t
}

// reopenTicket readies it for another lease, under the same permit or in the same
// place for one.
func (r *slot) reopenTicket() {
	r.ticket.Trace, r.ticket.Values, r.ticket.Owner = r.hooks(), r.dialValues(), r
	r.ticket.Reopen()
}

func (r *slot) hooks() *httptrace.ClientTrace { return r.trace.hooks }

// dialValues is what a dial may look up, if it runs code that may.
func (r *slot) dialValues() context.Context {
	if !r.needs.Plan.DialValues {
		return nil
	}
	return r.ctx
}

// renewTicket makes sure that nobody else holds the ticket: under load many a
// settlement is still in the throttler's mailbox when its caller asks again. The
// ticket before it has mostly been let go of by then.
func (r *slot) renewTicket() {
	if r.ticket.Closed() {
		return
	}
	if r.spare == nil || !r.spare.Closed() {
		r.spare = new(ticket.Ticket)
	}
	r.ticket, r.spare = r.spare, r.ticket
}

// enterPool enters the pool of the origin by the request's egress, if there is one. A slot stays inside
// between two lives, and mostly meets the same origin again.
func (r *slot) enterPool() {
	if r.pool != nil && r.pool == r.target.pool {
		return
	}
	r.leavePool()
	r.pool = r.needs.Enter(r.call.Origin, r.asked.Egress)
	r.target.pool = r.pool
}

func (r *slot) leavePool() {
	if r.pool != nil {
		r.pool.Leave()
		r.pool = nil
	}
}
