package throttle

import "time"

// leaky is the in-flight aware leaky counter: raised by each answer, lowered
// at the rate, never below zero; what is in flight counts on top.
//
// Invariant: the server's counter never passes quota. It accepts everything
// if each span [u, t] holds at most quota + rate·(t-u). Of the requests that
// arrive in one, let k be sent last: the others are in flight then, or were
// answered no earlier than u, and so are in the level but for what has drained
// since u.
//
// What others say takes the level no further than top, the server's own capacity,
// for the counter it stands for does not pass it: whatever is said, the level is
// back within top/rate. Our own answers may, once the capacity was lowered.
type leaky struct {
	*terms
	flying int64
	level  int64 // in fractions of a weight, as of at
	at     time.Duration
}

// A weight is divided into 2^fractionBits parts.
const fractionBits = 20

func (l *leaky) drained(now time.Duration) int64 {
	return mulDivDown(l.rate<<fractionBits, max(0, now-l.at), l.drain)
}

// advance moves at only as far as what has drained accounts for, so that no
// part of a fraction is lost.
func (l *leaky) advance(now time.Duration) {
	d := l.drained(now)
	if d >= l.level {
		l.level, l.at = 0, max(l.at, now)
		return
	}
	l.level -= d
	l.at += mulDivUp(l.drain, d, l.rate<<fractionBits)
}

func (l *leaky) room(now time.Duration) int64 {
	level := max(0, l.level-l.drained(now))
	return (l.quota<<fractionBits-level)>>fractionBits - l.flying
}

func (l *leaky) when(now time.Duration, w, flying int64) time.Duration {
	allowed := l.quota - flying - w
	if allowed < 0 {
		return never
	}
	excess := l.level - allowed<<fractionBits
	if excess <= 0 {
		return now
	}
	return max(now, l.at+mulDivUp(l.drain, excess, l.rate<<fractionBits))
}

func (l *leaky) begin(t *terms) { l.terms = t }

func (l *leaky) inFlight() int64 { return l.flying }

func (l *leaky) grant(_ time.Duration, w int64) { l.flying += w }

func (l *leaky) abort(w int64) { l.flying -= w }

func (l *leaky) settle(w int64, a answer) time.Duration {
	l.flying -= w
	l.advance(a.at) // a lost permit may be settled late: then it drains from now on, not from then
	l.level += w << fractionBits
	return a.at
}

func (l *leaky) burden(now time.Duration, w int64) {
	if w <= 0 {
		return
	}
	l.advance(now)
	l.level = max(l.level, min(l.level+min(w, maxWeight)<<fractionBits, l.top<<fractionBits))
}

func (l *leaky) relieve(now time.Duration, w int64) {
	l.advance(now)
	l.level = max(0, l.level-w<<fractionBits)
}

func (l *leaky) sync(now time.Duration, used int64, _ time.Duration) {
	l.burden(now, used-(l.quota-l.room(now)))
}

// fill may be told of an instant that is past: an empty counter is full as of then.
func (l *leaky) fill(now time.Duration) {
	if l.level == 0 {
		l.at = now
	}
	l.burden(now, l.room(now))
}

func (l *leaky) resize(now time.Duration, t *terms) {
	l.advance(now)
	// The server's counter may lie one step above the line, and one of the steps so
	// far: what of it the smaller ones to come do not keep free is in the level.
	l.level += max(0, l.step-t.step) << fractionBits
	l.terms = t
}
