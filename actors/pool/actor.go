package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptrace"
	"os"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/contain"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// Dial opens a connection to an origin.
type Dial func(ctx context.Context, origin messages.Origin) (protocol.Connection, error)

// Needs are what a pool is handed.
type Needs struct {
	Origin     messages.Origin
	Egress     string // the name of the way out that Dial takes; "" is the default one
	Config     Config
	Dial       Dial
	Epoch      time.Time // instant zero of the ledger's clock
	Throttler  protocol.Recipient
	Supervisor protocol.Recipient
	Logger     *slog.Logger
	Crowds     *ticket.Crowds // is told while many wait and no connection comes about; nil if nobody wants to know
	Places     *Places        // shared with all other pools
	Door       *Door          // where the pool is told things
	Leave      Leave          // what a dial waits for before it opens a socket; nil is nothing
}

// Pool is what outlives the failures of the actor.
type Pool struct {
	needs  Needs
	core   *Core
	alarm  mailbox.Alarm
	ctx    context.Context // ends the dials when the pool closes
	cancel context.CancelFunc
	seat   seat          // among the pools that share the places
	rested int           // connections that were idle when it was last told
	queued int           // requests that waited for a connection when it was last told
	hungAt time.Duration // when it was last said that a Close does not return; zero means never
	stop   bool          // the core has ended, and the actor is to stop
}

// What a pool tells itself.
type (
	dialDone struct {
		conn  protocol.Connection
		err   error
		trace *httptrace.ClientTrace // that the dial was told to
		begun *dialling
		dial  *underWay
	}
	closeDone struct {
		conn  protocol.Connection
		hangs bool // its Close has left something behind that has not returned
	}
	upkeepDue struct{}
)

