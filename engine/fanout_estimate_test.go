package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/throttle"
)

// slowLimit is a limit played through in steps, weight by weight, from what was used
// before: the oracle of demand.end.
type slowLimit struct {
	window  throttle.Window
	quota   int64   // capacity of a Leaky one
	per     int64   // in steps
	used    []int64 // when each weight in use was taken, in order; before 0
	phase   int64   // of a Fixed one: the first boundary behind 0
	opened  int64   // of a FixedFromFirst one: when its window opened
	counted int64   // in the window that goes on, of both fixed kinds
}

// room is what fits at a step, if what is admitted is only noted by take.
func (s *slowLimit) room(at int64) int64 {
	switch s.window {
	case throttle.Sliding:
		n := s.quota
		for _, u := range s.used {
			if u+s.per > at {
				n--
			}
		}
		return n
	case throttle.Fixed:
		if at >= s.phase {
			s.phase += s.per
			s.counted = 0
		}
	case throttle.FixedFromFirst:
		if at >= s.opened+s.per {
			s.counted = 0
		}
	}
	return s.quota - s.counted
}

func (s *slowLimit) take(at, n int64) {
	for range n {
		s.used = append(s.used, at)
	}
	if s.window == throttle.FixedFromFirst && s.counted == 0 && n > 0 {
		s.opened = at
	}
	s.counted += n
}

// end admits a weight as soon as there is room for any of it beside what is kept, in requests that
// weigh so much each.
func (s *slowLimit) end(weight, each, kept int64) int64 {
	for at := int64(0); ; at++ {
		n := min(max(0, s.room(at)-kept)/each*each, weight)
		s.take(at, n)
		if weight -= n; weight == 0 {
			return at
		}
	}
}

// next is when a weight of 1 fits.
func (s slowLimit) next() int64 {
	for at := int64(0); ; at++ {
		if s.room(at) >= 1 {
			return at
		}
	}
}

func TestTheEndByALimitIsAtMostOneTurnAwayFromThatOfASimulation(t *testing.T) {
	const step = time.Second
	now := time.Unix(1_000_000, 0)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]throttle.Window{throttle.Sliding, throttle.Fixed, throttle.FixedFromFirst}).Draw(t, "window")
		s := slowLimit{window: kind, quota: rapid.Int64Range(1, 30).Draw(t, "quota"), per: rapid.Int64Range(1, 40).Draw(t, "per")}
		used := rapid.Int64Range(0, s.quota+5).Draw(t, "used")
		kept := rapid.Int64Range(0, s.quota-1).Draw(t, "kept")
		switch kind {
		case throttle.Sliding:
			ago := rapid.SliceOfN(rapid.Int64Range(1-s.per, 0), int(used), int(used)).Draw(t, "when")
			s.used = ago
		case throttle.Fixed:
			s.phase, s.counted = rapid.Int64Range(1, s.per).Draw(t, "phase"), used
		default:
			s.opened, s.counted = rapid.Int64Range(1-s.per, 0).Draw(t, "opened"), used
		}
		each := rapid.Int64Range(1, s.quota-kept).Draw(t, "each")
		weight := each * rapid.Int64Range(1, 200).Draw(t, "requests")
		l := LimitStats{
			Window: kind, Quota: s.quota, Refill: s.quota, Per: time.Duration(s.per) * step,
			Used: used, Room: s.quota - used, Next: now.Add(time.Duration(s.next()) * step),
		}
		got, known := demand{l.without(kept, now), weight, each}.end(now)
		if !known {
			t.Fatal("it is known")
		}
		want := now.Add(time.Duration(s.end(weight, each, kept)) * step)
		if off := got.Sub(want).Abs(); off > l.Per {
			t.Fatalf("estimated %s, and it was %s: %s apart, with a Per of %s", got.Sub(now), want.Sub(now), off, l.Per)
		}
		if weight <= l.Room-kept && !got.Equal(now) {
			t.Fatalf("there is room for all: %s", got.Sub(now))
		}
	})
}

