package pool

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Config bounds the connections to one origin.
type Config struct {
	MaxConns    int           // open, being dialled, and being closed
	MaxTotal    int           // likewise, over all origins; here for error texts alone, Places enforces it
	Limit       string        // that each connection is charged to; here for error texts alone as well. Empty is none
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

// Core decides who gets which connection, and when to dial. The most urgent
// waiter is served first, and first come, first served within a priority; idle
// connections are lent last come, first served, so that those in excess grow old
// and are retired, or by turns, so that none does.
//
// It has no clock, goroutine or lock: `now` is an argument, on the ledger's
// clock, and one goroutine owns it. It outlives a failure of the actor around
// it.
//
// Invariants, between two calls:
//
//   - idle + leased + dialling + being closed ≤ MaxConns, and each has a place. What
//     is being closed for longer than closePatience is not counted; see disown.
//   - Nobody waits while a connection is idle.
//   - Whoever waits is waited for: a connection is being dialled, or there is no
//     room for another beside those leased and those being closed, or no place
//     among the connections of all origins, which Granted will bring, or the last
//     dial failed and an exchange is about to return a connection.
//   - While a connection is in doubt, see inDoubt, nobody who waits holds a
//     permit.
type Core struct {
	out    Outlet
	config Config

	idle     []*ticket.Lease // the unused connections, longest idle first
	waiters  waiters
	leases   []*ticket.Lease // every open connection, at its Index
	moved    time.Duration   // when a connection was last lent
	streams  streams
	dials    dials
	closing  []closing           // connections being closed, first the one that has been for longest
	hanging  int                 // those whose Close has not returned for long: they count no longer
	warming  []protocol.WarmPool // who waits for connections to be open
	alarm    time.Duration       // when Upkeep is called; zero means never
	empty    time.Duration       // since when there has been no connection
	endsAt   time.Duration       // when the pool closes because its door is shut; zero means never
	closed   bool                // nobody is served any more
	ended    bool                // the outlet has been told so
	patience time.Duration       // when a closed pool waits no longer for dials and closes
	gaveUp   bool                // it does not: those that end later are not counted any more

	granted bool // a place that was waited for is there
	lacks   bool // somebody waits for a place, and Granted will come

	failed *ticket.Ticket     // whose word the last failure was about; nil if nobody's
	counts protocol.PoolStats // only its counters are used
}

// Outlet is what a Core has others do. Every call returns at once, and calls
// nothing of the Core. Tickets are answered by what they carry themselves.
type Outlet interface {
	// Dial begins a dial, whose end is told with Dialled. It is made with the values
	// of a context, and the trace is told of it, if there are such; urgent is how urgent
	// the request is that it is made for. One that has to wait for leave is under way
	// meanwhile, and asks Wants when it has it.
	Dial(values context.Context, trace *httptrace.ClientTrace, urgent messages.Priority)
	// Reserve takes a place among the connections of all origins, and reports
	// whether there was one. If there was none and somebody waits for it, Granted
	// follows, unless Withdraw comes before.
	Reserve(waits bool) bool
	// Cede reports whether a connection that is wanted here is to be closed, for one
	// is wanted more where there are none, or fewer.
	Cede() bool
	// Release gives a place back.
	Release()
	// Withdraw says that nobody waits for a place any more.
	Withdraw()
	// Press has dials in doubt at other origins give up their places to who waits for
	// one, and returns when asking again is worthwhile. A dial of this pool's that is
	// to do so ends with errYielded.
	Press() time.Duration
	// AbortDials ends the dials under way soon, each of which is told with
	// Dialled all the same.
	AbortDials()
	// Close closes a connection that is in the pool no longer; Closed follows
	// when that is done.
	Close(protocol.Connection)
	// CloseHangs tells of a connection whose Close has not returned for long.
	CloseHangs()
	// Park gives the permit of a ticket back that goes on waiting here.
	Park(*ticket.Ticket)
	// Requeue sends a parked ticket back to the throttler, which it comes from
	// again with a permit.
	Requeue(*ticket.Ticket)
	// Forsake gives back the permit of a caller who left before the lease.
	Forsake(*ticket.Ticket)
	// RingAt has Upkeep called at an instant, instead of the one set before.
	RingAt(at time.Duration)
	// Draw returns a random duration of at most d.
	Draw(d time.Duration) time.Duration
	// Crowd says that many wait while no connection comes about, or that it is so no more.
	Crowd(there bool)
	// Unused says that the pool could end: Part follows if it may.
	Unused()
	// WarnOfStreams says that nobody is served because streams that are not closed
	// hold every connection there may be.
	WarnOfStreams(*messages.PoolFullError)
	// HookFailed tells of a panic in a hook that was told of a dial.
	HookFailed(*messages.PanicError)
	// End says that the pool is closed and has no connection any more.
	End()
}

// NewCore returns a pool without connections.
func NewCore(now time.Duration, config Config, out Outlet) *Core {
	return &Core{
		out: out, config: config, empty: now,
		dials: dials{base: config.Backoff, ceiling: config.BackoffCap},
	}
}

// Acquire lends a connection to a ticket, at once or later, or refuses it.
func (c *Core) Acquire(now time.Duration, t *ticket.Ticket) {
	t.Parked = false
	if c.closed {
		c.refuse(t, messages.ErrClosed)
		return
	}
	if l := c.popIdle(now); l != nil {
		c.lend(now, l, t)
		if c.config.MinIdle > 0 {
			c.dialMore(now)
		}
		return
	}
	if c.waiters.n >= c.config.MaxWaiters {
		least := c.waiters.least(t)
		c.waiters.remove(least)
		c.refuse(least, withReason(messages.ErrTooManyWaiters, c.full(now)))
		if least == t {
			return
		}
	}
	t.Since = now
	c.waiters.push(t)
	c.dialMore(now)
	c.parkIfInDoubt(now)
	c.warnOfStreams(now)
}

// withReason adds to an error why there was no connection; nil adds nothing.
func withReason(err, why error) error {
	if why == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, why)
}

