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
// the number is about; 0 means the present window. A number about a window that
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
		// sweep forgets paths, and a meter with its last one: a meter without any
		// path would stay for ever.
		return l.pathFor(now, l.table.routes[id], key, "").meterOf(r), nil
	}
	return l.meterFor(now, r, ""), nil
}

func (p *path) meterOf(r *rule) *meter {
	for _, c := range p.charges {
		if c.meter.rule == r {
			return c.meter
		}
	}
	return nil
}
