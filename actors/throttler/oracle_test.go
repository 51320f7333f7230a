package throttler

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/internal/quotient"
	"github.com/sluice-engine/sluice/throttle"
)

// table is what the oracle knows of the limits: searched from end to end.
type table []throttle.Limit

func (t table) limit(id string) (l throttle.Limit, found bool) {
	i := slices.IndexFunc(t, func(l throttle.Limit) bool { return l.ID == id })
	if i < 0 {
		return l, false
	}
	return t[i], true
}

// place is one instance of a limit.
type place struct{ id, key string }

// charges returns what a request takes from each limit, by the definition.
func (t table) charges(id, key string, weight int64) map[place]int64 {
	sum := map[place]int64{}
	l, found := t.limit(id)
	if !found {
		return sum
	}
	if l.Quota > 0 {
		at := place{id: id}
		if l.Keyed {
			at.key = key
		}
		sum[at] = cmp.Or(weight, max(1, l.Weight))
	}
	for _, link := range l.Linked {
		for at, w := range t.charges(link.ID, key, link.Weight) {
			sum[at] += w
		}
	}
	return sum
}

// scopes returns what has to be open for a request to leave, but for its origin as
// a whole.
func (t table) scopes(id string) (names []string) {
	for at := range t.charges(id, "", 0) {
		l, _ := t.limit(at.id)
		names = append(names, l.Scope)
	}
	return names
}

// pauses is what is paused, and what was refused how often, by origin and name.
type pauses map[throttle.Scope]*paused

type paused struct {
	until    time.Duration
	refusals int // in a row, each of a request that left after the pause before
}

var (
	origins    = []string{"a", "b"}
	scopeNames = []string{"", "other", throttle.WholeOrigin}
)

func (ps pauses) of(s throttle.Scope) *paused {
	if ps[s] == nil {
		ps[s] = new(paused)
	}
	return ps[s]
}

// meant returns the scopes that one stands for: itself, or those at every origin
// and at those still to come.
func meant(s throttle.Scope) (all []throttle.Scope) {
	if s.Origin != throttle.AnyOrigin {
		return []throttle.Scope{s}
	}
	for _, origin := range append([]string{throttle.AnyOrigin}, origins...) {
		all = append(all, throttle.Scope{Origin: origin, Name: s.Name})
	}
	return all
}

func (ps pauses) pause(now time.Duration, s throttle.Scope, until time.Duration) {
	if until <= now {
		return
	}
	for _, s := range meant(s) {
		ps.of(s).until = max(ps.of(s).until, until)
	}
}

func (ps pauses) resume(now time.Duration, s throttle.Scope) {
	for _, s := range meant(s) {
		ps.of(s).until, ps.of(s).refusals = min(ps.of(s).until, now), 0
	}
}

// obeyed returns the scopes that hold back a request to an origin: those of its
// limits and the whole, or all if it has none.
func (t table) obeyed(limit, origin string) (all []throttle.Scope) {
	names := scopeNames
	if limit != throttle.NoLimit {
		names = append(t.scopes(limit), throttle.WholeOrigin)
	}
	for _, name := range names {
		all = append(all, throttle.Scope{Origin: origin, Name: name})
	}
	return all
}

// stopped returns the scopes that an answer speaks of which stops some: the one that it names, or
// else those of the request's limits, or its whole origin.
func (t table) stopped(h Heard) (all []throttle.Scope) {
	names := t.scopes(h.Limit)
	switch {
	case h.Said.Whole || len(names) == 0:
		names = []string{throttle.WholeOrigin}
	case h.Said.Scope != "" && slices.Contains(scopeNames, h.Said.Scope):
		names = []string{h.Said.Scope}
	}
	for _, name := range names {
		if scope := (throttle.Scope{Origin: h.Origin, Name: name}); !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}

// answered takes note of a good answer to a request that left at an instant.
func (ps pauses) answered(left time.Duration, charging []throttle.Scope) {
	for _, s := range charging {
		if left >= ps.of(s).until {
			ps.of(s).refusals = 0
		}
	}
}

// refused returns the instants at which the pause may end that follows a refusal
// of a request that left at an instant. They are one, unless the last refusal is
// so long ago that it may be forgotten.
func (ps pauses) refused(now, left time.Duration, s throttle.Scope, first, said time.Duration) (ends []time.Duration) {
	p := ps.of(s)
	long := now-p.until >= 10*time.Minute
	if p.refusals == 0 || left >= p.until {
		p.refusals++
	}
	for _, n := range []int{p.refusals, 1} {
		least := first
		for range n - 1 {
			least = min(2*least, time.Minute)
		}
		ends = append(ends, max(p.until, now+max(said, least)))
		if !long {
			break
		}
	}
	return ends
}

// server is one instance of a limit as the server sees it: it may count a
// request at any instant between its leaving and its end.
type server struct {
	limit throttle.Limit
	most  int64 // the largest quota it ever had
	log   []*arrival
}

type arrival struct {
	id, scope string // of the limit
	weight    int64
	from, end time.Duration // end is throttle.Never while it is in flight
}

// worst is the most that the server can have counted at once, if whoever chose
// the arrivals meant no good. ahead is what its clock is ahead of ours.
func (s *server) worst(ahead time.Duration) (w int64) {
	for _, edge := range s.log {
		switch s.limit.Window {
		case throttle.Sliding: // a span that begins with the last instant of one
			w = max(w, s.within(edge.end))
		case throttle.Fixed: // a window that one can be in
			for _, t := range []time.Duration{edge.from, edge.end} {
				if t != throttle.Never {
					first := quotient.Floor(t+ahead-s.limit.Offset, s.limit.Per)
					begin := time.Duration(first)*s.limit.Per + s.limit.Offset - ahead
					w = max(w, s.within(begin))
				}
			}
		case throttle.Concurrency: // the instant at which one leaves
			w = max(w, s.at(edge.from))
		}
	}
	return w
}

// within sums what can arrive within Per from an instant on.
func (s *server) within(begin time.Duration) (sum int64) {
	for _, a := range s.log {
		if begin != throttle.Never && a.end >= begin && a.from < begin+s.limit.Per {
			sum += a.weight
		}
	}
	return sum
}

func (s *server) at(t time.Duration) (sum int64) {
	for _, a := range s.log {
		if a.from <= t && t < a.end {
			sum += a.weight
		}
	}
	return sum
}