// popIdle takes out an idle connection that may still be used; nil means that
// there is none. The alarm that retires the others may be late.
func (c *Core) popIdle(now time.Duration) *ticket.Lease {
	for len(c.idle) > 0 {
		at := len(c.idle) - 1
		if c.config.Rotate {
			at = 0
		}
		l := c.idle[at]
		c.idle = slices.Delete(c.idle, at, at+1)
		if now < c.retireAt(l) {
			return l
		}
		c.counts.Retired++
		c.discard(now, l)
	}
	return nil
}

// lend gives a connection to a ticket, or to the next waiter if the ticket's
// caller has left, or to nobody.
func (c *Core) lend(now time.Duration, l *ticket.Lease, t *ticket.Ticket) {
	for ; t != nil; t = c.nextWaiter(now) {
		if t.Grant(now, l) {
			c.moved = now
			return
		}
		c.forsake(t)
	}
	l.Rested = l.Uses == 0
	c.idle = append(c.idle, l)
	c.arm(c.retireAt(l))
}

// nextWaiter returns who goes first of those who can still use a connection and
// hold what they need besides.
func (c *Core) nextWaiter(now time.Duration) *ticket.Ticket {
	for {
		switch t := c.waiters.pop(); {
		case t == nil:
			return nil
		case t.Deadline != 0 && t.Deadline <= now:
			c.refuse(t, context.DeadlineExceeded)
		case t.Parked:
			c.out.Requeue(t)
		default:
			return t
		}
	}
}

// forsake gives back the permit of a caller who left before the lease.
func (c *Core) forsake(t *ticket.Ticket) {
	if t.Limited {
		c.out.Forsake(t)
	}
}

// refuse answers a waiter with an error; the permit stays the request's.
func (c *Core) refuse(t *ticket.Ticket, err error) {
	c.counts.Refused++
	if !t.Refuse(messages.Leasing, err) {
		c.forsake(t)
	}
}

func (c *Core) refuseAll(now time.Duration, err error) {
	for t := c.waiters.pop(); t != nil; t = c.waiters.pop() {
		c.refuse(t, err)
	}
	c.withdrawIfUnneeded(now)
}

// Abandon lets a ticket go whose caller left.
func (c *Core) Abandon(now time.Duration, t *ticket.Ticket) {
	if c.waiters.remove(t) { // otherwise it was answered, or lend has met it
		c.forsake(t)
		c.withdrawIfUnneeded(now)
	}
}

