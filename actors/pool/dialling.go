package pool

import (
	"errors"
	"net/http/httptrace"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// dialMore dials until every waiter has a dial of its own and enough are idle,
// or there is no room. A dial belongs to nobody: whoever is first takes its
// connection, and only the trace is its waiter's. After a failure there is one
// dial at a time, and a pause before it.
func (c *Core) dialMore(now time.Duration) {
	for !c.closing && c.dialling < c.wanted() && len(c.leases)+c.dialling < c.config.MaxConns {
		if c.backoff.failures > 0 {
			if c.dialling > 0 {
				return
			}
			if now < c.backoff.until {
				c.arm(c.backoff.until)
				return
			}
		}
		trace := c.waiters.trace(c.dialling) // of the first waiter that has no dial yet
		c.dialling++
		c.out.Dial(trace)
	}
}

// wanted is how many dials would be of use, were there room.
func (c *Core) wanted() int {
	n := c.waiters.n + max(0, c.config.MinIdle-len(c.idle))
	for _, w := range c.warming {
		n = max(n, w.N-len(c.leases))
	}
	return n
}

// Dialled takes note of how a dial ended, and which trace was told of it.
func (c *Core) Dialled(now time.Duration, conn protocol.Connection, err error, trace *httptrace.ClientTrace) {
	if c.dialling == 0 {
		panic("pool: a dial ended that was not begun")
	}
	c.dialling--
	var panicked *messages.PanicError
	switch {
	case trace != nil && errors.As(err, &panicked):
		c.hookFailed(now, trace, panicked)
	case err != nil:
		c.dialFailed(now, err)
	case c.closing:
		c.out.Close(conn)
	default:
		c.backoff.succeeded()
		c.counts.Dialled++
		l := &ticket.Lease{Conn: conn, Abort: conn.Abort, UsedAt: now, RetireAt: c.retirement(now), Index: len(c.leases)}
		c.leases = append(c.leases, l)
		c.warmed(nil)
		c.lend(now, l, c.nextWaiter(now))
		c.dialMore(now) // a dial that failed before may have left some waiting
	}
	c.endIfDone()
}

// dialFailed begins a pause. Waiters go on waiting as long as a connection may
// be returned or is still being dialled; otherwise each learns why there is
// none.
func (c *Core) dialFailed(now time.Duration, err error) {
	c.counts.DialsFailed++
	c.backoff.failed(now, err, c.out.Draw)
	c.warmed(err)
	if len(c.leases)+c.dialling == 0 {
		c.refuseAll(err)
		c.noteEmpty(now)
	}
	c.dialMore(now)
}

// hookFailed answers whoever brought a trace whose hook panicked. The origin is
// not to blame, and the others go on waiting.
func (c *Core) hookFailed(now time.Duration, trace *httptrace.ClientTrace, err *messages.PanicError) {
	c.out.HookFailed(err)
	for _, t := range c.waiters.takeTraced(trace) {
		c.refuse(t, err)
	}
	c.noteEmpty(now)
	c.dialMore(now)
}

// backoff spaces the dials to an origin that refuses them.
type backoff struct {
	base, ceiling time.Duration
	failures      int           // pauses since the last success
	until         time.Duration // no dial before
	err           error         // of the last dial
}

// failed begins a pause. Dials that fail during one do not lengthen it: they
// began before.
func (b *backoff) failed(now time.Duration, err error, draw func(time.Duration) time.Duration) {
	b.err = err
	if now < b.until {
		return
	}
	b.failures++
	pause := min(b.ceiling, b.base<<min(b.failures-1, 20)) // 2^20 bases are above any ceiling of use
	b.until = now + pause/2 + draw(pause/2)
}

func (b *backoff) succeeded() { b.failures, b.until, b.err = 0, 0, nil }
