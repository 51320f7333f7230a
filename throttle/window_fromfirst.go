package throttle

import "time"

// fromFirst counts in windows that open with the first request to arrive.
//
// It keeps a spell: a span in which all that may be counted in one window
// stays charged. Let `floor` be an instant before which no window that is still
// open can have begun. The first answer, at r, to a request sent in the spell
// proves that a window holding that request opened by r, so that it is over
// at r + per: then the spell ends, and what was answered within per of floor,
// and so surely arrived in a window that is over, is charged no longer. What
// was answered later, or is in flight, is carried into the next spell, whose
// floor is per later. When nothing is left to carry the next request begins
// afresh.
//
// As with fixed, the sliding log is kept too and either may let a request
// through; under steady load spells lag behind and the log takes over. Only the
// log counts once others are known to spend from the quota: their requests may
// open windows that ours do not know of. So it is for a while where windows may be open
// that no spell knows of, because they are of another length, or what was spent was
// guessed, or had been told to cost nothing, or others spent it until then: these are
// doubted up to an instant by which all of them are over but for those that ours opened
// since, and so until nothing of ours can have a window open then either.
type fromFirst struct {
	sliding
	others bool
	open   bool
	doubts bool
	sure   time.Duration // by then what is doubted is over
	begun  time.Duration // requests granted from here on belong to the spell
	floor  time.Duration
	closes time.Duration // end of the spell; never while no answer came
	early  int64         // answered within per of floor
	late   int64         // answered later
	latest time.Duration // the last answer among late
	last   time.Duration // the last answer at all
}

func (f *fromFirst) begin(t *terms) { f.sliding.begin(t); f.closes = never }

func (f *fromFirst) advance(now time.Duration) {
	if f.doubts {
		f.log.expire(now)
		f.doubts = f.flying > 0 || f.log.sum > 0 || now < f.sure || now < f.last+f.hold
	}
	for f.open {
		if quiet := f.flying == 0 && now >= f.last+f.hold; quiet {
			f.open, f.early, f.late, f.closes = false, 0, 0, never
			return
		}
		if now < f.closes {
			return
		}
		f.end()
	}
}

func (f *fromFirst) end() {
	f.early = 0
	if f.latest <= f.floor+f.short {
		f.late = 0
	}
	f.open = f.flying > 0 || f.late > 0
	f.floor += f.short
	f.begun, f.closes = f.closes, never
}

func (f *fromFirst) room(now time.Duration) int64 {
	f.advance(now)
	free := f.sliding.room(now)
	if f.alone() {
		free = max(free, f.quota-f.flying-f.early-f.late)
	}
	return free
}

func (f *fromFirst) alone() bool { return !f.others && !f.doubts && !f.shared }

// doubt has the log alone count of what may be open until an instant.
func (f *fromFirst) doubt(until time.Duration) { f.doubts, f.sure = true, max(f.sure, until) }

func (f *fromFirst) when(now time.Duration, w, flying int64) time.Duration {
	f.advance(now)
	at := f.sliding.when(now, w, flying)
	carried := f.late // into the next spell
	if f.latest <= f.floor+f.short {
		carried = 0
	}
	switch {
	case !f.alone():
		return at
	case f.early+f.late+flying+w <= f.quota:
		return now
	case carried+flying+w <= f.quota:
		return min(at, f.closes)
	}
	return at
}

func (f *fromFirst) grant(now time.Duration, w int64) {
	f.advance(now)
	if !f.open {
		f.open, f.begun, f.floor, f.closes, f.last = true, now, now, never, now
		f.early, f.late, f.latest = 0, 0, now
	}
	f.flying += w
}

func (f *fromFirst) abort(w int64) {
	f.flying -= w
	if f.flying == 0 && f.early+f.late == 0 { // whatever else was sent in the spell is charged no longer
		f.open, f.closes = false, never
	}
}

func (f *fromFirst) settle(w int64, a answer) time.Duration {
	f.advance(a.at)
	f.sliding.settle(w, a) // when the log makes room is of no interest: the spell may make it at once
	f.last = max(f.last, a.at)
	if a.real && a.sent >= f.begun {
		f.closes = min(f.closes, a.at+f.hold)
	}
	f.enter(a.at, w)
	return a.at
}

func (f *fromFirst) enter(at time.Duration, w int64) {
	if at <= f.floor+f.short {
		f.early = plus(f.early, w)
		return
	}
	f.late = plus(f.late, w)
	f.latest = max(f.latest, at)
}

func (f *fromFirst) burden(now time.Duration, w int64) {
	if w > 0 {
		f.others = true
		f.sliding.burden(now, w)
	}
}

// exceed counts w more for what is in flight, and is about to be settled: as if it had been a
// request of its own, sent and answered with it.
func (f *fromFirst) exceed(now time.Duration, w int64) {
	if w > 0 {
		f.advance(now)
		f.sliding.burden(now, w)
		f.enter(now, w)
	}
}

// suppose counts w that may have opened a window by now, of which no spell knows.
func (f *fromFirst) suppose(now time.Duration, w int64) {
	if w > 0 {
		f.doubt(now + f.hold)
		f.sliding.burden(now, w)
	}
}

func (f *fromFirst) relieve(now time.Duration, w int64) {
	f.advance(now)
	f.sliding.relieve(now, w)
	part := min(w, f.early)
	f.early -= part
	f.late = max(0, f.late-(w-part))
}

func (f *fromFirst) sync(now time.Duration, used int64, start time.Duration) {
	if start > 0 && f.clock.known && f.clock.earliest(now) >= start+f.per {
		return // about a window that is over
	}
	f.burden(now, used-(f.quota-f.room(now)))
}

// fill knows of no others: what is taken for spent is ours.
func (f *fromFirst) fill(now time.Duration) { f.suppose(now, f.room(now)) }

func (f *fromFirst) resize(now time.Duration, t *terms) {
	f.advance(now)
	// The windows that are open now are of neither length, or others may have opened them.
	if t.per != f.per || f.shared && !t.shared {
		f.doubt(now + max(f.hold, t.hold))
	}
	f.sliding.resize(now, t)
}
