package throttle

import (
	"cmp"
	"slices"
	"time"
)

// formers are what was spent of a limit before its process ended, when its meters were told
// apart by something else than they are now.
//
// Invariant: a meter counts at least what was spent of its parts. What a former meter counted
// was of these parts, as far as one knows, unless both have a part that says otherwise: so it
// is found by the parts that told meters apart then and do so now, and every new meter with
// these counts all of it.
type formers struct {
	at     time.Duration // when the process began: nothing of it but what was lost arrives later
	shared []By          // by which of is to be searched
	of     map[shared]*former
	levels map[Parts]int64 // of counters with the By of now, as far as they are written
}

// shared is what a former meter and a new one were both told apart by, and their common parts.
type shared struct {
	by    By
	parts Parts
}

type former struct {
	meters []*PastMeter
	lost   []*PastLost
}

// by is what the meter was told apart by; where that was not written, what its parts show.
func (p *PastMeter) by() By { return p.By | p.Parts.By() }

func (p *PastCharge) by() By { return p.By | p.Parts.By() }

// findFormers sorts out what is of limits that are gone, or have another By.
func (l *Ledger) findFormers(now time.Duration, past *Past) Restored {
	var found Restored
	sort := func(id string, by By, parts Parts, matters bool) *former {
		r := l.table.rules[id]
		switch {
		case r == nil && matters:
			found.Gone = append(found.Gone, id)
			return nil
		case r == nil || r.By == by || !matters:
			return nil
		}
		found.Apart = append(found.Apart, Apart{id, by, r.By})
		return r.formersAt(now, by&r.By, parts)
	}
	for i := range past.Meters {
		p := &past.Meters[i]
		if f := sort(p.Limit, p.by(), p.Parts, p.matters(now) || p.Total < 0); f != nil {
			f.meters = append(f.meters, p)
			l.keepAsLong(now, p)
		}
	}
	for i := range past.Lost {
		p := &past.Lost[i]
		if f := sort(p.Limit, p.by(), p.Parts, p.Weight > 0); f != nil {
			f.lost = append(f.lost, p)
		}
	}
	for i := range past.Meters {
		p := &past.Meters[i]
		if r := l.table.rules[p.Limit]; r != nil && r.formers != nil && r.By == p.by() {
			r.formers.levels[p.Parts] = p.Level >> fractionBits
		}
	}
	slices.Sort(found.Gone)
	slices.SortFunc(found.Apart, func(a, b Apart) int { return cmp.Or(cmp.Compare(a.Limit, b.Limit), cmp.Compare(a.Was, b.Was)) })
	found.Gone, found.Apart = slices.Compact(found.Gone), slices.Compact(found.Apart)
	return found
}

func (r *rule) formersAt(now time.Duration, by By, parts Parts) *former {
	if r.formers == nil {
		r.formers = &formers{at: now, of: map[shared]*former{}, levels: map[Parts]int64{}}
	}
	at := shared{by, by.of(parts)}
	f := r.formers.of[at]
	if f == nil {
		f = &former{}
		r.formers.of[at] = f
	}
	if !slices.Contains(r.formers.shared, by) {
		r.formers.shared = append(r.formers.shared, by)
	}
	return f
}

// keepAsLong has it written down that what was spent is to be known for as long as the limit as
// it is now counts it, and not as the former one did.
func (l *Ledger) keepAsLong(now time.Duration, p *PastMeter) {
	if l.recorder == nil {
		return
	}
	r := l.table.rules[p.Limit]
	n := &Note{Limit: p.Limit, Parts: p.Parts, Terms: r.terms.written(&r.Limit)}
	n.By = p.by()
	l.recorder.Spent(now, n, 0)
}

// over reports whether nothing of them counts any more. Of a counter one does not know how long it
// takes to empty under a quota that was announced.
func (f *formers) over(now time.Duration, r *rule) bool {
	if f == nil {
		return true
	}
	t := r.terms
	return r.Window != Lifetime && r.Window != Leaky && now >= f.at+max(t.maxDelay, t.closeDelay)+t.hold
}

