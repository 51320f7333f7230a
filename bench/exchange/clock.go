package exchange

import "time"

// instant is one reading of the exchange's clocks.
type instant struct {
	// wall is the exchange's idea of the time since the Unix epoch: what it
	// answers, compares timestamps with and aligns windows to.
	wall time.Duration
	// elapsed runs as fast as wall but is never set: sliding and leaky limits
	// count in it.
	elapsed time.Duration
	// local is true time since the start: bans and Retry-After run in it, so
	// that a client who waits exactly as told is never early.
	local time.Duration
}

// clock is off by skew at the instant of its last setting and gains ppm
// microseconds a second from there. It is built on the monotonic clock: a step
// of this machine's wall clock changes nothing.
type clock struct {
	start time.Time
	ppm   float64

	settled instant // when skew or ppm was last set
}

func newClock(now time.Time, skew time.Duration, ppm float64) *clock {
	c := &clock{start: now, ppm: ppm}
	c.settled.wall = time.Duration(now.UnixNano()) + skew
	return c
}

func (c *clock) read(now time.Time) instant {
	local := now.Sub(c.start)
	since := local - c.settled.local
	since += time.Duration(float64(since) * c.ppm / 1e6)
	return instant{wall: c.settled.wall + since, elapsed: c.settled.elapsed + since, local: local}
}

// setSkew makes the clock lead the local one by skew; drift goes on from there.
func (c *clock) setSkew(now time.Time, skew time.Duration) {
	c.settled = c.read(now)
	c.settled.wall = time.Duration(c.start.UnixNano()) + c.settled.local + skew
}

// setDrift changes the rate without a step.
func (c *clock) setDrift(now time.Time, ppm float64) {
	c.settled = c.read(now)
	c.ppm = ppm
}

func (i instant) millis() int64 { return i.wall.Milliseconds() }

func (i instant) time() time.Time { return time.Unix(0, int64(i.wall)).UTC() }
