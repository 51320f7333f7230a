package pool

import (
	"errors"
	"fmt"
	"time"
)

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
		c.press()
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

// press has dials that are in doubt elsewhere make room, as long as a place is waited
// for here.
func (c *Core) press() {
	if c.lacks {
		c.arm(c.out.Press())
	}
}

// errYielded is the error of a dial that gave up its place; see Places.press.
var errYielded = errors.New("dial gave up its place to another origin")

// mostYields is how many dials in a row may give up their places before that is a
// failure like any other: whoever waits is to have an answer.
const mostYields = 8

// yielded takes note of a dial that gave up its place to another origin. Nobody
// knows what it would have come to, and so whoever waits for it waits on, for
// another place.
func (c *Core) yielded(now time.Duration) {
	if c.dials.yields++; c.dials.yields >= mostYields {
		c.dialFailed(now, fmt.Errorf("none of %d dials succeeded before another origin had need of its place: %w",
			mostYields, c.describeFull(now, "Connections.MaxTotal", c.config.MaxTotal)))
		return
	}
	c.noteEmpty(now)
	c.dialMore(now)
}

// withdrawIfUnneeded waits no longer for a place once nobody waits here.
func (c *Core) withdrawIfUnneeded(now time.Duration) {
	c.tellCrowd(now)
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
