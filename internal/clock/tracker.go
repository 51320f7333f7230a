package clock

import (
	"math"
	"time"
)

// tracker is the tight tracker: it fits a straight line, offset and rate,
// through everything the samples prove. It assumes a rate that is constant up
// to a small wander, so its interval is a good estimate but no promise.
//
// Each bucket of time keeps its tightest statement of either kind; at most
// 2 × trackerBuckets statements take part in a fit. Buckets start narrow and
// double their width whenever all are in use, until they are maxWidth wide; from
// then on the oldest is forgotten.
type tracker struct {
	base    int64 // offsets are kept relative to this, so that float64 is exact enough
	buckets []bucket
	width   int64   // of a bucket, in ns: minWidth times a power of two
	maxRate float64 // |rate| of the line, at most
	wander  float64 // how far the true rate may stray from the line
	slack   int64   // every statement is widened by this: servers disagree

	rate      float64 // of the last fit; compares statements inside a bucket
	slewUntil int64   // until then rates up to maxRate are believed at once

	stale bool // a statement changed since the last fit
	last  line
}

// line is the fit as seen from the instant at: the offset there lies in
// [lo, hi], its rate in [rateLo, rateHi].
type line struct {
	at             int64
	lo, hi         float64
	rateLo, rateHi float64
}

type bucket struct {
	index  int64
	lo, hi anchor
}

const (
	trackerBuckets = 64
	minWidth       = int64(500 * time.Millisecond)
	maxWidth       = int64(32 * time.Second)
	ordinaryRate   = 200e-6
	slewMemory     = int64(10 * time.Minute)
	fitTolerance   = 1.0 // ns; what float64 rounding may add up to
)

func newTracker(s Sample, maxRate, wander float64, slack int64) tracker {
	t := tracker{maxRate: maxRate, wander: wander, slack: slack}
	t.restart(s)
	return t
}

// loosen sets the slack.
func (t *tracker) loosen(slack int64) {
	t.stale = t.stale || slack != t.slack
	t.slack = slack
}

func (t *tracker) restart(s Sample) {
	t.base = s.atLeast().offset
	t.buckets = t.buckets[:0]
	t.width = minWidth
	t.rate = 0
	t.add(s)
}

// add puts s into its bucket. A sample older than every bucket is of no use.
func (t *tracker) add(s Sample) {
	lo, hi := s.atLeast(), s.atMost()
	index := lo.at / t.width
	for i := range t.buckets {
		if b := &t.buckets[i]; b.index == index {
			t.stale = t.tighten(b, lo, hi) || t.stale
			return
		}
	}
	if n := len(t.buckets); n > 0 && index < t.buckets[n-1].index {
		return
	}
	if len(t.buckets) == trackerBuckets {
		t.makeRoom()
		t.add(s) // its bucket may be another one now
		return
	}
	t.buckets = append(t.buckets, bucket{index, lo, hi})
	t.stale = true
}

func (t *tracker) makeRoom() {
	for len(t.buckets) == trackerBuckets && t.width < maxWidth {
		t.double()
	}
	if len(t.buckets) == trackerBuckets {
		t.dropOldest()
	}
}

// double joins the buckets that fall together at twice the width.
func (t *tracker) double() {
	t.width *= 2
	joined := t.buckets[:0]
	for _, b := range t.buckets {
		b.index /= 2
		if n := len(joined); n > 0 && joined[n-1].index == b.index {
			t.tighten(&joined[n-1], b.lo, b.hi)
			continue
		}
		joined = append(joined, b)
	}
	t.buckets = joined
}

func (t *tracker) tighten(b *bucket, lo, hi anchor) (changed bool) {
	if float64(lo.offset-b.lo.offset) > t.rate*float64(lo.at-b.lo.at) {
		b.lo, changed = lo, true
	}
	if float64(hi.offset-b.hi.offset) < t.rate*float64(hi.at-b.hi.at) {
		b.hi, changed = hi, true
	}
	return changed
}

func (t *tracker) dropOldest() {
	t.buckets = t.buckets[:copy(t.buckets, t.buckets[1:])]
	t.stale = true
}

