package engine

import (
	"math"
	"time"

	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/throttle"
)

// demand is what the rest of a run asks of one meter of a limit.
type demand struct {
	limit  LimitStats
	weight int64
	each   int64 // of one request; zero, as 1, fills the limit to its last weight
}

// end is when the last of the demand is let through, if nobody else asks and answers come
// in no time; false if time does not say: of a limit without a window, or one that admits
// nothing.
//
// A request fits whole, or not at all: of a quota of 10 those that weigh 7 leave 3 unused in
// every Per, and so quota and room are counted in requests.
//
// Invariant, held against a simulation: for a Sliding, Fixed or FixedFromFirst limit the
// true end is not more than one Per away, and for a Leaky one not more than what it takes
// to drain a weight of 1.
func (d demand) end(now time.Time) (time.Time, bool) {
	l := d.limit
	start := now // of what there is room for already: behind a pause
	if l.Room >= 1 && l.Next.After(now) {
		start = l.Next
	}
	lacking, each := d.weight-l.Room, max(1, d.each)
	switch {
	case d.weight <= 0:
		return now, true
	case lacking <= 0:
		return start, true
	case l.Refill <= 0 || l.Per <= 0:
		return time.Time{}, false
	case l.Window == throttle.Leaky:
		return l.drained(now, d.weight), true
	}
	// What is lacking comes back turn by turn: the whole quota in each, of which the last
	// is needed in part.
	inRoom, inTurn := max(0, l.Room)/each, l.Refill/each
	if inTurn == 0 {
		return time.Time{}, false // they are refused
	}
	requests := (d.weight+each-1)/each - inRoom
	turns := (requests - 1) / inTurn
	first := start.Add(l.Per)
	if l.Room < 1 && !l.Next.IsZero() {
		first = l.Next
	}
	if l.Window == throttle.Sliding {
		back := max(1, (requests-turns*inTurn)*each-max(0, l.Room)%each)
		first = l.inTurn(start, first, back+max(0, -l.Room)) // of which what is below zero comes back in vain
	}
	return first.Add(timesPer(float64(turns), l.Per)), true
}

// without is the limit as it is for those who must leave so much of it to more urgent ones.
func (l LimitStats) without(kept int64, now time.Time) LimitStats {
	if l.Room >= 1 && l.Room-kept < 1 && !l.Next.After(now) {
		l.Next = time.Time{} // of who may use all: when there is room for others is not known
	}
	l.Room -= kept
	if l.Window != throttle.Leaky {
		l.Refill -= kept
	}
	return l
}

// drained is when a weight that there is no room for yet has been let through a Leaky limit. It drains
// while it is paused, as far as there is anything in it.
func (l LimitStats) drained(now time.Time, weight int64) time.Time {
	start, room := now, float64(l.Room)
	if l.Next.After(now) {
		start = l.Next
		back := float64(start.Sub(now)) / float64(l.Per) * float64(l.Refill)
		room = min(room+back, float64(l.Room+l.Used))
	}
	return start.Add(timesPer(max(0, float64(weight)-room)/float64(l.Refill), l.Per))
}

// inTurn is when a weight has come back to a Sliding limit within the first turn: as if what
// is used now had been used evenly.
func (l LimitStats) inTurn(start, first time.Time, weight int64) time.Time {
	last := start.Add(l.Per)
	if l.Room >= 1 {
		first = start
	}
	if weight >= l.Used || l.Used <= 1 || !first.Before(last) {
		if first.After(last) {
			return first
		}
		return last
	}
	part := float64(weight-1) / float64(l.Used-1)
	return first.Add(time.Duration(part * float64(last.Sub(first))))
}

// timesPer is n times per, and no overflow.
func timesPer(n float64, per time.Duration) time.Duration {
	return time.Duration(min(n*float64(per), float64(unit.Longest)))
}

// estimatedEnd is when the rest of a run will have ended: the latest of what its limits
// need, and of what the rest takes at the rate, in requests a second, that was seen while
// no limit held anybody; zero if neither says anything. Limits that admit the rest at once
// say nothing.
func estimatedEnd(now time.Time, demands []demand, rest int64, rate float64) time.Time {
	end := time.Time{}
	for _, d := range demands {
		if at, known := d.end(now); known && at.After(now) && at.After(end) {
			end = at
		}
	}
	if rate > 0 && !math.IsInf(rate, 1) {
		if at := now.Add(timesPer(float64(rest)/rate, time.Second)); at.After(end) {
			end = at
		}
	}
	return end
}
