package throttle

import (
	"cmp"
	"slices"
	"time"
)

// Never is the instant of something that time alone does not bring.
const Never = never

// Snapshot is a picture of a Ledger. It shares nothing with it.
type Snapshot struct {
	At     time.Duration
	Limits []LimitSnapshot // by id, account, key and egress
	Scopes []ScopeSnapshot // by origin, name, account and egress
	Queued []Class         // most urgent first
	Lost   int             // lost permits that are still held

	Waiting int     // permits in the queue; more than Queued counts if lanes were left out
	LeftOut LeftOut // by Glance
}

// LeftOut is how much Glance has not told of; it is zero for a Snapshot of everything.
type LeftOut struct {
	Limits int // limits and their instances
	Scopes int // scopes, or the least that there are of them
	// Troubled is how many of these pause or start slowly, or did when somebody looked last.
	Troubled int
}

// LimitSnapshot is one limit, or its instance for some parts.
type LimitSnapshot struct {
	ID string
	// What the instance is for, of the parts that tell those of the limit apart; the
	// others are empty.
	Account, Key, Egress string

	Window Window
	Quota  int64 // after share, margin and tick; the capacity of a Leaky one
	// Refill is the weight that comes back in every Per: Quota, but for a Leaky one. Both
	// are zero for a Concurrency and a Lifetime one. By the calendar Per is the longest.
	Refill   int64
	Per      time.Duration
	Used     int64 // in flight included; it may exceed Quota after Replace, Adjust or Sync
	InFlight int64
	Room     int64
	Kept     []Kept // of the quota, and so of Room, by Limit.Reserve; the most urgent first
	// Next is when a weight of 1 fits at some origin, the queue and Kept apart: lost permits
	// let go by then, and pauses are over. Where a window has to turn for it that is when the
	// server's clock is likely to have it turn. Never if it takes more than time, such as
	// an answer.
	Next   time.Duration
	Queued []Class // most urgent first
}

// ScopeSnapshot is one scope that is in use.
type ScopeSnapshot struct {
	Scope
	PausedUntil time.Duration // in the past if not paused
	PausedSince time.Duration // when the last pause began; of use while it lasts
	ByHand      bool          // PauseByHand paused it, or made the pause longer last
	InFlight    int
	Allowance   int // in flight at most, while it starts slowly after a pause; else 0
}

// Class counts the queued permits of one priority.
type Class struct {
	Priority Priority
	N        int
}

// Snapshot describes the ledger as of now. Its cost grows with the number of
// limits and of their instances, not with the length of the queue.
func (l *Ledger) Snapshot(now time.Duration) Snapshot {
	now = l.at(now)
	s := Snapshot{At: now, Lost: len(l.lost), Waiting: l.queue.n}
	classes, byMeter := l.queue.classes()
	s.Queued = classes
	for _, r := range l.table.rules {
		if r.By == 0 {
			l.meterFor(now, r, noParts) // even if nobody has used it
		}
		r.each(func(m *meter) {
			s.Limits = append(s.Limits, m.snapshot(now, byMeter[m], l.pauses.until(m)))
		})
	}
	for _, o := range l.pauses.origins {
		for _, sc := range o.scopes {
			s.Scopes = append(s.Scopes, sc.snapshot(now))
		}
	}
	s.sort()
	return s
}

func (s *Snapshot) sort() {
	slices.SortFunc(s.Limits, func(a, b LimitSnapshot) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), Parts{a.Account, a.Key, a.Egress}.compare(Parts{b.Account, b.Key, b.Egress}))
	})
	slices.SortFunc(s.Scopes, func(a, b ScopeSnapshot) int {
		return a.Scope.compare(b.Scope)
	})
}

func (s *scope) snapshot(now time.Duration) ScopeSnapshot {
	return ScopeSnapshot{Scope: s.Scope, PausedUntil: s.until, PausedSince: s.since, ByHand: s.byHand, InFlight: s.flying, Allowance: s.allowed(now)}
}

func (m *meter) snapshot(now time.Duration, queued []Class, paused time.Duration) LimitSnapshot {
	room := m.window.room(now)
	refill, per := m.terms.refill(m.rule.Window)
	return LimitSnapshot{
		ID: m.rule.ID, Account: m.of.Account, Key: m.of.Key, Egress: m.of.Egress, Window: m.rule.Window,
		Quota: m.terms.quota, Refill: refill, Per: per, Used: m.terms.quota - room, InFlight: m.window.inFlight(), Room: room,
		Next: max(m.opens(now, 1, likely), paused, m.refusedUntil()),
		Kept: m.rule.reserves(), Queued: queued,
	}
}

// refill is the weight that comes back in every per.
func (t *terms) refill(kind Window) (weight int64, per time.Duration) {
	switch kind {
	case Leaky:
		return t.rate, t.drain
	case Concurrency, Lifetime:
		return 0, 0
	}
	return t.quota, t.per
}

// classes counts the queue by priority, in all and for every meter.
func (q *queue) classes() ([]Class, map[*meter][]Class) {
	var all []Class
	byMeter := map[*meter][]Class{}
	for _, ln := range q.lanes {
		all = count(all, ln.priority, ln.n)
		for _, c := range ln.path.charges {
			byMeter[c.meter] = count(byMeter[c.meter], ln.priority, ln.n)
		}
	}
	return all, byMeter
}

func count(classes []Class, priority Priority, n int) []Class {
	i, found := slices.BinarySearchFunc(classes, priority, func(c Class, priority Priority) int {
		return cmp.Compare(priority, c.Priority)
	})
	if !found {
		classes = slices.Insert(classes, i, Class{Priority: priority})
	}
	classes[i].N += n
	return classes
}

// Len returns how many permits are queued.
func (l *Ledger) Len() int { return l.queue.n }
