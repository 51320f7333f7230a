package throttle

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// glances are what a ledger remembers of its last glance: of which instances of a limit it
// told, by the limit's id. It goes on with them, so that whoever looks again finds them again.
type glances map[string][]Parts

// sampled is how many instances of a limit a glance looks at that it did not tell of before,
// for each that it tells of.
const sampled = 4

// Glance is Snapshot with at most n meters and n scopes, in a time that grows with n and with
// the number of limits, but not with that of their instances or of who waits. A limit that
// has few instances is told of in full. Of one that has many those that somebody waits for are
// told first, and then the fullest of some: those of the last glance, and others by chance, so
// that what one glance misses a later one finds. Of scopes those that pause or start slowly
// are told first, and the others only if there are few. Who waits is counted lane by lane,
// and of more than 4,096 lanes the most urgent: see LeftOut.
func (l *Ledger) Glance(now time.Duration, n int) Snapshot {
	now, n = l.at(now), max(n, 1)
	s := Snapshot{At: now, Lost: len(l.lost), Waiting: l.queue.n}
	all, byMeter := l.queue.someClasses()
	s.Queued = all
	rules := make([]*rule, 0, len(l.table.rules))
	for _, r := range l.table.rules {
		if r.By == 0 {
			l.meterFor(now, r, noParts) // even if nobody has used it
		}
		rules = append(rules, r)
	}
	// The smaller ones first: what they leave of their share is the others'.
	slices.SortFunc(rules, func(a, b *rule) int {
		return cmp.Or(cmp.Compare(a.meters.n, b.meters.n), cmp.Compare(a.place, b.place))
	})
	told := glances{}
	for i, r := range rules {
		share := (n - len(s.Limits)) / (len(rules) - i)
		meters := l.pick(now, r, share, byMeter)
		if len(meters) < r.meters.n {
			s.LeftOut.Limits += r.meters.n - len(meters)
			for _, m := range meters {
				told[r.ID] = append(told[r.ID], *m.of)
			}
		}
		for _, m := range meters {
			s.Limits = append(s.Limits, m.snapshot(now, byMeter[m], l.pauses.until(m)))
		}
	}
	l.glanced = told
	s.Scopes, s.LeftOut.Scopes = l.pauses.some(now, n)
	s.LeftOut.Troubled = max(0, len(l.pauses.troubled)-n)
	s.sort()
	return s
}

// pick returns at most n meters of a rule: all, if they are no more.
func (l *Ledger) pick(now time.Duration, r *rule, n int, queued map[*meter][]Class) (picked []*meter) {
	if r.meters.n <= n {
		r.each(func(m *meter) { picked = append(picked, m) })
		return picked[:min(len(picked), n)]
	}
	seen := make(map[*meter]bool, 2*n)
	add := func(m *meter) {
		if m != nil && !seen[m] {
			seen[m] = true
			picked = append(picked, m)
		}
	}
	for _, of := range l.glanced[r.ID] {
		add(l.meterAt(r, of))
	}
	for m := range queued {
		if m.rule == r {
			add(m)
		}
	}
	r.meters.some(rand.Uint64(), sampled*n, add)
	rooms := make(map[*meter]float64, len(picked))
	for _, m := range picked {
		rooms[m] = float64(m.window.room(now)) / float64(max(1, m.terms.quota))
	}
	slices.SortFunc(picked, func(a, b *meter) int {
		return cmp.Or(cmp.Compare(waiting(queued[b]), waiting(queued[a])), cmp.Compare(rooms[a], rooms[b]), a.of.compare(*b.of))
	})
	return picked[:min(len(picked), n)]
}

func waiting(classes []Class) (n int) {
	for _, c := range classes {
		n += c.N
	}
	return n
}

// some returns at most n scopes, those in trouble first, and how many are left out.
func (ps *pauses) some(now time.Duration, n int) (told []ScopeSnapshot, left int) {
	for _, s := range ps.troubled {
		if len(told) == n {
			return told, len(ps.troubled) - n // and those that are calm, which nobody misses
		}
		told = append(told, s.snapshot(now))
	}
	if len(ps.origins) > n {
		return told, len(ps.origins)
	}
	for _, o := range ps.origins {
		for _, s := range o.scopes {
			switch {
			case s.watched:
			case len(told) == n:
				left++
			default:
				told = append(told, s.snapshot(now))
			}
		}
		if left > n {
			break
		}
	}
	return told, left
}

// someClasses is classes for the most urgent lanes.
func (q *queue) someClasses() (all []Class, byMeter map[*meter][]Class) {
	byMeter = map[*meter][]Class{}
	looks := mostLanes
	for i := len(q.ranks) - 1; i >= 0; i-- {
		for _, ln := range q.ranks[i].lanes {
			if looks--; looks < 0 {
				return all, byMeter
			}
			all = count(all, ln.priority, ln.n)
			for _, c := range ln.path.charges {
				byMeter[c.meter] = count(byMeter[c.meter], ln.priority, ln.n)
			}
		}
	}
	return all, byMeter
}
