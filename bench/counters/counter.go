package counters

import "time"

// counter is one count of a server. Instants are of the server's clock, and never go
// back.
type counter interface {
	// room reports whether so much more may be counted at an instant.
	room(at time.Duration, weight int64) bool
	// charge counts it.
	charge(at time.Duration, weight int64)
	// part is how much it has counted of what it could have, given what it counted between
	// two instants.
	part(counted int64, from, to time.Duration) float64
}

// arrival is something that was counted.
type arrival struct {
	at     time.Duration
	weight int64
}

// sliding allows quota in every span of length per: what arrived later than one per
// ago is added up.
type sliding struct {
	quota int64
	per   time.Duration
	log   []arrival
}

func (s *sliding) room(at time.Duration, weight int64) bool {
	sum := weight
	for _, a := range s.log {
		if a.at > at-s.per {
			sum += a.weight
		}
	}
	return sum <= s.quota
}

func (s *sliding) charge(at time.Duration, weight int64) {
	for len(s.log) > 0 && s.log[0].at <= at-s.per {
		s.log = s.log[1:]
	}
	s.log = append(s.log, arrival{at, weight})
}

func (s *sliding) part(counted int64, from, to time.Duration) float64 {
	return float64(counted) / (float64(s.quota) * (to - from).Seconds() / s.per.Seconds())
}

// fixed allows quota in each window of the server's clock.
type fixed struct {
	quota  int64
	per    time.Duration
	window time.Duration // the number of the one that used is about
	used   int64
	closed []int64 // what was used in each window before, from the first in which anything was
}

func (f *fixed) room(at time.Duration, weight int64) bool {
	if at/f.per != f.window {
		return weight <= f.quota
	}
	return f.used+weight <= f.quota
}

func (f *fixed) charge(at time.Duration, weight int64) {
	f.roll(at)
	f.used += weight
}

func (f *fixed) roll(at time.Duration) {
	for ; f.window != 0 && f.window < at/f.per; f.window++ {
		f.closed = append(f.closed, f.used)
		f.used = 0
	}
	f.window = at / f.per
}

// part is about the windows that lie between the two instants as a whole.
func (f *fixed) part(_ int64, _, to time.Duration) float64 {
	f.roll(to)
	if len(f.closed) < 2 {
		return 0
	}
	var sum int64
	for _, used := range f.closed[1:] {
		sum += used
	}
	return float64(sum) / float64(f.quota*int64(len(f.closed)-1))
}

// leaky is a counter that must not pass burst, and that falls by quota every per. The
// level is counted in units of 1/per, so that nothing is rounded.
type leaky struct {
	quota, burst int64
	per          time.Duration
	level        int64 // at seen
	seen         time.Duration
}

func (l *leaky) fall(at time.Duration) {
	fell := int64(at-l.seen) * l.quota
	if at-l.seen > time.Hour {
		fell = l.level
	}
	l.level, l.seen = max(0, l.level-fell), at
}

func (l *leaky) room(at time.Duration, weight int64) bool {
	l.fall(at)
	return l.level+weight*int64(l.per) <= l.burst*int64(l.per)
}

func (l *leaky) charge(at time.Duration, weight int64) {
	l.fall(at)
	l.level += weight * int64(l.per)
}

func (l *leaky) part(counted int64, from, to time.Duration) float64 {
	return float64(counted) / (float64(l.burst) + float64(l.quota)*(to-from).Seconds()/l.per.Seconds())
}

// budget allows what is left of it, whenever. Once that is nothing, it allows one
// request in every span of length per, which takes nothing.
type budget struct {
	left  int64
	given int64 // all that there ever was
	per   time.Duration

	beyond  []time.Duration // arrivals that it let in all the same
	spentAt time.Duration   // if nothing is left: since when
	allowed int64           // beyond, in the times before in which nothing was left
}

func (b *budget) earn(at time.Duration, weight int64) {
	b.allowed = b.allowedUntil(at)
	b.left += weight
	b.given += weight
}

// allowedUntil is how many could have been let in while nothing was left: one at the
// beginning, and one for each per after it.
func (b *budget) allowedUntil(at time.Duration) int64 {
	if b.left > 0 {
		return b.allowed
	}
	return b.allowed + 1 + int64((at-b.spentAt)/b.per)
}

// trickled is the part of them that was used.
func (b *budget) trickled(until time.Duration) float64 {
	return float64(len(b.beyond)) / float64(max(1, b.allowedUntil(until)))
}

func (b *budget) room(at time.Duration, weight int64) bool {
	n := len(b.beyond)
	return weight <= b.left || n == 0 || at-b.beyond[n-1] >= b.per
}

func (b *budget) charge(at time.Duration, weight int64) {
	if weight <= b.left {
		b.left -= weight
		b.spentAt = at
		return
	}
	b.beyond = append(b.beyond, at)
}

// part is about the budget alone: what comes beyond is measured by itself.
func (b *budget) part(counted int64, _, _ time.Duration) float64 {
	return float64(counted) / float64(b.given)
}
