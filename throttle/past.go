package throttle

import "time"

// Past is what was written down of a ledger whose process has ended, as a Recorder
// was told it. Every instant is on the clock of the ledger that Restore is called
// of, and may be below zero: it must not be earlier than what it stands for was.
type Past struct {
	Meters  []PastMeter
	Flights []PastFlight // in flight when the process ended
	Lost    []PastLost   // given up before
	Pauses  []PastPause
	// Filled says that every window counted as full at FilledAt.
	// Unsure says that what was in flight then was not known.
	Filled, Unsure bool
	FilledAt       time.Duration
	// Unknown says that something may be missing: then every window counts as full
	// from now on, beside all that is here.
	Unknown bool
}

// PastMeter is what was answered on one meter, and matters still.
type PastMeter struct {
	Limit string
	Parts Parts
	Terms // of By only what Parts show, if it is not known
	// Spent is what was answered, or spent by others, the earliest first.
	Spent []Spent
	// Told is what windows of a Fixed one are known to count, whatever of Spent that is.
	Told Told
	// Level is that of a Leaky counter at LevelAt, in parts of a weight of which
	// LevelParts are one.
	Level   int64
	LevelAt time.Duration
	// Total is all that was spent of a Lifetime budget; Assumed says that it was a
	// guess.
	Total   int64
	Assumed bool
	// Full says that all of it counted as used at FullAt: its limit came to count in
	// another way.
	Full   bool
	FullAt time.Duration
}

// LevelParts is how many parts of a Leaky counter's level a weight has.
const LevelParts = 1 << fractionBits

// Spent is a weight that counts as answered at an instant.
type Spent struct {
	At     time.Duration
	Weight int64
}

// PastFlight is a permit that was in flight.
type PastFlight struct{ Charges []PastCharge }

// PastCharge is what a permit was charged for one limit.
type PastCharge struct {
	Limit  string
	Parts  Parts
	By     By // what told the meters of the limit apart
	Weight int64
}

// PastLost is what a permit that was given up holds of one limit.
type PastLost struct {
	PastCharge
	Fate Fate          // Lost or Closed
	At   time.Duration // when it was given up
}

// PastPause is a scope that was paused.
type PastPause struct {
	Scope
	Until time.Duration
}

// Restored is what whoever has the ledger begin with a past may want to know of it. Limits
// are there only if something that was spent of them counts still, in the order of their ids.
type Restored struct {
	// Gone are those that the table does not have: what was spent of them is passed over.
	Gone []string
	// Apart are those that are told apart by something else than they were.
	Apart []Apart
}

// Apart is a limit whose By is another than it was.
type Apart struct {
	Limit   string
	Was, Is By
}

// Restore has the ledger begin with what was spent, lost and paused in the past. It
// comes before all else; a Recorder is told of it only that everything counts as full, and of
// limits whose By is another.
//
// A permit that was in flight counts as given up now, for its process lived until
// now at most. What was answered counts as if this ledger had seen it. A limit of
// which the past knows nothing begins unused; one that the table does not have is
// passed over, and so is a key that a limit does not know. One that counts in
// another way than it did counts as full, if anything that was spent of it could
// matter still. Where By is another, each meter counts all that was spent of any meter that
// it may have shared a request with: those that By tells from it still are the only ones left
// out. A Leaky one, whose level says nothing of what was let in at the same time by others, is full
// then.
func (l *Ledger) Restore(now time.Duration, past Past) Restored {
	now = l.at(now)
	for _, f := range past.Flights {
		for _, c := range f.Charges {
			past.Lost = append(past.Lost, PastLost{PastCharge: c, Fate: Lost, At: now})
		}
	}
	found := l.findFormers(now, &past) // first, for meters that are made count them
	for i := range past.Meters {
		p := &past.Meters[i]
		m := l.pastMeter(now, p.Limit, p.Parts)
		if m != nil && m.rule.By == p.by() {
			m.restore(now, p)
		}
	}
	for i := range past.Lost {
		l.restoreLost(now, &past.Lost[i])
	}
	for _, p := range past.Pauses {
		if p.Until > now {
			_ = l.pause(now, p.Scope, p.Until) // a scope that no limit has any longer holds nobody up
		}
	}
	switch {
	case past.Unknown: // what was in flight as well
		l.assumeFull(now, true)
	case past.Filled:
		l.refill(now, min(past.FilledAt, now), past.Unsure)
	}
	l.lost.expire(l)
	return found
}

