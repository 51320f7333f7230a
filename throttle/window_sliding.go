package throttle

import "time"

// sliding is the in-flight aware log. A permit is held while in flight and
// until per after its answer.
//
// Invariant: no half-open span of length per on the server's clock sees more
// than quota arrive. Of any requests that arrive within less than per, let k
// be the one sent last: every other one still held its permit when k was
// granted, for otherwise it was answered, and so had arrived, at least per
// before k was sent.
//
// rttFloor shortens the hold: if out and home together take at least m, then
// an answer at r means arrival by r minus the way home, and the next arrival
// comes after the way out. A timestamp S in the answer shortens it too: the
// request had arrived by S, and whatever is sent once the server's clock has
// certainly passed S + per arrives later still.
type sliding struct {
	*terms
	flying int64
	log    timeline
	few    [1]mark // room for what most logs hold
}

func (s *sliding) begin(t *terms) { s.terms, s.log.buf = t, s.few[:] }

func (s *sliding) room(now time.Duration) int64 {
	s.log.expire(now)
	return s.quota - s.flying - s.log.sum
}

func (s *sliding) when(now time.Duration, w, flying int64) time.Duration {
	s.log.expire(now)
	return s.log.when(now, flying+s.log.sum+w-s.quota)
}

func (s *sliding) inFlight() int64 { return s.flying }

func (s *sliding) grant(_ time.Duration, w int64) { s.flying += w }

func (s *sliding) abort(w int64) { s.flying -= w }

func (s *sliding) settle(w int64, a answer) time.Duration {
	s.flying -= w
	end := a.at + s.hold
	if a.real { // an answer has had its way home; a lost request may only just arrive
		end -= s.rttFloor
	}
	if a.dated {
		end = min(end, s.clock.reachedByBestBound(a.by+s.per))
	}
	return s.log.add(end, w, s.grain())
}

// grain is the span within which a very long log is allowed to round up.
func (s *sliding) grain() time.Duration { return s.per >> 16 }

func (s *sliding) burden(now time.Duration, w int64) {
	if w > 0 {
		s.log.add(now+s.hold, w, s.grain())
	}
}

func (s *sliding) relieve(now time.Duration, w int64) {
	s.log.expire(now)
	s.log.drop(w)
}

func (s *sliding) sync(now time.Duration, used int64, start time.Duration) {
	if start > 0 && s.clock.known && s.clock.earliest(now) >= start+s.per {
		return // about a window that is over
	}
	s.log.expire(now)
	s.burden(now, used-s.flying-s.log.sum)
}

func (s *sliding) fill(now time.Duration) { s.burden(now, s.room(now)) }

func (s *sliding) resize(now time.Duration, t *terms) {
	s.log.expire(now)
	s.log.delay(s.later(t))
	s.terms = t
}

// later is how much later than by these terms something ends by others, at the most.
func (t *terms) later(others *terms) time.Duration {
	return others.hold - t.hold + max(0, t.rttFloor-others.rttFloor)
}
