package throttle

import (
	"math"
	"time"
)

// Adjust corrects what one instance of a limit counts as used, by delta: above
// zero when others spent from it, below zero when the server gave something
// back, as when an order fills. Which instance is told by the parts that the limit is
// told apart by, and the others are ignored; a key must be one that the limit knows.
// The error is a *LimitError.
func (l *Ledger) Adjust(now time.Duration, id string, of Parts, delta int64) error {
	m, err := l.meterOf(l.at(now), id, of)
	if err != nil {
		return err
	}
	// No quota is above maxWeight, so that more than it says no more.
	if delta > 0 {
		m.window.burden(l.now, min(delta, maxWeight))
	} else {
		m.window.relieve(l.now, min(-max(delta, -math.MaxInt64), maxWeight)) // the least int64 has no positive
	}
	if l.recorder != nil {
		l.recordChange(m, delta)
	}
	// Even if room was taken: the instants that waiting heads were told are wrong now.
	l.queue.freed(m, l.now, l.now)
	l.comeBack(l.now, m)
	return nil
}

// Sync takes note of what the server says one instance of a limit has used.
// The larger of that and our own count holds, so answers that arrive out of
// order never loosen anything. windowStart is a server time in the window that
// the number is about, no later than the server read the number, and the closer to
// that the better; 0 means the present window, not long ago. A number about a window that
// is over is ignored, and so is one about an instant that no clock shows. Where the server says when
// the window ends that the number is about, EndedAt and EndedIn tell whether that is over.
//
// The parts tell which instance, as for Adjust, and the errors are those of Adjust.
func (l *Ledger) Sync(now time.Duration, id string, of Parts, used int64, windowStart time.Duration) error {
	m, err := l.meterOf(l.at(now), id, of)
	if err != nil {
		return err
	}
	if windowStart < 0 || windowStart > mostServerTime {
		return nil
	}
	var before counted
	if l.recorder != nil {
		before = m.counted(l.now)
	}
	m.window.sync(l.now, min(max(used, 0), maxWeight), windowStart)
	if l.recorder != nil {
		l.recordRaise(m, before)
	}
	l.queue.freed(m, l.now, l.now)
	l.comeBack(l.now, m)
	return nil
}

// EndedAt reports whether the window of a Fixed limit is surely over that a number is about which a
// server read while it had a request that left at left: it said that this window ends at a
// server time, to a second. Whatever else is possible counts as the window being open.
func (l *Ledger) EndedAt(now time.Duration, id string, left, at time.Duration) bool {
	if at <= 0 || at > mostServerTime {
		return false
	}
	return l.ended(now, id, left, at-time.Second, at+time.Second)
}

// EndedIn is EndedAt where the server said how long it was until that end when it read the number:
// at most in, and up to two seconds less.
func (l *Ledger) EndedIn(now time.Duration, id string, left, in time.Duration) bool {
	in = min(in, maxPer)
	if in <= 0 {
		return false
	}
	// It read the number after the request had left, and before now.
	return l.ended(now, id, left, l.clock.earliest(left)+in-2*time.Second, l.clock.latest(now)+in)
}

// ended reports whether a window that ends between two server times, and had not ended yet when a
// request left, ends at a turn that is past.
func (l *Ledger) ended(now time.Duration, id string, left, soonest, latest time.Duration) bool {
	r := l.table.rule(id)
	if r == nil || r.terms.grid == nil || !l.clock.known || latest > mostServerTime {
		return false
	}
	grid := r.terms.grid
	turn := grid.start(grid.index(latest)) // the last one that it can be
	return turn >= max(soonest, l.clock.earliest(left)) && turn <= l.clock.earliest(now)
}

func (l *Ledger) meterOf(now time.Duration, id string, of Parts) (*meter, error) {
	r := l.table.rule(id)
	if r == nil {
		return nil, l.table.unknown(id)
	}
	if err := join(of.checkNames(id), r.checkKey(of.Key)); err != nil {
		return nil, err
	}
	return l.usedMeter(now, r, of), nil
}

// usedMeter returns the meter of a rule of the table for parts, which has a path to it
// then if the rule's are told apart: a meter is forgotten with its last one, so that one
// without any would stay for ever.
func (l *Ledger) usedMeter(now time.Duration, r *rule, of Parts) *meter {
	if r.By == 0 {
		return l.meterFor(now, r, noParts)
	}
	m := l.pathFor(now, r.byItself(), &of, "").charges[0].meter
	if p := l.idlers.kept[m]; p != nil { // what it was kept for may be given back
		l.idlers.recall(now, p)
	}
	return m
}

// byItself returns a route that charges r alone: those of the table may lead on to limits
// that look at parts which nobody has named. Its paths keep meters, and nobody leaves by them: they
// are nowhere, and obey no scope.
func (r *rule) byItself() *route {
	if r.alone == nil {
		r.alone = &route{
			id: r.ID, place: r.place, tolls: []toll{{r, r.Weight}}, own: 0, by: r.By, apart: true, nowhere: true,
			budget: r.Window == Lifetime, reserves: len(r.Reserve) > 0,
		}
	}
	return r.alone
}
