package throttle

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// NoMargin as a Limit.SafetyMargin leaves nothing of the share unused, whatever
// Options.SafetyMargin says.
const NoMargin = -1

// checkShare returns what is wrong with share and margin of a limit. It asks for the
// negation of what is right, so that NaN is wrong too.
func (l *Limit) checkShare() (mistakes []error) {
	if !(l.Share >= 0 && l.Share <= 1) {
		mistakes = append(mistakes, fmt.Errorf("share %v is not in (0, 1], nor 0 for that of the options", l.Share))
	}
	if m := l.SafetyMargin; m != NoMargin && !(m >= 0 && m < 1) {
		mistakes = append(mistakes, fmt.Errorf("safety margin %v is not in [0, 1), nor NoMargin", m))
	}
	return mistakes
}

// factor returns the part of the quota that this process uses.
func (l *Limit) factor(o Options) float64 {
	margin := cmp.Or(l.SafetyMargin, o.SafetyMargin)
	if margin == NoMargin {
		margin = 0
	}
	return l.share(o) * (1 - margin)
}

func (l *Limit) share(o Options) float64 { return cmp.Or(l.Share, o.Share, 1) }

// portion returns a part of a quota, rounded down. The rounding forgives the last bits
// of their product, so that 0.29 of 100 is 29.
func portion(quota int64, factor float64) int64 {
	return min(quota, int64(math.Floor(float64(quota)*factor+1e-6)))
}

// leavesRoom returns what is wrong with terms under which requests of the limit itself
// would never go.
func (r *rule) leavesRoom(t *terms) error { return oneOrAll(r.whyNoRoom(t)) }

// whyNoRoom returns each of them by itself.
func (r *rule) whyNoRoom(t *terms) (mistakes []error) {
	var kept int64
	for _, reserve := range r.Reserve {
		kept += reserve.Weight
	}
	room := t.quota
	if room < 1 { // which leaves room for nothing else to be wrong
		return []error{fmt.Errorf("admits nothing: share, safety margin and tick leave %d", room)}
	}
	if r.Weight > room {
		mistakes = append(mistakes, fmt.Errorf("weight %d never fits into %d", r.Weight, room))
	}
	if kept >= room {
		mistakes = append(mistakes, fmt.Errorf("reserves of %d leave nothing of %d", kept, room))
	}
	return mistakes
}

// SetShare changes Share and SafetyMargin of one limit, all its meters included, until
// they are set again or the limits are replaced. Both mean what they mean in a Limit:
// 0 is that of the options, and NoMargin is no margin.
//
// What is in flight and what was answered stays counted, so that a smaller share lets
// nothing through until so much has come back. Queued permits keep their places, but
// those that can no longer fit are answered Refused by Next. The cost is that of the
// limit's meters, and not of the table. If the share is smaller the table has a new
// number, see Table, for what was granted under the larger one.
//
// The error is a *LimitError, for an id that the table does not have as a limit with a
// quota, for a number out of range, and for one that leaves less than the limit's
// reserves keep or than a request of one of its routes weighs. Then nothing has changed.
func (l *Ledger) SetShare(now time.Duration, id string, share, margin float64) error {
	now = l.at(now)
	r := l.table.rules[id]
	if r == nil {
		return l.table.unknown(id)
	}
	wanted := r.Limit
	wanted.Share, wanted.SafetyMargin = share, margin
	if err := oneOrAll(wanted.checkShare()); err != nil {
		return &LimitError{ID: id, Err: err}
	}
	next := wanted.terms(l.options, l.clock, r.terms.windows())
	if err := r.leavesRoom(&next); err != nil {
		return &LimitError{ID: id, Err: err}
	}
	if r.heaviest > next.quota {
		return &LimitError{ID: id, Err: fmt.Errorf("%q charges %d, which never fits into %d", r.heaviestOf, r.heaviest, next.quota)}
	}
	tiers, err := l.tiersOf(r, wanted)
	if err != nil {
		return &LimitError{ID: id, Err: err}
	}
	before := r.terms
	r.Share, r.SafetyMargin, r.terms = share, margin, &next
	r.announced.roomiest = 0
	for quota, t := range tiers {
		r.announced.tiers[quota].terms = t
		r.announced.roomiest = max(r.announced.roomiest, t.quota)
	}
	var all []*meter // a copy: who comes back to a budget may have some forgotten
	r.each(func(m *meter) { all = append(all, m) })
	for _, m := range all {
		l.resize(now, m, l.termsOf(r, *m.of))
	}
	if next.stricterThan(before) {
		l.tables++
	}
	return nil
}

