package throttle

import "time"

// serverClock is what is known of the server's Unix clock, and how sure that is.
//
// Invariant: while known, the server's clock at our instant t lies in
// [earliest(t), latest(t)]. Both ends drift apart at the clock rate since the
// bound was set.
type serverClock struct {
	rate int64 // the most that the clocks' rates differ by, in parts per billion

	// The bounds that were set: at our instant `at` the server's clock was ahead
	// by at least lo and at most hi.
	known      bool
	lo, hi, at time.Duration
	version    int // counts how often they were set

	// A lower bound learned from timestamps in answers: the server read S before
	// we saw the answer at r, so that at r its clock was ahead by at least S - r.
	learned        bool
	floor, floorAt time.Duration
}

// mostServerTime is more than any clock shows, and far from overflow.
const mostServerTime = 1 << 62

func (c *serverClock) set(now, lo, hi time.Duration) {
	c.version++
	c.known, c.lo, c.hi, c.at = true, lo, hi, now
}

func (c *serverClock) drift(d time.Duration) time.Duration {
	return mulDivUp(max(d, -d), c.rate, billion)
}

func (c *serverClock) earliest(t time.Duration) time.Duration { return t + c.lo - c.drift(t-c.at) }
func (c *serverClock) latest(t time.Duration) time.Duration   { return t + c.hi + c.drift(t-c.at) }

// reachedBySetBounds returns our first instant at which the server's clock has
// certainly reached s, by the bounds that were set.
func (c *serverClock) reachedBySetBounds(s time.Duration) time.Duration {
	return c.solve(s, c.lo, c.at)
}

// reachedByBestBound is that instant by the better of the set and the learned
// bound.
func (c *serverClock) reachedByBestBound(s time.Duration) time.Duration {
	t := never
	if c.known {
		t = c.solve(s, c.lo, c.at)
	}
	if c.learned {
		t = min(t, c.solve(s, c.floor, c.floorAt))
	}
	return t
}

// sureness says which of the instants is meant at which the server's clock reaches a time:
// how fast it runs is known no better than to the clock rate, and each time that it is looked
// at again what was left open until then is known.
type sureness int8

const (
	surely sureness = iota // by then it has, even if nobody looks at it again
	likely                 // then it does, if it is as far ahead as it is thought to be and runs as ours
	atBest                 // before then it cannot have, whatever a later look may show
)

// reached returns our first instant at which the server's clock has reached s, by the bounds that
// were set.
func (c *serverClock) reached(s time.Duration, how sureness) time.Duration {
	switch how {
	case likely:
		return s - c.lo - (c.hi-c.lo)/2
	case atBest:
		return c.notBefore(s)
	}
	return c.reachedBySetBounds(s)
}

// notBefore returns an instant of ours up to which the server's clock has
// certainly not passed s, by the bounds that were set.
func (c *serverClock) notBefore(s time.Duration) time.Duration {
	t := s - c.hi
	return t - c.drift(t-c.at)
}

// solve returns the least t with t + lo - drift(t-at) >= s, rounded up.
func (c *serverClock) solve(s, lo, at time.Duration) time.Duration {
	behind := s - lo - at
	if behind <= 0 {
		return s - lo // by `at`, which is past: how long before makes no difference
	}
	return at + mulDivUp(behind, billion, billion-c.rate)
}

// arrivedBy returns the server time by which a request granted at `granted` and
// answered at now has certainly arrived, according to the timestamp in its
// answer; ok is false if the timestamp is missing or contradicts the bounds,
// as a cached or foreign one does. A believed timestamp may raise the learned
// bound.
func (c *serverClock) arrivedBy(granted, now, stamp, resolution time.Duration) (by time.Duration, ok bool) {
	// What is larger than these is nonsense, and could overflow the sums below.
	if stamp <= 0 || stamp > mostServerTime || resolution < 0 || resolution > 24*time.Hour {
		return 0, false
	}
	by = stamp + resolution
	// The server read its clock after the grant and before the answer.
	if c.known && (by < c.earliest(granted) || stamp > c.latest(now)) {
		return 0, false
	}
	if c.learned && by < granted+c.floor-c.drift(granted-c.floorAt) {
		return 0, false
	}
	if floor := stamp - now; !c.learned || floor > c.floor-c.drift(now-c.floorAt) {
		c.learned, c.floor, c.floorAt = true, floor, now
	}
	return by, true
}

// spanAtLeast returns a span of our clock that is at least d on the server's.
func (c *serverClock) spanAtLeast(d time.Duration) time.Duration {
	return mulDivUp(d, billion, billion-c.rate)
}

// spanAtMost returns a span of our clock that is at most d on the server's.
func (c *serverClock) spanAtMost(d time.Duration) time.Duration {
	return mulDivDown(d, billion, billion+c.rate)
}

// SetClock says that the server's Unix time minus `now` lies in [lo, hi] at now,
// from where the bounds widen by the clock rate. Bounds that contradict the
// earlier ones mean that the server's clock has stepped; nothing is then granted
// on the strength of it for one window.
func (l *Ledger) SetClock(now, lo, hi time.Duration) {
	if lo > hi || lo < -mostServerTime || hi > mostServerTime {
		return
	}
	at := l.at(now)
	c := l.clock
	stepped := c.known && (at+hi < c.earliest(at) || at+lo > c.latest(at))
	c.set(at, lo, hi)
	if stepped {
		c.learned = false // it was about the clock as it ran before
		l.eachMeter(func(m *meter) {
			if f, ok := m.window.(*fixed); ok {
				f.stepped(at)
			}
		})
	}
	l.queue.touchAll()
}

func (l *Ledger) eachMeter(do func(*meter)) {
	for _, r := range l.table.rules {
		r.each(do)
	}
	for _, r := range l.retired {
		r.each(do)
	}
}
