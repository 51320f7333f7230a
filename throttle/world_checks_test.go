package throttle

import (
	"cmp"
	"slices"
	"time"
)

// checkOrder looks for a better-ranked request that this grant has harmed.
func (w *world) checkOrder(r *request) {
	mine := w.charges(r)
	for _, q := range w.waiting {
		if !before(q, r) || !w.isHead(q) {
			continue
		}
		if q.laneID == r.laneID {
			w.fail("request %d overtook %d", r.number, q.number)
		}
		for at, need := range w.charges(q) {
			if mine[at] > 0 && w.knows(at) && w.limit(at.id).Window != Leaky && w.oracle(at).room(w.now) < need && w.keeps(q, at) {
				w.fail("request %d took room in %v that %d needs", r.number, at, q.number)
			}
		}
	}
}

// keeps reports whether q, a head, surely keeps what it needs of a limit from
// others: if that limit alone may hold it, or if by time alone all are open
// within the limit's own window, however much those ahead of q keep.
func (w *world) keeps(q *request, at place) bool {
	limit := w.limit(at.id)
	switch {
	case w.held(q):
		return false
	case w.options.Pacing != nil && len(w.charges(q)) > 1:
		return false
	case limit.Window == Lifetime:
		return true
	}
	alone, near := true, limit.Window != Concurrency
	for other, need := range w.charges(q) {
		for _, ahead := range w.waiting {
			if before(ahead, q) && w.isHead(ahead) {
				need += w.charges(ahead)[other]
			}
		}
		o := w.oracle(other)
		alone = alone && (other == at || o.room(w.now) >= need)
		near = near && o.room(w.now+limit.Per) >= need
	}
	return alone || near
}

// knows reports whether the oracle's room for a limit is exact.
func (w *world) knows(at place) bool {
	switch w.limit(at.id).Window {
	case FixedFromFirst:
		return false
	case Fixed:
		return !w.dates && !w.resync
	}
	return !w.dates
}

func before(a, b *request) bool {
	return a.rank < b.rank || a.rank == b.rank && a.number < b.number
}

func (w *world) isHead(r *request) bool {
	return !slices.ContainsFunc(w.waiting, func(q *request) bool {
		return q.laneID == r.laneID && before(q, r)
	})
}

// atRest demands of every head that some limit lacks room for it beside what
// better-ranked heads need, and that something will wake the ledger.
func (w *world) atRest() {
	slices.SortFunc(w.waiting, func(a, b *request) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.number, b.number)) })
	reserved := map[place]int64{}
	seen := map[laneID]bool{}
	for _, r := range w.waiting {
		if r.Deadline != 0 && r.Deadline <= w.now {
			w.fail("request %d waits past its deadline", r.number)
		}
		if seen[r.laneID] {
			continue
		}
		seen[r.laneID] = true
		blocked := w.held(r)
		for at, need := range w.charges(r) {
			blocked = blocked || !w.knows(at) && w.options.Pacing == nil || w.oracle(at).room(w.now)-reserved[at] < need
			reserved[at] += need
		}
		if !blocked && w.options.Pacing == nil {
			w.fail("request %d waits though there is room", r.number)
		}
	}
	_, ok := w.l.Wake()
	if len(w.waiting) > 0 && !ok && w.flying() == 0 {
		w.fail("%d requests wait for nothing", len(w.waiting))
	}
}

func (w *world) held(r *request) bool {
	if r.path.opens(w.now) <= w.now {
		return false
	}
	for s, until := range w.paused {
		if w.obeys(r, s) && w.now < until+slowStart {
			return true
		}
	}
	w.fail("request %d is held by a pause of others", r.number)
	return true
}

// obeys reports whether a pause of s holds r, by the definition.
func (w *world) obeys(r *request, s Scope) bool {
	if s.Origin != AnyOrigin && s.Origin != r.Origin {
		return false
	}
	if s.Account != "" && s.Account != cmp.Or(r.Account, DefaultAccount) || s.Egress != "" && s.Egress != cmp.Or(r.Egress, DefaultEgress) {
		return false
	}
	return s.Name == WholeOrigin || r.Limit == NoLimit || slices.Contains(w.l.scopes(r.Limit), s.Name)
}

// checkPauses looks for a pause that this grant has broken, or for a slow start
// that is too quick: in flight, of what left after a pause, may be one, and one
// more for each answer, and twice as many for each slowestRound.
func (w *world) checkPauses(r *request) {
	for s, until := range w.paused {
		if !w.obeys(r, s) {
			continue
		}
		if w.now < until {
			w.fail("request %d leaves before the pause of %v ends at %v", r.number, s, until)
		}
		flying := 1
		for _, q := range w.sent {
			if q.Origin == r.Origin && w.obeys(q, s) && q.granted >= until {
				flying++
			}
		}
		rounds := min(10, int((w.now-until)/slowestRound))
		most := (1 + w.welcomed[greeting{s, r.Origin}]) << rounds
		if flying > most && most < fullSpeed && w.now < until+slowStart {
			w.fail("request %d is the %dth after the pause of %v, and %d may be", r.number, flying, s, most)
		}
	}
}

// welcome counts an answer for every pause that its request left after.
func (w *world) welcome(r *request) {
	for s, until := range w.paused {
		if w.obeys(r, s) && r.granted >= until {
			w.welcomed[greeting{s, r.Origin}]++
		}
	}
}

// greeting is a pause as one origin knows it.
type greeting struct {
	Scope
	origin string
}

func (w *world) flying() (n int64) {
	for _, o := range w.oracles {
		n += o.flying()
	}
	return n
}

// finish checks what must hold when all is over.
func (w *world) finish() {
	if len(w.waiting) > 0 || w.l.Len() > 0 {
		w.fail("%d requests were never answered", len(w.waiting))
	}
	if most := 6*w.requests + 100; w.wakes > most {
		w.fail("woken %d times for %d requests", w.wakes, w.requests)
	}
	for at, o := range w.oracles {
		if o.limit.Window == Sliding && !w.dates && o.worstCase() > o.limit.Quota {
			w.fail("an adversary could make %v see %d of %d", at, o.worstCase(), o.limit.Quota)
		}
	}
	w.now += 100 * time.Hour
	for _, s := range w.l.Snapshot(w.now).Limits {
		if s.InFlight != 0 || s.Used != 0 && s.Window != Lifetime {
			w.fail("%q of %q %q %q still counts %d, %d in flight", s.ID, s.Account, s.Key, s.Egress, s.Used, s.InFlight)
		}
	}
	if n := w.l.Snapshot(w.now).Lost; n != 0 {
		w.fail("%d lost permits are held for ever", n)
	}
}
