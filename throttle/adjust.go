package throttle

import (
	"math"
	"time"
)

// Adjust corrects what one instance of a limit counts as used, by delta: above
// zero when others spent from it, below zero when the server gave something
// back, as when an order fills. The key is ignored unless the limit is keyed, and
// then must be one that it knows. The error is a *LimitError.
func (l *Ledger) Adjust(now time.Duration, id, key string, delta int64) error {
	m, err := l.meterOf(l.at(now), id, key)
	if err != nil {
		return err
	}
	// No quota is above maxWeight, so that more than it says no more.
	if delta > 0 {
		m.window.burden(l.now, min(delta, maxWeight))
	} else {
		m.window.relieve(l.now, min(-max(delta, -math.MaxInt64), maxWeight)) // the least int64 has no positive
	}
	// Even where room was taken, what blocked heads know of when it comes is void.
	l.queue.freed(m, l.now, l.now)
	return nil
}

// Sync takes note of what the server says one instance of a limit has used.
// The larger of that and our own count holds, so answers that arrive out of
// order never loosen anything. windowStart is a server time in the window that
// the number is about, no later than the server read the number, and the closer to
// that the better; 0 means the present window, not long ago. A number about a window that
// is over is ignored, and so is one about an instant that no clock shows.
func (l *Ledger) Sync(now time.Duration, id, key string, used int64, windowStart time.Duration) error {
	m, err := l.meterOf(l.at(now), id, key)
	if err != nil {
		return err
	}
	if windowStart < 0 || windowStart > mostServerTime {
		return nil
	}
	m.window.sync(l.now, min(max(used, 0), maxWeight), windowStart)
	l.queue.freed(m, l.now, l.now)
	return nil
}

func (l *Ledger) meterOf(now time.Duration, id, key string) (*meter, error) {
	r := l.table.rules[id]
	if r == nil {
		return nil, &LimitError{ID: id, Err: ErrUnknownLimit}
	}
	if r.Keyed {
		if err := r.checkKey(key); err != nil {
			return nil, err
		}
	}
	return l.usedMeter(now, r, key), nil
}

// usedMeter returns the meter of a rule of the table for a key, which has a path to it
// then if the rule is keyed: a meter is forgotten with its last one, so that one
// without any would stay for ever.
func (l *Ledger) usedMeter(now time.Duration, r *rule, key string) *meter {
	if !r.Keyed {
		return l.meterFor(now, r, "")
	}
	m := l.pathFor(now, l.table.routes[r.ID], key, "").meterOf(r)
	if p := l.idlers.kept[m]; p != nil { // what it was kept for may be given back
		l.idlers.recall(now, p)
	}
	return m
}

func (p *path) meterOf(r *rule) *meter {
	for _, c := range p.charges {
		if c.meter.rule == r {
			return c.meter
		}
	}
	return nil
}
