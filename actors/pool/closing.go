package pool

import (
	"slices"
	"time"

	"github.com/sluice-engine/sluice/messages/protocol"
)

// closing is a connection that is being closed.
type closing struct {
	conn  protocol.Connection
	since time.Duration
}

// closePatience is how long a pool waits for a connection to be closed, and one that
// is closed itself for its dials to end: somebody else's code may never return.
const closePatience = 5 * time.Second

// close has a connection closed. Until that is done it counts as open, for its
// socket may be.
func (c *Core) close(now time.Duration, conn protocol.Connection) {
	switch {
	case c.gaveUp:
		c.out.Release() // nobody hears of its end
	default:
		c.closing = append(c.closing, closing{conn, now})
		if !c.closed { // otherwise the pool's own patience has an end
			c.arm(now + closePatience)
		}
	}
	if shared, ok := conn.(protocol.Parting); ok {
		shared.Part() // now: the next dial may be this call's too
	}
	c.out.Close(conn)
}

// Closed takes note that a connection is closed, and so no longer counts.
func (c *Core) Closed(now time.Duration, conn protocol.Connection) {
	if c.gaveUp {
		return
	}
	at := slices.IndexFunc(c.closing, func(one closing) bool { return one.conn == conn })
	switch {
	case at >= 0:
		c.closing = slices.Delete(c.closing, at, at+1)
		c.out.Release()
		c.noteEmpty(now) // it was not unused until now
	case c.hanging > 0:
		c.hanging-- // its place went to others long ago
		c.disown(now)
	default:
		panic("pool: a connection was closed that was not to be")
	}
	c.dialMore(now)
	c.parkIfInDoubt(now)
	c.endIfDone()
}

// disown counts the connections no longer whose Close has not returned for
// closePatience, so that others go on. Of such there are at most MaxConns: whoever
// dials connections that never close would otherwise open more without end. What
// hangs beyond that counts until it is closed.
func (c *Core) disown(now time.Duration) {
	for !c.closed && len(c.closing) > 0 && c.hanging < c.config.MaxConns {
		if due := c.closing[0].since + closePatience; now < due {
			c.arm(due)
			return
		}
		c.closing = slices.Delete(c.closing, 0, 1)
		c.hanging++
		c.out.Release()
		c.out.CloseHangs()
		c.noteEmpty(now)
	}
}