// Expire refuses a ticket whose caller waits no longer, and says what for.
func (c *Core) Expire(now time.Duration, t *ticket.Ticket) {
	if !c.waiters.remove(t) {
		return // it was answered
	}
	late := fmt.Errorf("no connection before then: %w", context.DeadlineExceeded)
	c.refuse(t, withReason(withReason(withReason(late, c.full(now)), c.awaited()), c.dials.err))
	c.withdrawIfUnneeded(now)
}

// Return takes a connection back, which the next waiter gets unless there is a
// doubt about it.
func (c *Core) Return(now time.Duration, l *ticket.Lease) {
	if h, ok := l.Conn.(protocol.IdleHinter); ok {
		l.Hint = h.IdleHint()
	}
	streamed := c.streamEnded(now, l)
	switch {
	case c.closed:
		c.discard(now, l)
		c.endIfDone() // it may have given up waiting for what it closes
	case !l.Reusable:
		c.counts.Broken++
		c.discard(now, l)
		c.dialMore(now)
	case now >= c.retireAt(l):
		c.counts.Retired++
		c.discard(now, l)
		c.dialMore(now)
	case c.waiters.n > 0 && c.out.Cede():
		c.counts.Retired++
		c.discard(now, l)
		c.dialMore(now)
	default:
		if streamed {
			c.requeueParked(now) // it may have been the one that was in doubt
		}
		c.lend(now, l, c.nextWaiter(now))
	}
	c.withdrawIfUnneeded(now)
	c.parkIfInDoubt(now)
}

// discard closes a connection, which must not be among the idle.
func (c *Core) discard(now time.Duration, l *ticket.Lease) {
	last := c.leases[len(c.leases)-1]
	if c.leases[l.Index] != l {
		panic("pool: a connection was returned that is not lent") // the supervisor restarts the actor, which closes what is idle
	}
	c.leases[l.Index], last.Index = last, l.Index
	c.leases[len(c.leases)-1] = nil
	c.leases = c.leases[:len(c.leases)-1]
	c.close(now, l.Conn)
	c.noteEmpty(now)
}

// Close answers every waiter, closes what is idle and aborts what is leased;
// the last of them to be closed ends the pool.
func (c *Core) Close(now time.Duration) {
	c.closed = true
	c.patience = now + closePatience
	c.out.AbortDials()
	c.refuseAll(now, messages.ErrClosed)
	c.warmed(messages.ErrClosed)
	c.DropIdle(now)
	for _, l := range c.leases {
		l.Abort()
	}
	c.arm(c.patience)
	c.endIfDone()
}

// DropIdle closes what is idle.
func (c *Core) DropIdle(now time.Duration) {
	idle := c.idle
	c.idle = nil
	for _, l := range idle {
		c.discard(now, l)
	}
}

func (c *Core) endIfDone() {
	if c.closed && !c.ended && len(c.leases)+c.dials.n+len(c.closing) == 0 {
		c.ended = true // a late ticket is still refused, and must not end it twice
		c.out.End()
	}
}

// Failed takes note that a call for a ticket did not return. A nil ticket means
// that the call was for none. Nothing else may be called before Recover.
func (c *Core) Failed(t *ticket.Ticket) { c.failed = t }

// Recover goes on after a failure: what the failure was about is answered, what
// was idle is in doubt and is closed, everything else goes on. Without a failure
// it sees to it that as many connections are open as there should be.
func (c *Core) Recover(now time.Duration) {
	if t := c.failed; t != nil && c.waiters.has(t) { // otherwise it was answered before the failure, and is the request's
		c.waiters.remove(t)
		c.refuse(t, messages.ErrActorFailed)
		c.withdrawIfUnneeded(now)
	}
	c.failed = nil
	c.alarm = 0 // the incarnation before has stopped it
	c.DropIdle(now)
	c.noteEmpty(now)
	c.disown(now)
	if c.endsAt != 0 {
		c.arm(c.endsAt)
	}
	if c.closed {
		c.arm(c.patience)
	}
	c.dialMore(now)
	c.press()
	c.parkIfInDoubt(now)
	c.warnOfStreams(now)
	c.endIfDone()
}

// Describe returns a picture of the pool.
func (c *Core) Describe() protocol.PoolStats {
	stats := c.counts
	stats.Idle, stats.Leased, stats.Streams = len(c.idle), len(c.leases)-len(c.idle), c.streams.n
	stats.Dialling, stats.AtLimit, stats.Waiting = c.dials.n, c.dials.atLimit, c.waiters.n
	return stats
}