// remind has a new meter count what may have been spent of it; hold is told what may still
// arrive.
func (f *formers) remind(now time.Duration, m *meter, hold func(w int64, fate Fate, at time.Duration)) {
	if f.over(now, m.rule) {
		return
	}
	for _, by := range f.shared {
		one := f.of[shared{by, by.of(*m.of)}]
		if one == nil {
			continue
		}
		for _, p := range one.meters {
			m.remember(now, f.at, p)
		}
		for _, p := range one.lost {
			hold(min(p.Weight, maxWeight), p.Fate, min(p.At, f.at))
		}
	}
}

// remindNew has a meter that is seen for the first time count what may have been spent of it
// when the limit was told apart by something else.
func (l *Ledger) remindNew(now time.Duration, m *meter) {
	if m.rule.formers == nil {
		return
	}
	m.rule.formers.remind(now, m, func(w int64, fate Fate, at time.Duration) { l.holdLost(m, w, fate, at) })
	if now > m.rule.formers.at { // or else it is Restore that goes on to do so
		l.lost.expire(l)
	}
	l.recordReminded(m)
}

// recordReminded has it written down that a new counter is full. The level of a former one falls
// beside that of a new one, and so would say nothing once there is one.
func (l *Ledger) recordReminded(m *meter) {
	w, is := m.window.(*leaky)
	if !is || l.recorder == nil {
		return
	}
	w.advance(l.now)
	if more := (w.level+LevelParts-1)>>fractionBits - m.rule.formers.levels[*m.of]; more > 0 {
		l.recorder.Spent(l.now, m.noted(), more)
	}
}

// remember counts on a new meter what was answered on a former one, before at.
func (m *meter) remember(now, at time.Duration, p *PastMeter) {
	kind, log := m.rule.Window, logOf(m.window)
	switch w := m.window.(type) {
	case *lifetime:
		total := min(max(p.Total, -mostSpent), mostSpent)
		if p.Window == kind {
			w.spend(total)
			w.former += total
			w.assumed, w.since = w.assumed || p.Assumed, at
		}
	case *concurrency:
		for _, s := range p.Spent {
			if p.Window == kind && s.At+w.maxDelay > now {
				w.burden(now, min(s.Weight, maxWeight))
			}
		}
	case *leaky:
	default:
		for _, s := range p.Spent {
			if p.Window == kind && min(s.At, at)+log.hold > now && s.Weight > 0 {
				log.burden(min(s.At, at), min(s.Weight, maxWeight))
				m.last, m.seen = max(m.last, min(s.At, at)), true
			}
		}
		if p.Window == kind && kind == Fixed {
			m.rememberTold(now, at, p.Told)
		}
	}
	switch {
	case p.Window != kind || kind == Leaky:
		m.fillSince(at)
	case p.Full:
		m.fillSince(min(p.FullAt, at))
	}
	m.mistrust(at)
}

// rememberTold has the log count what windows of a former meter were told to, though some of it
// may be in the log: it comes on top of what other former meters counted.
func (m *meter) rememberTold(now, at time.Duration, told Told) {
	log, latest := logOf(m.window), unset
	for _, s := range told {
		latest = max(latest, min(s.At, at))
	}
	w := told.since(func(time.Duration) bool { return true })
	if latest+log.hold > now && w > 0 {
		log.burden(latest, min(w, maxWeight))
		m.last, m.seen = max(m.last, latest), true
	}
}

// fillSince has a new meter be full as of an instant that is past.
func (m *meter) fillSince(at time.Duration) {
	m.last, m.seen = max(m.last, at), true
	if log := logOf(m.window); log != nil {
		log.fill(at)
		if f, ok := m.window.(*fixed); ok {
			f.tell(at, f.quota-f.flying)
		}
		return
	}
	m.window.fill(at)
}

// mistrust has the log alone count what no window and no spell knows of.
func (m *meter) mistrust(at time.Duration) {
	switch w := m.window.(type) {
	case *fixed:
		w.unseen = true
	case *fromFirst:
		w.doubt(at + w.hold)
	}
}
