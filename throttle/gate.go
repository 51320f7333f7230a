package throttle

import (
	"slices"
	"time"
)

// gate is what keeps room of a meter from those who want it, for a time.
type gate struct {
	spread  spread
	refusal refusal
}

// gated returns the gate of m, made on first use.
func (m *meter) gated() *gate {
	if m.gate == nil {
		m.gate = new(gate)
	}
	return m.gate
}

// idle reports whether a meter without a gate would grant the same.
func (g *gate) idle(now time.Duration, t *terms) bool {
	return g == nil || g.spread.idle(now, t) && g.refusal.over(now)
}

// shutUntil returns until when nobody may go however much room m has; an instant that is
// not after now if one may.
func (m *meter) shutUntil(now time.Duration) time.Duration {
	if m.gate == nil {
		return now
	}
	return max(m.gate.spread.lasts(now), m.gate.refusal.until)
}

// refusal is that a server refused a request because of one meter alone. Nobody who is
// charged by it goes before until, whatever its window has room for, and nobody else is
// held up: not even by the room that the first of those who wait would keep elsewhere.
//
// Invariant: until is the latest instant that any refusal asked for, with MaxPause and the
// least pause applied, unless Resume ended it. A meter whose refusal is not over is among
// Ledger.refused.
type refusal struct {
	until  time.Duration
	inRow  int  // each of a request that left after until was over for the one before
	listed bool // among Ledger.refused
}

// over reports whether r holds nobody up, and remembers nothing that matters.
func (r *refusal) over(now time.Duration) bool {
	return now >= r.until && (r.inRow == 0 || now-r.until >= remembered)
}

// refusedUntil returns when the refusal of m is over, in the past or zero if it is.
func (m *meter) refusedUntil() time.Duration {
	if m.gate == nil {
		return 0
	}
	return m.gate.refusal.until
}

// refusedMeters are those of which the refusal was not over when they were looked at last.
type refusedMeters struct {
	meters []*meter
	cursor int // where settle goes on
}

func (rs *refusedMeters) add(m *meter) {
	if !m.gate.refusal.listed {
		m.gate.refusal.listed = true
		rs.meters = append(rs.meters, m)
	}
}

// settle lets go of those that are over among up to n.
func (rs *refusedMeters) settle(now time.Duration, n int) {
	for range min(n, len(rs.meters)) {
		last := len(rs.meters) - 1
		rs.cursor = min(rs.cursor, last)
		r := &rs.meters[rs.cursor].gate.refusal
		if !r.over(now) {
			rs.cursor = (rs.cursor + 1) % len(rs.meters)
			continue
		}
		r.inRow, r.listed = 0, false
		rs.meters[rs.cursor] = rs.meters[last]
		rs.meters[last] = nil
		rs.meters = rs.meters[:last]
	}
}

// RefusedAlone takes note that a server refused a request, which was granted at `granted`,
// because of one limit alone, and said how long to wait; 0 means that it did not say. The
// limit, or its instance for the parts that tell it apart, lets nobody go for as long as was
// said, whatever it has room for, but not for less than Options.LeastPause, which doubles
// while refusals go on as it does for Refused, nor for more than Options.MaxPause. Nothing
// else of its scope is held up, and there is no slow start afterwards. If the server did not
// say how long, a limit that time gives room counts as full as well.
//
// It returns until when the limit is held, and until when it was held before. If that was
// over the table has a new number, see Table. Resume ends it, of any scope that the limit is
// in. The errors are those of Adjust.
func (l *Ledger) RefusedAlone(now, granted time.Duration, id string, of Parts, said time.Duration) (until, was time.Duration, err error) {
	now = l.at(now)
	m, err := l.meterOf(now, id, of)
	if err != nil {
		return 0, 0, err
	}
	r := &m.gated().refusal
	if was = r.until; r.inRow == 0 || granted >= was {
		r.inRow++
	}
	span := min(max(said, leastPause(l.options.LeastPause, r.inRow)), l.options.MaxPause)
	r.until = max(was, now+span)
	l.refused.add(m)
	if was <= now {
		l.tables++
	}
	if said == 0 && m.rule.Window.timed() {
		return r.until, was, l.Sync(now, id, of, max(m.terms.quota, m.rule.inEffect(*m.of)), 0)
	}
	l.queue.freed(m, now, now)
	return r.until, was, nil
}

// reopen ends the refusals of the meters that pause together with s.
func (l *Ledger) reopen(now time.Duration, s Scope) {
	all := s.sector()
	for _, m := range l.refused.meters {
		name := m.rule.Scope
		if s.Name == WholeOrigin {
			name = WholeOrigin
		}
		if name == s.Name && all.concerns(m.rule.By, m.of) {
			r := &m.gate.refusal
			r.until, r.inRow = min(r.until, now), 0
			l.queue.freed(m, now, now)
		}
	}
}

// inheritRefused has what is refused by a ledger that is lost stay so.
func (l *Ledger) inheritRefused(old refusedMeters) {
	for _, m := range slices.Clone(old.meters) {
		r := l.table.rules[m.rule.ID]
		if r == nil || m.gate == nil {
			continue
		}
		heir := l.usedMeter(l.now, r, *m.of)
		heir.gated().refusal = refusal{until: min(m.gate.refusal.until, l.now+l.options.MaxPause), inRow: max(0, m.gate.refusal.inRow)}
		l.refused.add(heir)
	}
}
