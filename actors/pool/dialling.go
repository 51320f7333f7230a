package pool

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// dials are those under way, and how the last ones ended. They space the dials
// to an origin that refuses them.
type dials struct {
	n       int                 // under way, those that wait for leave or are to end unwanted included
	atLimit int                 // of them, those that wait for leave
	spare   int                 // and those that Wants has said no to, and that have not ended yet
	urgent  []messages.Priority // how urgent each of them is, in no order
	since   time.Duration       // since when there has always been one under way

	base, ceiling time.Duration
	failures      int           // pauses since the last success, all of the same kind
	until         time.Duration // no dial before, but for whoever asks after a permanent failure
	err           error         // of the last dial, if it failed
	permanent     bool          // err is one that no pause mends: see messages.Permanent
	yields        int           // in a row that gave up their places to others, and so came to nothing
	keptUntil     time.Duration // what is idle is for those who went for a permit
}

// doubtAfter is how long a dial may take before its origin is in doubt: longer
// than a round trip and a handshake to anywhere that one trades with.
const doubtAfter = 250 * time.Millisecond

// inDoubt reports whether nobody can say when there will be a connection: none is open that an
// exchange would return, and the dials under way take long, or the last ones failed, or there
// are none, for all places are taken, or no stream has ended for long. A permit that waited for
// such a connection would be kept from requests to other origins that share the limit.
func (c *Core) inDoubt(now time.Duration) bool {
	return c.waiters.n > 0 && len(c.leases) == c.streams.n && (c.dials.failures > 0 || c.lacks && c.dials.n == 0 || now >= c.doubtAt())
}

// doubtAt is when patience with the dials under way is over, or, without any,
// with the streams that hold every connection, or with what is being closed.
func (c *Core) doubtAt() time.Duration {
	switch {
	case c.dials.n > 0:
		return c.dials.since + doubtAfter
	case c.streams.n > 0:
		return c.streams.changed + doubtAfter
	case len(c.closing) > 0:
		return c.closing[0].since + doubtAfter
	}
	return never
}

// never is later than any instant.
const never time.Duration = 1<<63 - 1

// parkIfInDoubt has everyone who waits give the permit back while a connection
// is in doubt.
func (c *Core) parkIfInDoubt(now time.Duration) {
	c.tellCrowd(now)
	if !c.inDoubt(now) {
		if at := c.doubtAt(); c.waiters.n > 0 && len(c.leases) == c.streams.n && at != never {
			c.arm(at)
		}
		return
	}
	for t := range c.waiters.inOrder() {
		if t.Limited && !t.Parked {
			t.Parked = true
			c.out.Park(t)
		}
	}
}

// crowdAfter is how long nobody who waits has been served where a crowd is one that waits for
// long: a first dial mostly takes less.
const crowdAfter = 10 * time.Millisecond

// tellCrowd tells whether there is a crowd here, if that has changed.
func (c *Core) tellCrowd(now time.Duration) {
	if there := c.waiters.n >= ticket.Many && c.hasStalled(now); there != c.waiters.crowd {
		c.waiters.crowd = there
		c.out.Crowd(there)
	}
}

// hasStalled reports whether no exchange is about to return a connection, and none has come about
// for some time.
func (c *Core) hasStalled(now time.Duration) bool {
	if len(c.leases) != c.streams.n {
		return false
	}
	at := c.doubtAt()
	return c.inDoubt(now) || at != never && now >= at-doubtAfter+crowdAfter
}

// requeueParked sends those who wait without a permit for one, now that there is
// a connection. It is kept for them meanwhile: nobody waits for it here then, and it would
// be closed for who waits elsewhere, who would be served no sooner in the same way.
func (c *Core) requeueParked(now time.Duration) {
	for _, t := range c.waiters.take(func(t *ticket.Ticket) bool { return t.Parked }) {
		c.dials.keptUntil = now + keptForParked
		c.out.Requeue(t)
	}
}

// keptForParked is how long a connection is kept for those who went for a permit: their
// limits may be full for long.
const keptForParked = placeTurn / 2

