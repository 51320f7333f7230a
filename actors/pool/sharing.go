package pool

import "time"

// placePatience is how long nothing is dialled that nobody waits for when all
// places are taken: those who wait go first.
const placePatience = time.Second

// reserve has a place for the next dial, and reports whether there is one. Only
// for who waits is it worth having another pool close what is idle there: what is
// dialled for nobody would be idle as well.
func (c *Core) reserve(now time.Duration) bool {
	waits := c.waiters.n > c.dials.n
	switch {
	case c.granted:
		c.granted = false
		return true
	case c.lacks:
		return false // it is asked for already
	case c.out.Reserve(waits):
		return true
	case waits:
		c.lacks = true
	default:
		c.warmed(c.describeFull(now, "Connections.MaxTotal", c.config.MaxTotal))
		if c.wanted() > c.dials.n {
			c.arm(now + placePatience)
		}
	}
	return false
}

// Granted takes note of a place that was waited for. If nobody needs it any more,
// the next pool gets it.
func (c *Core) Granted(now time.Duration) {
	c.lacks, c.granted = false, true
	c.dialMore(now)
	if c.granted {
		c.granted = false
		c.out.Release()
		c.noteEmpty(now)
	}
	c.parkIfInDoubt(now)
}

// withdrawIfUnneeded waits no longer for a place once nobody waits here.
func (c *Core) withdrawIfUnneeded(now time.Duration) {
	if c.lacks && c.waiters.n == 0 {
		c.lacks = false
		c.out.Withdraw()
		c.noteEmpty(now)
	}
}

// GiveUp closes the connections that are idle for longest, so many at most, as long
// as more than keep are.
func (c *Core) GiveUp(now time.Duration, n, keep int) {
	for ; n > 0 && len(c.idle) > keep; n-- {
		l := c.idle[0]
		c.idle[0] = nil
		c.idle = c.idle[1:]
		c.counts.Retired++
		c.discard(now, l)
	}
}

// Resting returns how many connections are idle, and since when the first of them.
func (c *Core) Resting() (n int, since time.Duration) {
	if len(c.idle) == 0 {
		return 0, 0
	}
	return len(c.idle), c.idle[0].UsedAt
}

// RingBy has Upkeep called at an instant at the latest.
func (c *Core) RingBy(at time.Duration) { c.arm(at) }