// spendMore takes what a meter that was taken for full has come to have more as spent: it
// may have been, by one who had more of it before.
func (l *Ledger) spendMore(now time.Duration, m *meter, more int64) {
	if l.spentBy(m.rule) > now && m.rule.Window.timed() {
		l.holdLost(m, more, Lost, l.filledAt)
		return
	}
	m.suppose(now, more)
}

// tiersOf returns the terms of all quotas that were announced, as they are with share and
// margin of another limit.
func (l *Ledger) tiersOf(r *rule, wanted Limit) (map[int64]*terms, error) {
	tiers := make(map[int64]*terms, len(r.announced.tiers))
	for quota := range r.announced.tiers {
		limit := r.withQuota(quota)
		limit.Share, limit.SafetyMargin = wanted.Share, wanted.SafetyMargin
		t := limit.terms(l.options, l.clock, r.terms.windows())
		if err := r.leavesRoom(&t); err != nil {
			return nil, fmt.Errorf("of the quota %d that was announced: %w", quota, err)
		}
		tiers[quota] = &t
	}
	return tiers, nil
}

// stricterThan reports whether t may admit less than other terms of the same limit.
func (t *terms) stricterThan(other *terms) bool {
	return t.quota < other.quota || float64(t.rate)*float64(other.drain) < float64(other.rate)*float64(t.drain)
}

// Alone reports whether all of a limit's quota is this process's, so that what the
// server counts is about what it has spent. Without a limit of that id there is nothing
// to share.
func (l *Ledger) Alone(id string) bool {
	r := l.table.rule(id)
	return r == nil || r.share(l.options) == 1
}

// resize has a meter go by other terms. What is in flight and what was answered stays
// counted, and whoever waits is looked at again.
func (l *Ledger) resize(now time.Duration, m *meter, t *terms) {
	was := m.terms
	if was == t {
		return
	}
	m.terms, m.note = t, nil
	m.window.resize(now, t)
	if more := t.quota - was.quota; more > 0 && l.fillsNew(now, m.rule) {
		l.spendMore(now, m, more)
	}
	if t.quota < was.quota {
		l.refuseMisfits(m)
	}
	l.queue.freed(m, now, now)
	l.comeBack(now, m)
}

// refuseMisfits has Next return whoever waits for m, and weighs more than it ever has
// room for.
func (l *Ledger) refuseMisfits(m *meter) {
	if m.line == nil {
		return
	}
	q := &l.queue
	for _, ln := range slices.Clone(q.lanes) { // some may be closed on the way
		i := slices.IndexFunc(ln.path.charges, func(c charge) bool { return c.meter == m })
		if i < 0 {
			continue
		}
		for p := ln.head; p != nil; {
			next := p.next
			if err := m.misfit(p.weight(i), p.Priority); err != nil {
				q.remove(p)
				p.err = err
				q.refuse(p)
			}
			p = next
		}
	}
}

// misfit returns why a weight never fits into m; nil if it does.
func (m *meter) misfit(w int64, priority Priority) error {
	// What is kept for more urgent ones is never this one's to take.
	if most := m.terms.quota - m.rule.kept(priority); w > most {
		return m.rule.tooHeavy(w, most, m.terms.quota, priority)
	}
	return nil
}

// tooHeavy says why a weight never fits into room, of which a priority may have most: what
// takes how much off the quota.
func (r *rule) tooHeavy(w, most, room int64, priority Priority) *LimitError {
	whole, kept := cmp.Or(r.Burst, r.Quota), r.kept(priority)
	because := ""
	if room != whole {
		because = fmt.Sprintf(": share, safety margin, tick or what the server announced leave %d of the quota of %d", room, whole)
	}
	switch {
	case kept > 0 && room != whole:
		because += fmt.Sprintf(", and reserves keep %d of these for more urgent requests", kept)
	case kept > 0:
		because = fmt.Sprintf(": of the quota of %d reserves keep %d for more urgent requests", whole, kept)
	}
	return &LimitError{ID: r.ID, Err: fmt.Errorf("%w: %d is more than %d%s", ErrWeight, w, most, because)}
}