// estimate returns the middle of what the offset can be at the instant now, and
// the rate there. Statements that contradict newer ones are forgotten.
func (t *tracker) estimate(now int64) (offset int64, rate float64) {
	if !t.stale && now >= t.last.at {
		return t.middle(now), t.rate
	}
	fit, ok := t.likelyFit(now)
	for !ok && len(t.buckets) > 1 {
		t.dropOldest()
		fit, ok = t.likelyFit(now)
	}
	if !ok { // one bucket that contradicts itself: its rate changed under it
		b := &t.buckets[0]
		lo, hi := t.relative(b.lo), t.relative(b.hi)
		fit = line{at: now, lo: min(lo, hi), hi: max(lo, hi)}
	}
	t.last, t.stale = fit, false
	t.rate = (fit.rateLo + fit.rateHi) / 2
	return t.middle(now), t.rate
}

func (t *tracker) middle(now int64) int64 {
	f := &t.last
	return t.base + int64(math.Round((f.lo+f.hi)/2+t.rate*float64(now-f.at)))
}

func (t *tracker) relative(a anchor) float64 { return float64(a.offset - t.base) }

// likelyFit believes a rate beyond those of ordinary crystals only when nothing
// else fits, and then for a while: the operating system slews the clock.
func (t *tracker) likelyFit(now int64) (line, bool) {
	if now >= t.slewUntil {
		if fit, ok := t.fit(now, min(ordinaryRate, t.maxRate)); ok {
			return fit, true
		}
		t.slewUntil = now + slewMemory
	}
	return t.fit(now, t.maxRate)
}

// fit finds every line with a rate within the limit that satisfies all
// statements. For a given rate the offset at now lies between floor(rate) and
// ceiling(rate); the first is convex, the second concave, and both rise with the
// rate, because every statement lies in the past. So the extreme offsets belong
// to the extreme feasible rates.
func (t *tracker) fit(now int64, limit float64) (line, bool) {
	rateLo, ok := t.edge(now, limit, +1)
	if !ok {
		return line{}, false
	}
	rateHi, ok := t.edge(now, limit, -1)
	if !ok {
		return line{}, false
	}
	lo, _ := t.floor(now, rateLo)
	hi, _ := t.ceiling(now, rateHi)
	return line{now, lo, hi, rateLo, rateHi}, true
}

// edge walks from an end of the allowed rates towards the feasible ones (up for
// direction +1, down for -1) by Newton's method on floor - ceiling. That function is
// convex and made of straight pieces, so the walk never overshoots and ends
// after finitely many steps; a slope that points the wrong way, or a step out
// of the allowed rates, proves that no rate is feasible.
func (t *tracker) edge(now int64, limit, direction float64) (float64, bool) {
	rate := -limit * direction
	for range 4 * trackerBuckets {
		lo, loSlope := t.floor(now, rate)
		hi, hiSlope := t.ceiling(now, rate)
		excess := lo - hi
		if excess <= fitTolerance {
			return rate, true
		}
		slope := loSlope - hiSlope
		if slope*direction >= 0 {
			return 0, false
		}
		rate -= excess / slope
		if math.Abs(rate) > limit {
			return 0, false
		}
	}
	return rate, true
}

// floor is the least offset at now if the rate is as given, and its slope.
func (t *tracker) floor(now int64, rate float64) (offset, slope float64) {
	offset = math.Inf(-1)
	for i := range t.buckets {
		a := t.buckets[i].lo
		age := float64(max(now-a.at, 0))
		if v := t.relative(a) - float64(t.slack) + (rate-t.wander)*age; v > offset {
			offset, slope = v, age
		}
	}
	return offset, slope
}

// ceiling is the greatest offset at now if the rate is as given, and its slope.
func (t *tracker) ceiling(now int64, rate float64) (offset, slope float64) {
	offset = math.Inf(1)
	for i := range t.buckets {
		a := t.buckets[i].hi
		age := float64(max(now-a.at, 0))
		if v := t.relative(a) + float64(t.slack) + (rate+t.wander)*age; v < offset {
			offset, slope = v, age
		}
	}
	return offset, slope
}

// outside reports whether the last fit has no offset in [lo, hi].
func (t *tracker) outside(lo, hi int64) bool {
	return t.last.hi < float64(lo-t.base) || t.last.lo > float64(hi-t.base)
}
