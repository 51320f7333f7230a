package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptrace"
	"runtime/debug"
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
	MinIdle     int           // kept open and unused, within MaxConns
	Rotate      bool          // lend the longest idle connection, not the last used
	IdleTimeout time.Duration // a connection unused for as long is closed
	MaxAge      time.Duration // and one as old, or up to a tenth younger; zero means never

	// The pause after a failed dial begins at Backoff, doubles to BackoffCap,
	// and is drawn from its upper half.
	Backoff, BackoffCap time.Duration
	// Passivate ends a pool that had no connection for as long and that no
	// request refers to; zero means never.
	Passivate time.Duration
}

// pool owns the connections to one origin and lends each to one request at a
// time. Waiters are served first come, first served; idle connections last
// come, first served, so that those in excess grow old and are retired, or by
// turns, so that none does.
//
// Invariant: len(book.leases) + book.dialling <= MaxConns.
type pool struct {
	system *System
	book   *poolBook
	timer  *time.Timer // calls upkeep; nil until first needed
	alarm  time.Time   // when it rings; zero if it does not
}

// poolBook is what outlives a failure of the actor. Every request writes to what
// stands first.
type poolBook struct {
	handling *messages.Ticket  // whose message is being handled
	idle     []*messages.Lease // the unused connections, longest idle first
	waiters  ticketQueue

	origin   messages.Origin
	config   PoolConfig
	leases   []*messages.Lease // every open connection, at its Index
	dialling int
	warming  []warmPool
	backoff  backoff
	empty    time.Time // since when there has been no connection
	door     *poolDoor
	parting  bool            // the door is shut, and the actor about to end
	ctx      context.Context // ends the dials when the pool closes
	cancel   context.CancelFunc
	closed   bool
	counts   PoolStats // only its counters are used
}

// What a pool tells itself.
type (
	dialDone struct {
		conn  messages.Connection
		err   error
		trace *httptrace.ClientTrace // that the dial was told to
	}
	upkeepDue struct{}
)

// PoolStats is a picture of one pool: gauges, and counters since it began.
type PoolStats struct {
	Origin                          messages.Origin
	Idle, Leased, Dialling, Waiting int

	Dialled     int64 // connections opened
	DialsFailed int64
	Retired     int64 // connections closed for their idleness or age
	Broken      int64 // connections closed because an exchange left a doubt
	Refused     int64 // waiters sent away
}

type describePool struct{ done chan<- PoolStats }

func newPool(s *System, origin messages.Origin, door *poolDoor) actor.Producer {
	book := &poolBook{
		origin: origin, config: s.config.Pool, door: door, empty: time.Now(),
		backoff: backoff{base: s.config.Pool.Backoff, ceiling: s.config.Pool.BackoffCap},
	}
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
	case upkeepDue:
		p.upkeep(time.Now())
	case warmPool:
		p.warm(m)
	case dropIdle:
		p.closeIdle()
	case describePool:
		m.done <- p.describe()
	case messages.ClosePool:
		p.close()
	case *actor.Started:
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
		if b.config.MinIdle > 0 {
			p.dialMore()
		}
	case b.waiters.n >= b.config.MaxWaiters:
		p.refuse(t, messages.ErrTooManyWaiters)
	case p.hopeless(t):
		p.refuse(t, fmt.Errorf("%w: no connection before then: %w", context.DeadlineExceeded, b.backoff.err))
	default:
		b.waiters.push(t)
		p.dialMore()
	}
}

// hopeless reports whether no connection can come in time: there is none, and
// none will be dialled before the deadline.
func (p *pool) hopeless(t *messages.Ticket) bool {
	b := p.book
	return b.backoff.failures > 0 && len(b.leases)+b.dialling == 0 &&
		t.Deadline != 0 && t.Deadline <= p.system.instant(b.backoff.until)
}

func (p *pool) popIdle() *messages.Lease {
	b := p.book
	if b.config.Rotate {
		l := b.idle[0]
		b.idle = slices.Delete(b.idle, 0, 1)
		return l
	}
	last := len(b.idle) - 1
	l := b.idle[last]
	b.idle[last] = nil
	b.idle = b.idle[:last]
	return l
}

// lend gives a connection to a ticket, or to the next waiter if the ticket's
// caller has left, or to nobody.
func (p *pool) lend(l *messages.Lease, t *messages.Ticket) {
	for ; t != nil; t = p.nextWaiter() {
		owner := t.Owner
		t.Lease = l
		if t.Answer() {
			owner.Tell(messages.LeaseGranted{Ticket: t})
			return
		}
		p.forsake(t)
	}
	l.Rested = l.Uses == 0
	p.book.idle = append(p.book.idle, l)
	p.arm(p.retireAt(l))
}

// nextWaiter returns who has waited longest and can still use a connection.
func (p *pool) nextWaiter() *messages.Ticket {
	t := p.book.waiters.pop()
	for t != nil && t.Deadline != 0 && t.Deadline <= p.system.now() {
		p.refuse(t, context.DeadlineExceeded)
		t = p.book.waiters.pop()
	}
	return t
}

// forsake gives back the permit of a caller who left before the lease.
func (p *pool) forsake(t *messages.Ticket) {
	if !t.Limited {
		return
	}
	t.Outcome.Fate = throttle.NeverSent
	p.system.throttler.Tell(messages.SettlePermit{Ticket: t})
}

