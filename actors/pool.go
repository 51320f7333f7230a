package actors

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// PoolConfig bounds the connections to one origin.
type PoolConfig struct {
	MaxConns    int           // open and being dialled
	MaxWaiters  int           // requests waiting for one
	IdleTimeout time.Duration // a connection unused for as long is closed
}

// pool owns the connections to one origin and lends each to one request at a
// time. Waiters are served first come, first served; idle connections last
// come, first served, so that those in excess grow old and are retired.
//
// Invariant: len(book.leases) + book.dialling <= MaxConns.
type pool struct {
	system *System
	book   *poolBook
	self   address
	timer  *time.Timer // rings when the longest idle connection is due; nil until first needed
	armed  bool
}

// poolBook is what outlives a failure of the actor.
type poolBook struct {
	origin   messages.Origin
	config   PoolConfig
	leases   []*messages.Lease // every open connection, at its Index
	idle     []*messages.Lease // of those, the unused ones, longest idle first
	waiters  *ticketList
	dialling int
	ctx      context.Context // ends the dials when the pool closes
	cancel   context.CancelFunc
	closed   bool
	handling *messages.Ticket // whose message is being handled
}

// What a pool tells itself.
type (
	dialDone struct {
		conn messages.Connection
		err  error
	}
	idleDue struct{}
)

// PoolStats is a picture of one pool.
type PoolStats struct {
	Origin                          messages.Origin
	Idle, Leased, Dialling, Waiting int
}

type describePool struct{ done chan<- PoolStats }

func newPool(s *System, origin messages.Origin) actor.Producer {
	book := &poolBook{origin: origin, config: s.config.Pool, waiters: newTicketList(queueLinks)}
	book.ctx, book.cancel = context.WithCancel(context.Background())
	return func() actor.Actor { return &pool{system: s, book: book} }
}

// Receive is part of actor.Actor.
func (p *pool) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case messages.AcquireLease:
		p.book.handling = m.Ticket
		p.acquire(m.Ticket)
		p.book.handling = nil
	case messages.ReturnLease:
		p.giveBack(m.Lease)
	case messages.AbandonLease:
		p.abandon(m.Ticket)
	case dialDone:
		p.dialled(m)
	case idleDue:
		p.retire(time.Now())
	case describePool:
		m.done <- p.describe()
	case messages.ClosePool:
		p.close()
	case *actor.Started:
		p.self = address{p.system.actors.Root, ctx.Self()}
		p.recover()
	case *actor.Restarting, *actor.Stopping:
		p.stopTimer()
	}
	if p.book.closed && len(p.book.leases)+p.book.dialling == 0 {
		p.book.closed = false // stop once
		ctx.Stop(ctx.Self())
	}
}

func (p *pool) acquire(t *messages.Ticket) {
	b := p.book
	switch {
	case b.ctx.Err() != nil:
		p.refuse(t, messages.ErrClosed)
	case len(b.idle) > 0:
		p.lend(p.popIdle(), t)
	case b.waiters.n >= b.config.MaxWaiters:
		p.refuse(t, messages.ErrTooManyWaiters)
	default:
		b.waiters.push(t)
		p.dialForWaiters()
	}
}

func (p *pool) popIdle() *messages.Lease {
	b := p.book
	l := b.idle[len(b.idle)-1]
	b.idle = b.idle[:len(b.idle)-1]
	return l
}

// lend gives a connection to a ticket, or to the next waiter if the ticket's
// caller has left, or to nobody.
func (p *pool) lend(l *messages.Lease, t *messages.Ticket) {
	for ; t != nil; t = p.book.waiters.pop() {
		owner := t.Owner
		t.Lease = l
		if t.Answer() {
			owner.Tell(messages.LeaseGranted{Ticket: t})
			return
		}
		p.forsake(t)
	}
	p.book.idle = append(p.book.idle, l)
	if !p.armed {
		p.arm(p.book.config.IdleTimeout)
	}
}

// forsake gives back the permit of a caller who left before the lease.
func (p *pool) forsake(t *messages.Ticket) {
	if t.Permit.State() != throttle.Granted {
		return // unlimited
	}
	t.Outcome.Fate = throttle.NeverSent
	p.system.throttler.Tell(messages.SettlePermit{Ticket: t})
}

