package throttle

import "time"

// SetClock says that the server's Unix time minus `now` lies in [lo, hi] at now,
// from where the bounds widen by the clock rate. Bounds that contradict the
// earlier ones mean that the server's clock has stepped; nothing is then granted
// on the strength of it for one window.
func (l *Ledger) SetClock(now, lo, hi time.Duration) {
	if lo > hi || lo < -1<<62 || hi > 1<<62 {
		return
	}
	at := l.at(now)
	c := l.clock
	stepped := c.known && (at+hi < c.earliest(at) || at+lo > c.latest(at))
	c.set(at, lo, hi)
	if stepped {
		c.learned = false
		l.eachMeter(func(m *meter) {
			if f, ok := m.window.(*fixed); ok {
				f.stepped(at)
			}
		})
	}
	l.queue.stale = true
}

func (l *Ledger) eachMeter(do func(*meter)) {
	for _, r := range l.table.rules {
		for _, m := range r.meters {
			do(m)
		}
	}
	for _, r := range l.retired {
		for _, m := range r.meters {
			do(m)
		}
	}
}
