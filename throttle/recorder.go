package throttle

import "time"

// Recorder writes down what must be known of a ledger once its process has ended.
// The ledger calls it on its own goroutine, in the middle of its work: a Recorder
// returns at once, does not fail, and calls nothing of the ledger.
//
// What a grant takes is told before the ledger's caller learns of the grant, so that
// no request can have left of which nothing was written. Everything else is told
// right after it was done.
type Recorder interface {
	// Granted is told of a permit that is in flight from now on, and returns a number
	// that no other permit in flight has; see Permit.Flight.
	Granted(now time.Duration, p *Permit) (flight uint32)
	// Settled is told what became of a permit in flight, or that it is in flight under
	// another number, which is the same as NeverSent.
	Settled(now time.Duration, p *Permit, o Outcome)
	// Spent is told that w counts as answered now beside all permits; below zero, so
	// much was taken back.
	Spent(now time.Duration, n *Note, w int64)
	// Told is told that the window of a Fixed limit which lasts counts at least w as answered, and
	// on top of it what is answered later. Which part of what was told before that is, nobody knows.
	Told(now time.Duration, n *Note, w int64)
	// Budgeted is told all that counts as spent of a Lifetime budget beside what is in
	// flight, and what Restore was told of meters with another By; assumed says that it is a
	// guess made after a failure.
	Budgeted(now time.Duration, n *Note, spent int64, assumed bool)
	// Filled is told that every window counts as full, but for Lifetime budgets; unsure says
	// that what was in flight then is not known, and may arrive later.
	Filled(now time.Duration, unsure bool)
	// Paused is told of a pause that is not shortened by this, and Resumed of its end.
	Paused(now time.Duration, s Scope, until time.Duration)
	Resumed(now time.Duration, s Scope)
}

// Note is what a Recorder needs to know of one meter. The ledger keeps it as long as
// the meter, and its limit, stay as they are.
type Note struct {
	Limit string
	Parts Parts
	Terms
	// Number and Series are for the Recorder alone; zero at first.
	Number, Series uint32
}

// Terms are what a limit's meters remember, and for how long. Spans are of the
// ledger's clock.
type Terms struct {
	Window Window
	// By is what they are told apart by.
	By By
	// Keep is how long after its answer a permit may matter still; zero if it does not,
	// or for ever. Of a Leaky one it is how long a full counter takes to empty, of a
	// Concurrency limit it is about what others hold.
	Keep time.Duration
	// A Leaky counter falls by Rate every Drain.
	Rate  int64
	Drain time.Duration
	// MaxDelay and CloseDelay are how long a permit that was given up counts as in
	// flight, by its Fate.
	MaxDelay, CloseDelay time.Duration
}

// Record has r told from now on, before anything was asked of the ledger but Restore.
// A Successor tells it as well.
func (l *Ledger) Record(r Recorder) { l.recorder = r }

// Flight is the number that a Recorder gave a granted permit.
func (p *Permit) Flight() uint32 { return p.flight }

// Charges is how many meters a granted permit is charged to.
func (p *Permit) Charges() int { return len(p.path.charges) }

// Charge returns the i-th meter that a granted permit is charged to, and how much.
func (p *Permit) Charge(i int) (*Note, int64) {
	return p.path.charges[i].meter.noted(), p.weight(i)
}

// noted returns what is written of m.
func (m *meter) noted() *Note {
	if m.note == nil {
		m.note = &Note{Limit: m.rule.ID, Parts: *m.of, Terms: m.terms.written(&m.rule.Limit)}
	}
	return m.note
}

func (t *terms) written(of *Limit) Terms {
	w := Terms{Window: of.Window, By: of.By, Keep: t.hold, MaxDelay: t.maxDelay, CloseDelay: t.closeDelay}
	switch of.Window {
	case Leaky:
		w.Keep, w.Rate, w.Drain = t.emptying(), t.rate, t.drain
	case Concurrency:
		w.Keep = t.maxDelay
	case Lifetime:
		w.Keep = 0
	}
	return w
}

// counted is what a window counts as answered: by its log, or as it is, and by each of the
// server's windows from the present one on.
type counted struct {
	used    int64
	windows [maxSpread + 2]int64
}

func (m *meter) counted(now time.Duration) counted {
	log := logOf(m.window)
	if log == nil {
		return counted{used: m.terms.quota - m.window.room(now) - m.window.inFlight()}
	}
	log.log.expire(now)
	c := counted{used: log.log.sum}
	if f, ok := m.window.(*fixed); ok && f.advance(now) {
		copy(c.windows[:], f.charge)
	}
	return c
}

// recordRaise writes down by how much m's count has grown since before. Of a server's window that
// is said apart, for the log may hold as much already, of windows before.
func (l *Ledger) recordRaise(m *meter, before counted) {
	if b, ok := m.window.(*lifetime); ok {
		l.recordBudget(m, b)
		return
	}
	after := m.counted(l.now)
	if w := after.used - before.used; w > 0 {
		l.recorder.Spent(l.now, m.noted(), w)
	}
	var told int64
	if f, ok := m.window.(*fixed); ok { // it has told while the clock is unknown, and else windows
		told = f.told.since(func(at time.Duration) bool { return at == l.now })
	}
	for i, w := range after.windows {
		if w > before.windows[i] {
			told = max(told, w)
		}
	}
	if told > 0 {
		l.recorder.Told(l.now, m.noted(), told)
	}
}

// recordChange has written down that delta was spent by others, or given back.
func (l *Ledger) recordChange(m *meter, delta int64) {
	if b, ok := m.window.(*lifetime); ok {
		l.recordBudget(m, b)
		return
	}
	l.recorder.Spent(l.now, m.noted(), min(max(delta, -maxWeight), maxWeight))
}

func (l *Ledger) recordBudget(m *meter, b *lifetime) {
	l.recorder.Budgeted(l.now, m.noted(), b.spent-b.former, b.assumed)
}

// recordFull has written down that every window counts as full.
func (l *Ledger) recordFull() {
	l.eachMeter(func(m *meter) {
		if b, ok := m.window.(*lifetime); ok {
			l.recordBudget(m, b)
		}
	})
	l.recorder.Filled(l.now, l.unsure) // last: with it all is told
}