// refuse answers a waiter with an error; the permit stays the request's.
func (p *pool) refuse(t *messages.Ticket, err error) {
	owner := t.Owner
	t.Refused, t.Stage = err, messages.Leasing
	if t.Answer() {
		owner.Tell(messages.TicketRefused{Ticket: t})
		return
	}
	p.forsake(t)
}

func (p *pool) abandon(t *messages.Ticket) {
	if p.book.waiters.remove(t) {
		p.forsake(t)
	}
}

func (p *pool) giveBack(l *messages.Lease) {
	if p.book.ctx.Err() != nil || !l.Reusable {
		p.discard(l)
		p.dialForWaiters()
		return
	}
	p.lend(l, p.book.waiters.pop())
}

// discard closes a connection, which must not be among the idle.
func (p *pool) discard(l *messages.Lease) {
	b := p.book
	last := b.leases[len(b.leases)-1]
	b.leases[l.Index], last.Index = last, l.Index
	b.leases[len(b.leases)-1] = nil
	b.leases = b.leases[:len(b.leases)-1]
	_ = l.Conn.Close() // nothing can be done about a failed close
}

// dialForWaiters dials until every waiter has a dial of its own, or there is
// no room. A dial belongs to nobody: whoever is first takes its connection.
func (p *pool) dialForWaiters() {
	b := p.book
	for b.ctx.Err() == nil && b.dialling < b.waiters.n && len(b.leases)+b.dialling < b.config.MaxConns {
		b.dialling++
		go func(ctx context.Context, dial Dial, origin messages.Origin, self address) {
			conn, err := dial(ctx, origin)
			self.Tell(dialDone{conn, err})
		}(b.ctx, p.system.config.Dial, b.origin, p.self)
	}
}

func (p *pool) dialled(m dialDone) {
	b := p.book
	b.dialling--
	switch {
	case m.err != nil:
		if t := b.waiters.pop(); t != nil {
			p.refuse(t, fmt.Errorf("dial %s: %w", b.origin, m.err))
		}
		p.dialForWaiters()
	case b.ctx.Err() != nil:
		_ = m.conn.Close()
	default:
		l := &messages.Lease{Conn: m.conn, Abort: m.conn.Abort, UsedAt: time.Now(), Index: len(b.leases)}
		b.leases = append(b.leases, l)
		p.lend(l, b.waiters.pop())
	}
}

// retire closes what has been idle for too long, and sets the alarm for the
// next. The alarm is never moved when a connection is used: it may ring in
// vain, once per IdleTimeout at most.
func (p *pool) retire(now time.Time) {
	b := p.book
	p.armed = false
	due := 0
	for due < len(b.idle) && now.Sub(b.idle[due].UsedAt) >= b.config.IdleTimeout {
		due++
	}
	old := slices.Clone(b.idle[:due])
	b.idle = slices.Delete(b.idle, 0, due)
	for _, l := range old {
		p.discard(l)
	}
	if len(b.idle) > 0 {
		p.arm(b.config.IdleTimeout - now.Sub(b.idle[0].UsedAt))
	}
}

func (p *pool) arm(d time.Duration) {
	p.armed = true
	if p.timer != nil {
		p.timer.Reset(d)
		return
	}
	self := p.self
	p.timer = time.AfterFunc(d, func() { self.Tell(idleDue{}) })
}

func (p *pool) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// close answers every waiter, closes what is idle and aborts what is leased;
// the last lease or dial to come back ends the actor.
func (p *pool) close() {
	b := p.book
	b.cancel()
	b.closed = true
	for t := b.waiters.pop(); t != nil; t = b.waiters.pop() {
		p.refuse(t, messages.ErrClosed)
	}
	p.closeIdle()
	for _, l := range b.leases {
		l.Abort()
	}
}

func (p *pool) closeIdle() {
	idle := p.book.idle
	p.book.idle = nil
	for _, l := range idle {
		p.discard(l)
	}
}

// recover takes over from a predecessor that failed: what it was handling is
// answered, what was idle is in doubt and is closed, everything else goes on.
func (p *pool) recover() {
	b := p.book
	if t := b.handling; t != nil {
		b.handling = nil
		b.waiters.remove(t)
		p.refuse(t, messages.ErrActorFailed)
	}
	p.closeIdle()
	p.dialForWaiters()
}

func (p *pool) describe() PoolStats {
	b := p.book
	return PoolStats{
		Origin: b.origin, Idle: len(b.idle), Leased: len(b.leases) - len(b.idle),
		Dialling: b.dialling, Waiting: b.waiters.n,
	}
}