// refuse answers a waiter with an error; the permit stays the request's.
func (p *pool) refuse(t *messages.Ticket, err error) {
	owner := t.Owner
	t.Refused, t.Stage = err, messages.Leasing
	p.book.counts.Refused++
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
	b := p.book
	switch {
	case b.ctx.Err() != nil:
		p.discard(l)
	case !l.Reusable:
		b.counts.Broken++
		p.discard(l)
		p.dialMore()
	case !l.RetireAt.IsZero() && !l.UsedAt.Before(l.RetireAt):
		b.counts.Retired++
		p.discard(l)
		p.dialMore()
	default:
		p.lend(l, p.nextWaiter())
	}
}

// discard closes a connection, which must not be among the idle.
func (p *pool) discard(l *messages.Lease) {
	b := p.book
	last := b.leases[len(b.leases)-1]
	b.leases[l.Index], last.Index = last, l.Index
	b.leases[len(b.leases)-1] = nil
	b.leases = b.leases[:len(b.leases)-1]
	_ = l.Conn.Close() // nothing can be done about a failed close
	p.noteEmpty()
}

// dialMore dials until every waiter has a dial of its own and enough are idle,
// or there is no room. A dial belongs to nobody: whoever is first takes its
// connection, and only the trace is its waiter's. After a failure there is one
// dial at a time, and a pause before it.
func (p *pool) dialMore() {
	b := p.book
	for b.ctx.Err() == nil && b.dialling < p.wanted() && len(b.leases)+b.dialling < b.config.MaxConns {
		if b.backoff.failures > 0 {
			if b.dialling > 0 {
				return
			}
			if time.Now().Before(b.backoff.until) {
				p.arm(b.backoff.until)
				return
			}
		}
		ctx, trace := b.ctx, b.waiters.trace(b.dialling)
		if trace != nil {
			ctx = httptrace.WithClientTrace(ctx, trace)
		}
		b.dialling++
		go func(dial Dial, origin messages.Origin, self address) {
			conn, err := dial.guarded(ctx, origin)
			self.Tell(dialDone{conn, err, trace})
		}(p.system.config.Dial, b.origin, b.door.address)
	}
}

// guarded keeps a panic in the caller's own code, a hook or a dialer, to the
// dial.
func (d Dial) guarded(ctx context.Context, origin messages.Origin) (conn messages.Connection, err error) {
	defer func() {
		if v := recover(); v != nil {
			conn, err = nil, &messages.PanicError{Stage: messages.Leasing, Value: v, Stack: debug.Stack()}
		}
	}()
	return d(ctx, origin)
}

// wanted is how many dials would be of use, were there room.
func (p *pool) wanted() int {
	b := p.book
	n := b.waiters.n + max(0, b.config.MinIdle-len(b.idle))
	for _, w := range b.warming {
		n = max(n, w.n-len(b.leases))
	}
	return n
}

func (p *pool) dialled(m dialDone) {
	b := p.book
	b.dialling--
	var panicked *messages.PanicError
	switch {
	case m.trace != nil && errors.As(m.err, &panicked):
		p.hookFailed(m.trace, panicked)
	case m.err != nil:
		p.dialFailed(fmt.Errorf("dial %s: %w", b.origin, m.err))
	case b.ctx.Err() != nil:
		_ = m.conn.Close()
	default:
		b.backoff.succeeded()
		b.counts.Dialled++
		now := time.Now()
		l := &messages.Lease{Conn: m.conn, Abort: m.conn.Abort, UsedAt: now, RetireAt: p.retirement(now), Index: len(b.leases)}
		b.leases = append(b.leases, l)
		p.warmed(nil)
		p.lend(l, p.nextWaiter())
		p.dialMore() // a dial that failed before may have left some waiting
	}
}

// dialFailed begins a pause. Waiters go on waiting as long as a connection may
// be returned or is still being dialled; otherwise each learns why there is
// none.
func (p *pool) dialFailed(err error) {
	b := p.book
	b.counts.DialsFailed++
	b.backoff.failed(time.Now(), err)
	p.warmed(err)
	if len(b.leases)+b.dialling == 0 {
		for t := b.waiters.pop(); t != nil; t = b.waiters.pop() {
			p.refuse(t, err)
		}
		p.noteEmpty()
	}
	p.dialMore()
}

// hookFailed answers whoever brought a trace whose hook panicked. The origin is
// not to blame, and the others go on waiting.
func (p *pool) hookFailed(trace *httptrace.ClientTrace, err *messages.PanicError) {
	p.system.config.Logger.Error("panic while dialling for a traced request",
		slog.String("origin", p.book.origin.String()), slog.Any("panic", err.Value), slog.String("stack", string(err.Stack)))
	for _, t := range p.book.waiters.takeTraced(trace) {
		p.refuse(t, err)
	}
	p.noteEmpty()
	p.dialMore()
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
	p.warmed(messages.ErrClosed)
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
	p.noteEmpty()
	if b.parting {
		p.arm(time.Now().Add(parting))
	}
	p.dialMore()
}

func (p *pool) describe() PoolStats {
	b := p.book
	stats := b.counts
	stats.Origin, stats.Idle, stats.Leased = b.origin, len(b.idle), len(b.leases)-len(b.idle)
	stats.Dialling, stats.Waiting = b.dialling, b.waiters.n
	return stats
}