// Spares reports whether what is idle may be closed for another origin. If not yet, it
// has Upkeep called when it may.
func (c *Core) Spares(now time.Duration) bool {
	if now < c.dials.keptUntil {
		c.arm(c.dials.keptUntil)
		return false
	}
	return true
}

// dialMore dials until every waiter has a dial of its own and enough are idle, or there is no
// room. A dial belongs to nobody: whoever is first takes its connection, and only the trace and
// the values of its context are its waiter's. After a failure there is one dial at a time, and
// a pause before it, through which nobody waits for a dial: each learns at once why the last
// one failed, and when the next is due. Whoever asks after the pause has it made, and others
// join the wait for it.
func (c *Core) dialMore(now time.Duration) {
	d := &c.dials
	for !c.closed && d.n < c.wanted() && len(c.leases)+d.n+len(c.closing) < c.config.MaxConns {
		if d.failures > 0 {
			if d.n > 0 {
				return
			}
			if now < d.until && !c.asksAnew() {
				c.pause(now)
				return
			}
		}
		if !c.reserve(now) {
			return
		}
		if d.n == 0 {
			d.since = now
		}
		by := c.waiters.mark(d.n) // of the first waiter that has no dial yet
		urgent := c.waiters.urgency(d.urgent)
		d.n, d.urgent = d.n+1, append(d.urgent, urgent)
		c.out.Dial(by.values, by.trace, urgent)
	}
}

// asksAnew reports whether somebody asks for a connection whom no pause would
// help: the last dial failed for what may be mended at any moment, or never.
// What is dialled for nobody is spaced all the same.
func (c *Core) asksAnew() bool {
	return c.dials.permanent && c.waiters.n+len(c.warming) > 0
}

// pause tells everyone who asks that there is no dial before its end, at which one
// is made for nobody if connections are to be kept idle. Those whom an exchange
// may serve wait on for that.
func (c *Core) pause(now time.Duration) {
	err := fmt.Errorf("not dialled again yet: %w", c.dialFailure())
	c.warmed(err)
	if c.returning(now) {
		c.arm(c.moved + returnPatience)
	} else {
		c.refuseAll(now, err)
	}
	if c.wanted() > 0 {
		c.arm(c.dials.until)
	}
}

// returnPatience is how long after the last connection was lent one is expected to
// be returned: answers take less.
const returnPatience = 2 * time.Second

// returning reports whether an exchange is about to return its connection to
// whoever waits: that the origin takes no other is no failure then. A stream may
// hold its connection for ever, and so may an exchange that is out for long.
func (c *Core) returning(now time.Duration) bool {
	return len(c.leases) > c.streams.n && now < c.moved+returnPatience
}

// wanted is how many dials would be of use, were there room.
func (c *Core) wanted() int {
	n := c.waiters.n + max(0, c.config.MinIdle-len(c.idle))
	for _, w := range c.warming {
		n = max(n, w.N-len(c.leases))
	}
	return n
}

// Dialled takes note of how a dial ended, which trace was told of it, and how urgent it was.
func (c *Core) Dialled(now time.Duration, conn protocol.Connection, err error, trace *httptrace.ClientTrace, urgent messages.Priority) {
	if c.gaveUp {
		c.abandoned(conn)
		return
	}
	if c.dials.n == 0 {
		panic("pool: a dial ended that was not begun")
	}
	c.dials.n--
	if i := slices.Index(c.dials.urgent, urgent); i >= 0 {
		c.dials.urgent = slices.Delete(c.dials.urgent, i, i+1)
	}
	if err != nil {
		c.out.Release()
	}
	panicked, _ := err.(*messages.PanicError)
	switch {
	case err == errYielded:
		c.yielded(now)
	case err == errUnwanted:
		c.spared(now)
	case trace != nil && panicked != nil:
		c.hookFailed(now, trace, panicked)
	case err != nil:
		c.dialFailed(now, err)
	case c.closed:
		c.close(now, conn)
	default:
		c.dials.succeeded()
		c.counts.Dialled++
		l := &ticket.Lease{Conn: conn, Abort: conn.Abort, UsedAt: now, RetireAt: c.retirement(now, conn), Index: len(c.leases)}
		c.leases = append(c.leases, l)
		c.warmed(nil)
		c.requeueParked(now)
		c.lend(now, l, c.nextWaiter(now))
		c.dialMore(now) // a dial that failed before may have left some waiting
	}
	c.withdrawIfUnneeded(now)
	c.parkIfInDoubt(now)
	c.endIfDone()
}

