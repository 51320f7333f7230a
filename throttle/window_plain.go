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

func (c *concurrency) begin(t *terms)                         { c.terms = t }
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
	former  int64         // the part of spent that is written of meters with another By

	aside int64         // in flight at a fallback: it counts here if there is room when it arrives
	doubt int64         // the part of spent that the server may not have counted
	eased time.Duration // when it was given room last, as far as is known
	fell  *timeline     // what was answered lately that a fallback was charged; nil for nothing
}

// newsWithin is how old the news may be that a budget was given room.
const newsWithin = time.Second

// ease notes that there is room again. What a fallback was charged just before, the
// server may have counted here: it had given the room already.
func (l *lifetime) ease(now time.Duration) {
	l.eased = now
	if l.fell != nil {
		l.fell.expire(now)
		l.spendInDoubt(l.fell.sum)
		l.fell = nil
	}
}

// fellBack takes note of w that was answered, and which a fallback was charged at an
// instant. The server has counted it here if there was room for it.
//
// Invariant: what is left here is no more than what is left at the server. If room was
// given while it was in flight, all of it may have come from that. Otherwise it counts
// if it fits beside what is counted for certain, which it does too where room is kept
// for more urgent ones; and then the server has as much left as before less w, which is
// not below nothing.
func (l *lifetime) fellBack(now, granted time.Duration, w int64) {
	switch {
	case l.eased >= granted:
		l.spendInDoubt(w)
		return
	case l.spent-l.doubt+w <= l.quota:
		counted := min(w, max(0, l.quota-l.spent))
		l.spendInDoubt(counted)
		w -= counted
	}
	if l.fell == nil {
		l.fell = new(timeline)
	}
	l.fell.expire(now)
	l.fell.add(now+newsWithin, w, 0)
}

// spendInDoubt counts what the server may have counted.
func (l *lifetime) spendInDoubt(w int64) {
	l.spend(w)
	l.doubt = min(l.doubt+w, mostSpent)
}

// restless reports whether something at a fallback may count here still.
func (l *lifetime) restless(now time.Duration) bool {
	if l.fell != nil {
		if l.fell.expire(now); l.fell.sum == 0 {
			l.fell = nil
		}
	}
	return l.aside != 0 || l.fell != nil
}

func (l *lifetime) room(time.Duration) int64 {
	free := l.quota - l.flying - l.spent
	if free > 0 {
		return max(0, free-l.aside)
	}
	return free
}

func (l *lifetime) when(now time.Duration, w, flying int64) time.Duration {
	if flying+l.spent+l.aside+w <= l.quota {
		return now
	}
	return never
}

// exhausted reports whether w would not fit even if all in flight came back.
func (l *lifetime) exhausted(w int64) bool { return l.spent+w > l.quota }

func (l *lifetime) begin(t *terms)                  { l.terms, l.eased = t, unset }
func (l *lifetime) inFlight() int64                 { return l.flying }
func (l *lifetime) grant(_ time.Duration, w int64)  { l.flying += w }
func (l *lifetime) abort(w int64)                   { l.flying -= w }
func (l *lifetime) burden(_ time.Duration, w int64) { l.spend(max(0, w)) }

// relieve may bring spent below zero: a budget that was topped up.
func (l *lifetime) relieve(now time.Duration, w int64) {
	l.spend(-w)
	if w > 0 {
		l.ease(now)
	}
}

// mostSpent is far above every quota, and far from overflow.
const mostSpent = 1 << 60

func (l *lifetime) spend(w int64) { l.spent = min(max(l.spent+w, -mostSpent), mostSpent) }

// resize leaves a guess what it is: that everything is spent.
func (l *lifetime) resize(now time.Duration, t *terms) {
	if t.quota > l.quota {
		l.ease(now)
	}
	l.terms = t
	if l.assumed {
		l.spent = max(l.spent, l.quota-l.flying)
	}
}

func (l *lifetime) settle(w int64, a answer) time.Duration {
	l.flying -= w
	if a.real {
		l.spend(w)
	} else {
		l.spendInDoubt(w) // it may never have arrived
	}
	return a.at
}

// sync may replace a guess, but only by a number that the server read after
// the guess was made: an older one knows nothing of what was spent since.
func (l *lifetime) sync(now time.Duration, used int64, start time.Duration) {
	if l.assumed && l.clock.known && start > l.clock.latest(l.since) {
		l.assumed, l.spent = false, max(0, used-l.flying)
		l.ease(now)
	}
	l.spent = max(l.spent, used-l.flying)
}

func (l *lifetime) fill(now time.Duration) {
	l.spent, l.assumed, l.since = max(l.spent, l.quota-l.flying), true, now
}
