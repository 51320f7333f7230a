package throttle

import (
	"math/bits"
	"time"
)

const billion = 1_000_000_000

// clock is what is known of the server's Unix clock, and how sure that is.
//
// Invariant: while known, the server's clock at our instant t lies in
// [earliest(t), latest(t)]. Both ends drift apart at the clock rate since the
// bound was set.
type clock struct {
	rate int64 // clock rate in parts per billion

	version    int // counts the settings
	known      bool
	lo, hi, at time.Duration

	// A lower bound learned from timestamps in answers: the server read S
	// before we saw the answer at r, so its clock is at least S - r ahead.
	learned        bool
	floor, floorAt time.Duration
}

func (c *clock) set(now, lo, hi time.Duration) {
	c.version++
	c.known, c.lo, c.hi, c.at = true, lo, hi, now
}

func (c *clock) drift(d time.Duration) time.Duration {
	return mulDivUp(max(d, -d), c.rate, billion)
}

func (c *clock) earliest(t time.Duration) time.Duration { return t + c.lo - c.drift(t-c.at) }
func (c *clock) latest(t time.Duration) time.Duration   { return t + c.hi + c.drift(t-c.at) }

// reaches returns our first instant at which the server's clock has certainly
// reached s by the bounds that were set.
func (c *clock) reaches(s time.Duration) time.Duration {
	return c.solve(s, c.lo, c.at)
}

// passes is reaches with the better of the set and the learned bound.
func (c *clock) passes(s time.Duration) time.Duration {
	t := never
	if c.known {
		t = c.solve(s, c.lo, c.at)
	}
	if c.learned {
		t = min(t, c.solve(s, c.floor, c.floorAt))
	}
	return t
}

// solve returns the least t with t + lo - drift(t-at) >= s, rounded up.
func (c *clock) solve(s, lo, at time.Duration) time.Duration {
	behind := s - lo - at
	if behind <= 0 {
		return s - lo
	}
	return at + mulDivUp(behind, billion, billion-c.rate)
}

// believe returns the server time by which a request granted at `granted` and
// answered at now has certainly arrived, according to the timestamp in its
// answer; ok is false if the timestamp is missing or contradicts the bounds,
// as a cached or foreign one does. A believed timestamp may raise the learned
// bound.
func (c *clock) believe(granted, now, stamp, resolution time.Duration) (by time.Duration, ok bool) {
	if stamp <= 0 || stamp > 1<<62 || resolution < 0 || resolution > 24*time.Hour {
		return 0, false
	}
	by = stamp + resolution
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

// slower returns a span of our clock that is at least d on the server's.
func (c *clock) slower(d time.Duration) time.Duration { return mulDivUp(d, billion, billion-c.rate) }

// faster returns a span of our clock that is at most d on the server's.
func (c *clock) faster(d time.Duration) time.Duration {
	return mulDivDown(d, billion, billion+c.rate)
}

func mulDivUp(a time.Duration, b, c int64) time.Duration {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, uint64(c-1), 0)
	return divide(hi+carry, lo, c)
}

func mulDivDown(a time.Duration, b, c int64) time.Duration {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return divide(hi, lo, c)
}

// divide saturates at never.
func divide(hi, lo uint64, c int64) time.Duration {
	if hi >= uint64(c) {
		return never
	}
	q, _ := bits.Div64(hi, lo, uint64(c))
	return time.Duration(min(q, uint64(never)))
}
