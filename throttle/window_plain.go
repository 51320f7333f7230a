package throttle

import "time"

// concurrency allows quota in flight. phantom is weight that a lost ledger
// may have left in flight; it ends by itself.
type concurrency struct {
	*terms
	flying  int64
	phantom int64
	ends    time.Duration
}

func (c *concurrency) room(now time.Duration) int64 {
	if now >= c.ends {
		c.phantom = 0
	}
	return c.quota - c.flying - c.phantom
}

func (c *concurrency) when(now time.Duration, w, flying int64) time.Duration {
	c.room(now) // lets the phantom end
	switch {
	case flying+c.phantom+w <= c.quota:
		return now
	case flying+w <= c.quota:
		return c.ends
	}
	return never
}

func (c *concurrency) inFlight() int64                        { return c.flying }
func (c *concurrency) grant(_ time.Duration, w int64)         { c.flying += w }
func (c *concurrency) abort(w int64)                          { c.flying -= w }
func (c *concurrency) resize(_ time.Duration, t *terms)       { c.terms = t }
func (c *concurrency) settle(w int64, a answer) time.Duration { c.flying -= w; return a.at }

// burden has others take part of the quota until maxDelay has passed.
func (c *concurrency) burden(now time.Duration, w int64) {
	if w > 0 {
		c.room(now) // lets the phantom end before it grows again
		c.phantom = plus(c.phantom, w)
		c.ends = now + c.maxDelay
	}
}

func (c *concurrency) relieve(_ time.Duration, w int64) { c.phantom = max(0, c.phantom-w) }

func (c *concurrency) sync(now time.Duration, used int64, _ time.Duration) {
	c.burden(now, used-(c.quota-c.room(now)))
}

func (c *concurrency) fill(now time.Duration) { c.burden(now, c.room(now)) }

// lifetime allows quota once.
type lifetime struct {
	*terms
	flying  int64
	spent   int64
	assumed bool          // spent is a guess made after a crash
	since   time.Duration // when the guess was made
}

func (l *lifetime) room(time.Duration) int64 { return l.quota - l.flying - l.spent }

func (l *lifetime) when(now time.Duration, w, flying int64) time.Duration {
	if flying+l.spent+w <= l.quota {
		return now
	}
	return never
}

// exhausted reports whether w would not fit even if all in flight came back.
func (l *lifetime) exhausted(w int64) bool { return l.spent+w > l.quota }

func (l *lifetime) inFlight() int64                 { return l.flying }
func (l *lifetime) grant(_ time.Duration, w int64)  { l.flying += w }
func (l *lifetime) abort(w int64)                   { l.flying -= w }
func (l *lifetime) burden(_ time.Duration, w int64) { l.spend(max(0, w)) }

// relieve may bring spent below zero: a budget that was topped up.
func (l *lifetime) relieve(_ time.Duration, w int64) { l.spend(-w) }

// mostSpent is far above every quota, and far from overflow.
const mostSpent = 1 << 60

func (l *lifetime) spend(w int64) { l.spent = min(max(l.spent+w, -mostSpent), mostSpent) }

// resize leaves a guess what it is: that everything is spent.
func (l *lifetime) resize(_ time.Duration, t *terms) {
	l.terms = t
	if l.assumed {
		l.spent = max(l.spent, l.quota-l.flying)
	}
}

func (l *lifetime) settle(w int64, a answer) time.Duration {
	l.flying -= w
	l.spend(w)
	return a.at
}

// sync may replace a guess, but only by a number that the server read after
// the guess was made: an older one knows nothing of what was spent since.
func (l *lifetime) sync(_ time.Duration, used int64, start time.Duration) {
	if l.assumed && l.clock.known && start > l.clock.latest(l.since) {
		l.assumed, l.spent = false, max(0, used-l.flying)
	}
	l.spent = max(l.spent, used-l.flying)
}

func (l *lifetime) fill(now time.Duration) {
	l.spent, l.assumed, l.since = max(l.spent, l.quota-l.flying), true, now
}
