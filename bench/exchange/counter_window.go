package exchange

import "time"

// fixedWindow counts in [start, start+per), start a multiple of per.
type fixedWindow struct {
	quota, used int64
	per, start  time.Duration
}

func (f *fixedWindow) roll(now time.Duration) {
	if start := floorDiv(now, f.per) * f.per; start != f.start {
		f.start, f.used = start, 0
	}
}

func (f *fixedWindow) Admit(now time.Duration, weight int64) (bool, time.Duration) {
	return admit(f, now, weight)
}

func (f *fixedWindow) Wait(now time.Duration, weight int64) time.Duration {
	f.roll(now)
	if weight > f.quota {
		return Never
	}
	if weight <= f.quota-f.used {
		return 0
	}
	return f.start + f.per - now
}

func (f *fixedWindow) Charge(now time.Duration, weight int64) {
	f.roll(now)
	f.used += weight
}

func (f *fixedWindow) Used(now time.Duration) int64 {
	f.roll(now)
	return f.used
}

// fromFirst counts in [start, start+per), start the first charge after the
// window before it ended.
type fromFirst struct {
	quota, used int64
	per, start  time.Duration
	open        bool
}

func (f *fromFirst) roll(now time.Duration) {
	if f.open && now-f.start >= f.per {
		f.open, f.used = false, 0
	}
}

func (f *fromFirst) Admit(now time.Duration, weight int64) (bool, time.Duration) {
	return admit(f, now, weight)
}

func (f *fromFirst) Wait(now time.Duration, weight int64) time.Duration {
	f.roll(now)
	if weight > f.quota {
		return Never
	}
	if weight <= f.quota-f.used {
		return 0
	}
	return f.start + f.per - now
}

func (f *fromFirst) Charge(now time.Duration, weight int64) {
	f.roll(now)
	if !f.open {
		f.open, f.start = true, now
	}
	f.used += weight
}

func (f *fromFirst) Used(now time.Duration) int64 {
	f.roll(now)
	return f.used
}

// slidingLog remembers every arrival in (now-per, now].
type slidingLog struct {
	quota, used int64 // used is the weight of log[head:]
	per         time.Duration
	log         []arrivalWeight // in the order of arrival; instants differ
	head        int
}

type arrivalWeight struct {
	at     time.Duration
	weight int64
}

func (s *slidingLog) evict(now time.Duration) {
	for s.head < len(s.log) && now-s.log[s.head].at >= s.per {
		s.used -= s.log[s.head].weight
		s.head++
	}
	if s.head > len(s.log)/2 {
		s.log = s.log[:copy(s.log, s.log[s.head:])]
		s.head = 0
	}
}

func (s *slidingLog) Admit(now time.Duration, weight int64) (bool, time.Duration) {
	return admit(s, now, weight)
}

func (s *slidingLog) Wait(now time.Duration, weight int64) time.Duration {
	s.evict(now)
	if weight > s.quota {
		return Never
	}
	missing := weight - (s.quota - s.used)
	if missing <= 0 {
		return 0
	}
	var last time.Duration
	for _, a := range s.log[s.head:] {
		last = a.at
		if missing -= a.weight; missing <= 0 {
			break
		}
	}
	return last + s.per - now
}

func (s *slidingLog) Charge(now time.Duration, weight int64) {
	s.evict(now)
	s.used += weight
	if n := len(s.log); n > s.head && s.log[n-1].at >= now {
		s.log[n-1].weight += weight
		return
	}
	s.log = append(s.log, arrivalWeight{now, weight})
}

func (s *slidingLog) Used(now time.Duration) int64 {
	s.evict(now)
	return s.used
}

func floorDiv(a, b time.Duration) time.Duration {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
