package pool

import (
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
)

// streams counts the lent connections that streamed answers hold, each until its
// caller has read it to the end or closed it: no clock ends that.
type streams struct {
	n       int
	changed time.Duration // when the last one began or ended
	warned  time.Duration // when it was last said that they hold everything; zero means never
}

const (
	// stuckAfter is how long no stream has begun or ended when it is said that they
	// hold every connection: a crowd that streams on is no news.
	stuckAfter = time.Second
	// warnEvery is how often that is said, as long as it is so.
	warnEvery = time.Minute
)

// Streams takes note that a streamed answer holds a connection from now on.
func (c *Core) Streams(now time.Duration, l *ticket.Lease) {
	l.Streaming, l.StreamsSince = true, now
	c.streams.n++
	c.streams.changed = now
	c.dialMore(now) // whoever waited for its return, and for no dial, learns that it is not coming
	c.parkIfInDoubt(now)
	c.warnOfStreams(now)
}

// streamEnded reports whether it was a stream that gives a connection back.
func (c *Core) streamEnded(now time.Duration, l *ticket.Lease) bool {
	if !l.Streaming {
		return false
	}
	l.Streaming, l.StreamsSince, l.StreamedFrom = false, 0, ""
	c.streams.n--
	c.streams.changed = now
	return true
}

// warnOfStreams says that somebody waits while streams hold every connection, once
// none has ended for long.
func (c *Core) warnOfStreams(now time.Duration) {
	if c.closed || c.waiters.n == 0 || c.streams.n < c.config.MaxConns {
		return
	}
	due := c.streams.changed + stuckAfter
	if c.streams.warned != 0 {
		due = max(due, c.streams.warned+warnEvery)
	}
	if now < due {
		c.arm(due)
		return
	}
	c.streams.warned = now
	c.arm(now + warnEvery)
	c.out.WarnOfStreams(c.describeFull(now, "Connections.Max", c.config.MaxConns))
}

// full returns why there is no room for another dial; nil if there is.
func (c *Core) full(now time.Duration) error {
	if c.lacks {
		return c.describeFull(now, "Connections.MaxTotal", c.config.MaxTotal)
	}
	if len(c.leases)+c.dials.n+len(c.closing) < c.config.MaxConns {
		return nil
	}
	return c.describeFull(now, "Connections.Max", c.config.MaxConns)
}

// describeFull names a cap that is full, and the streams that have a part in it.
func (c *Core) describeFull(now time.Duration, limit string, most int) *messages.PoolFullError {
	full := &messages.PoolFullError{Cap: limit, Most: most, Streams: c.streams.n}
	if c.streams.n == 0 {
		return full
	}
	oldest := now
	for _, l := range c.leases {
		if l.Streaming && (full.OpenedAt == "" && l.StreamsSince == oldest || l.StreamsSince < oldest) {
			oldest, full.OpenedAt = l.StreamsSince, l.StreamedFrom
		}
	}
	full.Oldest = now - oldest
	return full
}