// pastMeter returns the meter that something was charged to; nil if there is none
// any more, or more than one that it may have been.
func (l *Ledger) pastMeter(now time.Duration, id string, parts Parts) *meter {
	r := l.table.rules[id]
	if r == nil || r.By&ByKey != 0 && r.checkKey(parts.Key) != nil {
		return nil
	}
	return l.usedMeter(now, r, parts)
}

// refill has every window that can matter still filled as of an instant that is past.
func (l *Ledger) refill(now, at time.Duration, unsure bool) {
	l.filled, l.filledAt, l.unsure = true, at, unsure
	for _, r := range l.table.rules {
		if r.Window == Lifetime || !l.fillsNew(now, r) {
			continue
		}
		if r.By == 0 {
			l.meterFor(now, r, noParts)
		}
		r.each(func(m *meter) { l.fill(now, m, m.window.room(now)) })
	}
}

func (l *Ledger) restoreLost(now time.Duration, p *PastLost) {
	m := l.pastMeter(now, p.Limit, p.Parts)
	if m == nil || p.Weight <= 0 || m.rule.By != p.by() {
		return
	}
	l.holdLost(m, min(p.Weight, maxWeight), p.Fate, min(p.At, now))
}

// restore counts what was answered on m.
func (m *meter) restore(now time.Duration, p *PastMeter) {
	kind, full := m.rule.Window, p.Full
	if p.Window != kind {
		if p.matters(now) {
			m.window.fill(now)
			m.last, m.seen = now, true
		}
		return
	}
	switch w := m.window.(type) {
	case *leaky:
		if w.level == 0 {
			w.at = min(p.LevelAt, now)
		}
		w.level = max(w.level, min(max(p.Level, 0), maxWeight<<fractionBits))
	case *lifetime:
		w.spend(min(max(p.Total, -mostSpent), mostSpent))
		w.assumed, w.since = w.assumed || p.Assumed, now
	case *concurrency:
		for _, s := range p.Spent {
			if s.At+w.maxDelay > now {
				w.burden(now, min(s.Weight, maxWeight))
			}
		}
	default:
		m.restoreLog(now, p.Spent)
		m.restoreTold(now, p.Told)
	}
	if full {
		m.window.fill(min(p.FullAt, now))
	}
}

// restoreLog puts what was answered into the log that m keeps. Each is granted a
// span before it was answered: no window that it may count in has begun earlier.
func (m *meter) restoreLog(now time.Duration, spent []Spent) {
	hold := m.terms.hold
	for _, s := range spent {
		at, w := min(s.At, now), min(s.Weight, maxWeight)
		if at+hold <= now || w <= 0 {
			continue
		}
		m.window.grant(at-hold, w)
		m.window.settle(w, answer{at: at, sent: at - hold})
		m.last, m.seen = at, true
	}
}

// restoreTold comes after restoreLog: what was answered since is in the numbers already.
func (m *meter) restoreTold(now time.Duration, told Told) {
	f, ok := m.window.(*fixed)
	if !ok {
		return
	}
	for _, s := range told {
		if at := min(s.At, now); at+f.hold > now {
			f.tell(at, s.Weight)
			m.last, m.seen = max(m.last, at), true
		}
	}
}

// matters reports whether anything that was spent can count still, in whatever way.
func (p *PastMeter) matters(now time.Duration) bool {
	return len(p.Spent) > 0 || len(p.Told) > 0 || p.Full || p.Total > 0 ||
		p.Level > mulDivDown(p.Rate<<fractionBits, max(0, now-p.LevelAt), max(1, p.Drain))
}
