package throttle

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/internal/quotient"
)

// server counts arrivals as an exchange does, exactly and in its own time, and
// says whether a limit was broken.
type server interface {
	arrive(at time.Duration, w int64) bool
}

func newServer(d Limit) server {
	switch d.Window {
	case Fixed:
		return &fixedServer{Limit: d, counts: map[int64]int64{}}
	case FixedFromFirst:
		return &fromFirstServer{Limit: d}
	case Leaky:
		return &leakyServer{Limit: d}
	case Lifetime:
		return &lifetimeServer{Limit: d}
	case Concurrency:
		return nil // judged by the world, which knows when answers leave
	}
	return &slidingServer{Limit: d}
}

type slidingServer struct {
	Limit
	log []entry
}

func (s *slidingServer) arrive(at time.Duration, w int64) bool {
	s.log = append(s.log, entry{at, w})
	s.log = slices.DeleteFunc(s.log, func(e entry) bool { return e.at <= at-s.Per })
	var sum int64
	for _, e := range s.log {
		sum += e.w
	}
	return sum <= s.Quota
}

type fixedServer struct {
	Limit
	counts map[int64]int64
}

func (s *fixedServer) arrive(at time.Duration, w int64) bool {
	k := quotient.Floor(at-s.Offset, s.Per)
	s.counts[k] += w
	return s.counts[k] <= s.Quota
}

type fromFirstServer struct {
	Limit
	open  bool
	start time.Duration
	count int64
}

func (s *fromFirstServer) arrive(at time.Duration, w int64) bool {
	if !s.open || at >= s.start+s.Per {
		s.open, s.start, s.count = true, at, 0
	}
	s.count += w
	return s.count <= s.Quota
}

// leakyServer counts in weight times Per, so that all is whole.
type leakyServer struct {
	Limit
	level int64
	last  time.Duration
	begun bool
}

func (s *leakyServer) arrive(at time.Duration, w int64) bool {
	if !s.begun {
		s.begun, s.last = true, at
	}
	span := at - s.last
	if s.Tick > 0 {
		span = at/s.Tick*s.Tick - s.last/s.Tick*s.Tick
	}
	s.level = max(0, s.level-int64(span)*s.Quota) + w*int64(s.Per)
	s.last = at
	return s.level <= cmp.Or(s.Burst, s.Quota)*int64(s.Per)
}

type lifetimeServer struct {
	Limit
	count int64
}

func (s *lifetimeServer) arrive(_ time.Duration, w int64) bool {
	s.count += w
	return s.count <= s.Quota
}