// New makes a pool that is still to be spawned.
func New(needs Needs) *Pool {
	p := &Pool{needs: needs, alarm: mailbox.NewAlarm(needs.Door, upkeepDue{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.seat.door = needs.Door
	p.core = NewCore(p.now(), needs.Config, p)
	return p
}

// Incarnate makes the actor, at first and after each failure.
func (p *Pool) Incarnate() actor.Actor { return incarnation{p} }

// Failed is part of protocol.Survivor.
func (p *Pool) Failed(message any) {
	switch m := message.(type) {
	case ticket.AcquireLease:
		p.core.Failed(m.Ticket)
	case leaveGiven:
		select {
		case m.dial.wanted <- false: // its permit is not to be kept
		default: // it was answered before
		}
	}
}

// incarnation is the actor between two failures. It has no state of its own.
type incarnation struct{ *Pool }

// Receive is part of actor.Actor: it has what Hear does not hear.
func (p incarnation) Receive(ctx actor.Context) {
	p.hearOwn(ctx.Message())
	p.finish(ctx.Message())
}

// finish does what is to be done after each word.
func (p incarnation) finish(message any) {
	if n := p.core.waiters.n; n != p.queued { // a request that finds a connection has come and gone
		p.needs.Places.Waiting.Add(int64(n - p.queued))
		p.queued = n
	}
	if p.needs.Places.crowded.Load() {
		p.tellIdle(message)
	}
	if p.stop {
		p.stop = false
		p.needs.Door.Stop()
	}
}

// Hear is part of mailbox.Hearer: the words about tickets and leases.
func (p incarnation) Hear(message any) (heard bool) {
	switch m := message.(type) {
	case ticket.AcquireLease:
		p.core.Acquire(p.now(), m.Ticket)
	case ticket.ReturnLease:
		p.core.Return(p.now(), m.Lease)
	case ticket.StreamLease:
		p.core.Streams(p.now(), m.Lease)
	case ticket.AbandonLease:
		p.core.Abandon(p.now(), m.Ticket)
	case ticket.ExpireLease:
		p.core.Expire(p.now(), m.Ticket)
	default:
		return false
	}
	p.finish(message)
	return true
}

// hearOwn has words of no ticket's and no lease's, and takes more room: those come on the
// stacks of their callers, who may be many.
func (p incarnation) hearOwn(message any) {
	switch m := message.(type) {
	case closeDone:
		p.closed(m)
	case dialDone:
		p.dialled(m)
	case leaveAsked:
		p.atLimit(m.dial, true)
	case leaveGiven:
		p.mayDial(m.dial)
	case upkeepDue:
		p.core.Upkeep(p.now())
	case placeGranted:
		p.core.Granted(p.now())
	case idleWanted:
		p.core.GiveUp(p.now(), m.n, p.needs.Config.MinIdle)
	case idleUnknown: // tellIdle tells
	case protocol.WarmPool:
		p.core.Warm(p.now(), m)
	case protocol.DropIdle:
		p.core.DropIdle(p.now())
	case protocol.ListWaiting:
		m.Owner.Tell(protocol.WaitingListed{Waiters: p.waiting(m.N)})
	case protocol.DescribePool:
		m.Owner.Tell(protocol.PoolDescribed{Stats: p.describe()})
	case protocol.PartPool:
		p.core.Part(p.now())
	case protocol.ClosePool:
		p.core.Close(p.now())
	case *actor.Started:
		p.core.Recover(p.now())
	case *actor.Restarting, *actor.Stopping:
		p.alarm.Stop()
	case *actor.Stopped:
	default:
		p.needs.Logger.Error("pool was told a word it does not know", "word", fmt.Sprintf("%T", m))
	}
}

func (p *Pool) dialled(m dialDone) {
	p.needs.Places.ended(m.begun)
	if m.dial.spared && m.err != nil { // it may have ended before it heard so
		m.err = errUnwanted
	}
	p.needs.Places.noteDial(m.err)
	p.atLimit(m.dial, false)
	p.core.Dialled(p.now(), m.conn, m.err, m.trace, m.dial.urgent)
}

func (p *Pool) closed(m closeDone) {
	if m.hangs {
		p.tellHanging()
	}
	p.core.Closed(p.now(), m.conn)
}

func (p *Pool) now() time.Duration { return time.Since(p.needs.Epoch) }

func (p *Pool) describe() protocol.PoolStats {
	stats := p.core.Describe()
	stats.Origin, stats.Egress = p.needs.Origin, p.needs.Egress
	return stats
}

// mostListed is of how many who wait a pool tells at most.
const mostListed = 1024

// waiting tells of the first n who wait, in the order in which they are served.
func (p *Pool) waiting(n int) []protocol.Waiter {
	var all []protocol.Waiter
	for t := range p.core.waiters.inOrder() {
		if len(all) == min(n, mostListed) {
			break
		}
		w := protocol.Waiter{
			Method: t.Method, Path: t.Path, Account: t.Permit.Account, Origin: p.needs.Origin.String(),
			Priority: t.Priority, Since: t.Since, Ahead: len(all), Behind: len(all) - 1,
		}
		if t.Limited {
			w.Limit = t.Charged.Limit()
		}
		all = append(all, w)
	}
	return all
}

// place is what the log is told of where the connections lead, and by which way.
func (p *Pool) place() []any {
	if p.needs.Egress == "" {
		return []any{"origin", p.needs.Origin.String()}
	}
	return []any{"origin", p.needs.Origin.String(), "egress", p.needs.Egress}
}

// Dial is part of Outlet. The goroutine is given copies, and reports back once.
func (p *Pool) Dial(values context.Context, trace *httptrace.ClientTrace, urgent messages.Priority) {
	ctx, begun := p.needs.Places.begin(p.ctx, p.now(), &p.seat)
	one := &underWay{urgent: urgent}
	if p.needs.Leave != nil {
		one.wanted = make(chan bool, 1)
		ctx = protocol.WithDialGate(ctx, p.gate(one))
	}
	switch {
	case values != nil: // the trace is one of them
		ctx = valued{ctx, context.WithoutCancel(values)}
	case trace != nil:
		ctx = httptrace.WithClientTrace(ctx, trace)
	}
	go func(dial Dial, origin messages.Origin, self mailbox.Address) {
		done := dialDone{err: errDialExited, trace: trace, begun: begun, dial: one}
		defer func() { self.Tell(done) }()     // a dialer may end its goroutine
		conn, err := dial.guarded(ctx, origin) // an error of it says which origin
		if err == nil && p.ctx.Err() != nil {  // nobody wants it any more, and the pool may have ended without it
			closeGuarded(conn) // there is nobody to tell
			conn, err = nil, p.ctx.Err()
		}
		done.conn, done.err = conn, judge(ctx, trace, err)
	}(p.needs.Dial, p.needs.Origin, p.needs.Door.Address)
}

// valued is a context with the values of another, which may have ended.
type valued struct {
	context.Context
	values context.Context
}

// Value is part of context.Context.
func (v valued) Value(key any) any {
	if value := v.values.Value(key); value != nil {
		return value
	}
	return v.Context.Value(key)
}

var errDialExited = errors.New("dialer ended its goroutine")

// panicError is the error of code that panicked, for the deferred function that recovered it.
func panicError(recovered any) *messages.PanicError {
	cut := contain.NewCut(recovered)
	return &messages.PanicError{Stage: messages.Leasing, Value: cut.Value, Stack: cut.Stack}
}

// guarded keeps a panic in the caller's own code, a hook or a dialer, to the
// dial.
func (d Dial) guarded(ctx context.Context, origin messages.Origin) (conn protocol.Connection, err error) {
	defer func() {
		if v := recover(); v != nil {
			conn, err = nil, panicError(v)
		}
	}()
	return d(ctx, origin)
}

// tellIdle tells what is idle, closes one that is wanted elsewhere, and sees to it
// that not too many are over all pools: at once when a connection is idle for the
// first time, which is once for every dial, and otherwise a second later, so that
// lending and returning wait for no lock.
func (p incarnation) tellIdle(after any) {
	if p.needs.Places.owed.Load() {
		if n, _ := p.core.Resting(); n > 0 && p.core.Spares(p.now()) && p.needs.Places.payDebt() {
			p.core.GiveUp(p.now(), 1, 0)
		}
	}
	n, since := p.core.Resting()
	more := n > p.rested
	p.rested = n
	p.seat.told(n, since)
	switch m := after.(type) {
	case upkeepDue, dialDone:
		p.needs.Places.trim(p.needs.Config.MinIdle)
	case ticket.ReturnLease:
		if more { // so nobody waited, and nobody else has the lease now
			p.trimSoon(m.Lease.Uses <= 1)
		}
	}
}

// trimAfter is how long after a return more may be idle than there should be.
const trimAfter = time.Second

func (p incarnation) trimSoon(now bool) {
	if now {
		p.needs.Places.trim(p.needs.Config.MinIdle)
		return
	}
	p.core.RingBy(p.now() + trimAfter)
}

// Reserve is part of Outlet.
func (p *Pool) Reserve(waits bool) bool { return p.needs.Places.take(p.now(), &p.seat, waits) }

// Cede is part of Outlet.
func (p *Pool) Cede() bool {
	return p.needs.Places.owed.Load() && p.needs.Places.cede(p.now(), &p.seat)
}

// Release is part of Outlet.
func (p *Pool) Release() { p.needs.Places.release(p.now(), &p.seat) }

// Withdraw is part of Outlet.
func (p *Pool) Withdraw() { p.needs.Places.withdraw(&p.seat) }

// Press is part of Outlet.
func (p *Pool) Press() time.Duration { return p.needs.Places.press(p.now()) }

// AbortDials is part of Outlet.
func (p *Pool) AbortDials() { p.cancel() }

// Close is part of Outlet. A connection of somebody else's making may take its
// time to close, and must not hold up the others.
func (p *Pool) Close(conn protocol.Connection) {
	p.needs.Places.Connections.Closed.Add(1)
	go func(self mailbox.Address) {
		done := closeDone{conn: conn}
		defer func() { self.Tell(done) }()
		done.hangs = closeGuarded(conn)
	}(p.needs.Door.Address)
}

// CloseHangs is part of Outlet.
func (p *Pool) CloseHangs() { p.tellHanging() }

// tellHanging warns of a connection whose Close has not returned, whether it is this
// one's or that of somebody else's connection below it, for which that waits no longer.
func (p *Pool) tellHanging() {
	if now := p.now(); p.hungAt == 0 || now >= p.hungAt+warnEvery {
		p.hungAt = now
		p.needs.Logger.Warn("Close of a connection does not return, and the connection is not counted as open any more",
			p.place()...)
	}
}

// closeGuarded reports whether a Close was not waited for to its end. Nothing can be done about
// one that failed otherwise, or about one that panics: it is closed as well as it can be.
func closeGuarded(conn protocol.Connection) (hangs bool) {
	defer func() { _ = recover() }()
	return errors.Is(conn.Close(), os.ErrDeadlineExceeded)
}

// Park is part of Outlet.
func (p *Pool) Park(t *ticket.Ticket) { p.needs.Throttler.Tell(ticket.ParkPermit{Ticket: t}) }

// Requeue is part of Outlet.
func (p *Pool) Requeue(t *ticket.Ticket) { p.needs.Throttler.Tell(ticket.RequeuePermit{Ticket: t}) }

// Forsake is part of Outlet.
func (p *Pool) Forsake(t *ticket.Ticket) {
	t.Fate = throttle.NeverSent
	p.needs.Throttler.Tell(ticket.SettlePermit{Ticket: t})
}

// RingAt is part of Outlet.
func (p *Pool) RingAt(at time.Duration) { p.alarm.RingIn(at - p.now()) }

// Draw is part of Outlet.
func (p *Pool) Draw(d time.Duration) time.Duration { return rand.N(d + 1) }

// Crowd is part of Outlet.
func (p *Pool) Crowd(there bool) {
	c := p.needs.Crowds
	switch {
	case c == nil:
	case there:
		c.Add(c.OfPool(p.needs.Origin, p.needs.Egress), ticket.Many)
	default:
		c.Add(c.OfPool(p.needs.Origin, p.needs.Egress), -ticket.Many)
	}
}

// Unused is part of Outlet.
func (p *Pool) Unused() {
	p.needs.Supervisor.Tell(protocol.PoolUnused{Origin: p.needs.Origin, Egress: p.needs.Egress, Door: p.needs.Door})
}

// WarnOfStreams is part of Outlet.
func (p *Pool) WarnOfStreams(full *messages.PoolFullError) {
	about := append(p.place(),
		"connections", full.Most, "streams", full.Streams, "oldest", full.Oldest.Round(time.Millisecond))
	if full.OpenedAt != "" {
		about = append(about, "opened_at", full.OpenedAt)
	} else {
		about = append(about, "hint", "close every Response.Stream; Connections.TraceStreams tells where they were opened")
	}
	p.needs.Logger.Warn("requests wait while response streams that were not closed hold every connection", about...)
}

// HookFailed is part of Outlet.
func (p *Pool) HookFailed(err *messages.PanicError) {
	about := append(p.place(), slog.Any("panic", err.Value), slog.String("stack", string(err.Stack)))
	p.needs.Logger.Error("panic while dialling for a traced request", about...)
}

// End is part of Outlet.
func (p *Pool) End() { p.stop = true }