// abandoned closes a connection that came after the pool had given up waiting.
func (c *Core) abandoned(conn protocol.Connection) {
	if conn != nil {
		c.out.Close(conn)
	}
}

// dialFailed begins a pause. Waiters go on waiting as long as another connection is
// being dialled, or about to be returned; otherwise each learns why there is none.
func (c *Core) dialFailed(now time.Duration, err error) {
	c.counts.DialsFailed++
	c.dials.failed(now, err, c.out.Draw)
	c.warmed(err)
	if c.dials.n == 0 && (c.dials.permanent || !c.returning(now)) {
		c.refuseAll(now, c.dialFailure())
		c.noteEmpty(now)
	}
	c.dialMore(now)
}

// dialFailure is the error of the last dial, and says when the next one will be
// made, if that may end any better.
func (c *Core) dialFailure() error {
	if c.dials.permanent {
		return c.dials.err
	}
	return &dialError{c.dials.err, c.dials.until}
}

// hookFailed answers whoever brought a trace whose hook panicked. The origin is
// not to blame, and the others go on waiting.
func (c *Core) hookFailed(now time.Duration, trace *httptrace.ClientTrace, err *messages.PanicError) {
	c.out.HookFailed(err)
	for _, t := range c.waiters.take(func(t *ticket.Ticket) bool { return t.Trace == trace }) {
		c.refuse(t, err)
	}
	c.noteEmpty(now)
	c.dialMore(now)
}

// failed begins a pause. Dials that fail during one do not lengthen it: they
// began before. A failure of another kind than the last begins with the shortest.
func (d *dials) failed(now time.Duration, err error, draw func(time.Duration) time.Duration) {
	permanent := messages.Permanent(err)
	d.yields = 0
	if permanent != d.permanent {
		d.failures, d.until = 0, 0
	}
	d.err, d.permanent = err, permanent
	if now < d.until {
		return
	}
	d.failures++
	pause := unit.Doubled(d.base, d.failures-1, d.ceiling)
	d.until = now + pause/2 + draw(pause/2)
}

// judged is how a dial failed, and what the pool goes by in it. What an error has below it
// may be of the caller's own making, whose methods panic, or take their time: they are called
// where the dial was, and not on the pool's turn.
type judged struct {
	error
	permanent bool
}

// Unwrap returns why it failed.
func (e *judged) Unwrap() error { return e.error }

// Permanent is what messages.Permanent finds first.
func (e *judged) Permanent() bool { return e.permanent }

// judge returns what Core.Dialled is told of a dial that ended with an error: errYielded,
// errUnwanted, and a panic under a trace as they are, and everything else as *judged.
func judge(ctx context.Context, trace *httptrace.ClientTrace, err error) (found error) {
	defer func() {
		if v := recover(); v != nil {
			found = panicError(v)
		}
	}()
	var panicked *messages.PanicError
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) == errYielded && errors.Is(err, context.Canceled): // not a panic, and not what it had met before
		return errYielded
	case errors.Is(err, errUnwanted):
		return errUnwanted
	case trace != nil && errors.As(err, &panicked):
		return panicked
	}
	return &judged{err, messages.Permanent(err)}
}

// dialError is a dial that failed, and when the next one will be made.
type dialError struct {
	error
	until time.Duration
}

// Unwrap returns why it failed.
func (e *dialError) Unwrap() error { return e.error }

// RetryAt is when asking again is worthwhile, on the ledger's clock.
func (e *dialError) RetryAt() time.Duration { return e.until }

func (d *dials) succeeded() { d.failures, d.until, d.err, d.permanent, d.yields = 0, 0, nil, false, 0 }
