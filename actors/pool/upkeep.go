package pool

import (
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Warm answers the question when so many connections are open, or with the
// first error.
func (c *Core) Warm(now time.Duration, asked protocol.WarmPool) {
	asked.N = min(asked.N, c.config.MaxConns)
	switch {
	case c.closed:
		asked.Owner.Tell(protocol.PoolWarmed{Err: messages.ErrClosed})
	case len(c.leases) >= asked.N:
		asked.Owner.Tell(protocol.PoolWarmed{})
	default:
		c.warming = append(c.warming, asked)
		c.dialMore(now) // which answers at once if it is too soon after a dial that failed
	}
}

// warmed answers whoever asked for no more connections than there are; after
// an error, everyone.
func (c *Core) warmed(err error) {
	kept := c.warming[:0]
	for _, w := range c.warming {
		if err == nil && len(c.leases) < w.N {
			kept = append(kept, w)
			continue
		}
		w.Owner.Tell(protocol.PoolWarmed{Err: err})
	}
	clear(c.warming[len(kept):])
	c.warming = kept
}

// Upkeep does what time asks for: connections retire, dials are made after a
// pause, the pool ends when nobody needs it.
func (c *Core) Upkeep(now time.Duration) {
	c.alarm = 0
	switch {
	case c.closed:
		c.giveUpClosing(now)
		return
	case c.endsAt != 0 && now >= c.endsAt:
		c.Close(now)
		return
	case c.endsAt != 0:
		c.arm(c.endsAt) // it rang for something else
	}
	c.retire(now)
	c.disown(now)
	c.dialMore(now)
	c.press()
	c.passivate(now)
	c.parkIfInDoubt(now)
	c.warnOfStreams(now)
	for _, l := range c.idle {
		c.arm(c.retireAt(l))
	}
}

// giveUpClosing has a closed pool end without the dials and closes that are still
// under way when its patience is over. What is leased it waits for: whoever has
// it gives it back.
func (c *Core) giveUpClosing(now time.Duration) {
	if now < c.patience {
		c.arm(c.patience)
		return
	}
	c.gaveUp = true
	for range len(c.closing) + c.dials.n {
		c.out.Release()
	}
	c.closing, c.dials.n, c.dials.spare, c.dials.urgent = nil, 0, 0, nil
	c.endIfDone()
}

// arm makes Upkeep run at an instant, unless it runs before. The alarm is
// never put off when a connection is used, which is the cheaper way: it may
// ring in vain, once per IdleTimeout at most.
func (c *Core) arm(at time.Duration) {
	if c.alarm != 0 && at >= c.alarm {
		return
	}
	c.alarm = at
	c.out.RingAt(at)
}

// retire closes the idle connections whose time has come.
func (c *Core) retire(now time.Duration) {
	var old []*ticket.Lease // closed behind the loop: discard may look at the idle
	kept := c.idle[:0]
	for _, l := range c.idle {
		if now < c.retireAt(l) {
			kept = append(kept, l)
		} else {
			old = append(old, l)
		}
	}
	clear(c.idle[len(kept):])
	c.idle = kept
	for _, l := range old {
		c.counts.Retired++
		c.discard(now, l)
	}
}

// retireAt is when an idle connection is to be closed.
func (c *Core) retireAt(l *ticket.Lease) time.Duration {
	at := l.UsedAt + c.config.IdleTimeout
	if l.Hint > 0 {
		at = min(at, l.UsedAt+l.Hint)
	}
	if l.RetireAt != 0 && l.RetireAt < at {
		return l.RetireAt
	}
	return at
}

// retirement is when a connection dialled now is too old. Connections dialled
// together do not end together. What was dialled may be a place on a connection
// that is older.
func (c *Core) retirement(now time.Duration, conn protocol.Connection) time.Duration {
	age := c.config.MaxAge
	if age <= 0 {
		return 0
	}
	at := now + age - c.out.Draw(age/10)
	if shared, ok := conn.(protocol.Aged); ok {
		at = max(now, at-shared.Age())
	}
	return max(1, at) // zero would mean never
}

// noteEmpty starts the wait for the pool's own end once it has no connection.
func (c *Core) noteEmpty(now time.Duration) {
	if len(c.leases) == 0 && c.config.Passivate > 0 && !c.closed {
		c.empty = now
		c.arm(c.empty + c.config.Passivate)
	}
}

// parting is how long a pool outlives the shutting of its door. What can still
// reach it is the ticket of a caller who left, which is a mailbox away.
const parting = time.Second

// passivate offers to end once the pool has been empty for long enough. If
// somebody is inside then, it offers again as much later.
func (c *Core) passivate(now time.Duration) {
	if c.config.Passivate <= 0 || c.config.MinIdle > 0 || len(c.leases)+c.dials.n+len(c.closing)+c.waiters.n+len(c.warming) > 0 {
		return
	}
	due := c.empty + c.config.Passivate
	if now < due {
		c.arm(due)
		return
	}
	c.arm(now + c.config.Passivate)
	c.out.Unused()
}

// Part ends the pool shortly: its door is shut.
func (c *Core) Part(now time.Duration) {
	c.endsAt = now + parting
	c.arm(c.endsAt)
}