func TestTheEndByALeakyLimitIsThatOfASimulation(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	rapid.Check(t, func(t *rapid.T) {
		capacity, refill := rapid.Int64Range(1, 50).Draw(t, "capacity"), rapid.Int64Range(1, 20).Draw(t, "refill")
		per := time.Duration(rapid.IntRange(1, 60).Draw(t, "per")) * time.Second
		level := rapid.Int64Range(0, capacity).Draw(t, "level")
		kept := rapid.Int64Range(0, capacity-1).Draw(t, "kept")
		weight := rapid.Int64Range(1, 300).Draw(t, "weight")
		pause := rapid.Int64Range(0, 400).Draw(t, "pause") // in steps, while which it drains
		// Step by step, of which eight drain a weight of 1: in steps of a millisecond a weight
		// would leave up to one late each time, and a bucket of 1 never makes up for that.
		const drains = 8
		full, left, at := level*drains, weight, int64(0)
		for ; ; at++ {
			for at >= pause && left > 0 && full+drains <= (capacity-kept)*drains {
				full += drains
				left--
			}
			if left == 0 {
				break
			}
			full = max(0, full-1)
		}
		l := LimitStats{Window: throttle.Leaky, Quota: capacity, Refill: refill, Per: per, Used: level, Room: capacity - level, Next: now}
		if l.Room < 1 {
			l.Next = now.Add(time.Duration(float64(per) / float64(refill)))
		}
		if until := now.Add(time.Duration(pause) * per / time.Duration(drains*refill)); until.After(l.Next) {
			l.Next = until
		}
		got, known := demand{l.without(kept, now), weight, 1}.end(now)
		want := now.Add(time.Duration(at) * per / time.Duration(drains*refill))
		if off := got.Sub(want).Abs(); !known || off > per/time.Duration(refill)+time.Microsecond {
			t.Fatalf("estimated %s, and it was %s", got.Sub(now), want.Sub(now))
		}
	})
}

func TestTheEstimateIsTheLaterOfLimitsAndRateAndZeroIfNeitherIsKnown(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	minute := LimitStats{Window: throttle.Fixed, Quota: 10, Refill: 10, Per: time.Minute, Used: 10, Next: now.Add(20 * time.Second)}
	roomy := LimitStats{Window: throttle.Fixed, Quota: 100, Refill: 100, Per: time.Minute, Room: 100, Next: now}
	inFlight := LimitStats{Window: throttle.Concurrency, Quota: 4, Room: 0}
	closed := LimitStats{Window: throttle.Sliding, Quota: 0, Refill: 0, Per: time.Minute}
	paused := LimitStats{Window: throttle.Leaky, Quota: 100, Refill: 100, Per: time.Minute, Room: 100, Next: now.Add(time.Hour)}
	at := func(d time.Duration) time.Time { return now.Add(d) }

	require.Zero(t, estimatedEnd(now, nil, 10, 0))
	require.Zero(t, estimatedEnd(now, []demand{{roomy, 100, 1}, {inFlight, 9, 1}, {closed, 9, 1}}, 100, 0))
	require.Equal(t, at(10*time.Second), estimatedEnd(now, []demand{{roomy, 100, 1}, {inFlight, 9, 1}}, 100, 10))
	require.Equal(t, at(80*time.Second), estimatedEnd(now, []demand{{roomy, 20, 1}, {minute, 11, 1}}, 20, 10))
	require.Equal(t, at(200*time.Second), estimatedEnd(now, []demand{{roomy, 20, 1}, {minute, 11, 1}}, 20, 0.1))
	require.Equal(t, at(time.Hour), estimatedEnd(now, []demand{{paused, 20, 1}}, 20, 0))
	require.Equal(t, at(time.Hour+time.Minute), estimatedEnd(now, []demand{{paused, 200, 1}}, 20, 0))
	require.Equal(t, at(0), estimatedEnd(now, nil, 0, 10))

	// No number is too large.
	far := estimatedEnd(now, []demand{{minute, 1 << 62, 1}}, 1<<62, 1e-300)
	require.True(t, far.After(at(24*time.Hour)))
}
