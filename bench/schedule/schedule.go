package schedule

import "time"

// Schedule says when each request is due. It is made for one reader; make another from the
// same Spec for a second one.
type Schedule interface {
	// At returns when request n, counted from 0, is due, since the beginning of the run;
	// false if there are no more than n. Instants never go down as n grows. One beyond what
	// a Duration can hold, 292 years, is the greatest Duration.
	At(n uint64) (time.Duration, bool)
}

// Rate is so many requests in each Per. The zero value is no requests at all.
type Rate struct {
	Requests uint64        `json:"requests"`
	Per      time.Duration `json:"per"`
}

// Stage is a time during which the rate goes from From to To in a straight line; both are
// the same for a constant one. A For of zero has no end: then the stage is constant, and the
// last.
type Stage struct {
	From Rate          `json:"from"`
	To   Rate          `json:"to"`
	For  time.Duration `json:"for"`
}

// Spec describes an open schedule as data: it goes into the file of results, and to other
// machines, and always makes the same Schedule.
type Spec struct {
	// Stages follow one another. The warm-up is the first WarmUp of them all.
	Stages []Stage `json:"stages,omitempty"`
	// Poisson makes arrivals random, as those of many clients that know nothing of one
	// another, at the rate that the stages say. False spaces them evenly.
	Poisson bool   `json:"poisson,omitempty"`
	Seed    uint64 `json:"seed,omitempty"`
	// Recorded are instants since the beginning, in order, that were recorded from
	// elsewhere, replayed Speed times as fast; 0 means 1. They stand in place of Stages.
	Recorded []time.Duration `json:"recorded,omitempty"`
	Speed    float64         `json:"speed,omitempty"`
	// WarmUp is how long the beginning is kept apart from what is reported. It must not end
	// within a ramp, nor after the end.
	WarmUp time.Duration `json:"warmup,omitempty"`
}

// Constant is the schedule of one rate for a time, zero for ever.
func Constant(rate Rate, length time.Duration) Spec {
	return Spec{Stages: []Stage{{From: rate, To: rate, For: length}}}
}

// Schedule makes the schedule. The error is of type *SpecError, and names every mistake.
func (s Spec) Schedule() (Schedule, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if len(s.Recorded) > 0 {
		return &recorded{s.Recorded, s.speed()}, nil
	}
	even := compile(s.Stages)
	if s.Poisson {
		return newPoisson(even, s.Seed), nil
	}
	return even, nil
}

// Length is how long the schedule is: the sum of its stages, or the last instant of what is
// recorded. Zero means that it has no end.
func (s Spec) Length() time.Duration {
	if n := len(s.Recorded); n > 0 {
		last, _ := (&recorded{s.Recorded, s.speed()}).At(uint64(n - 1))
		return last
	}
	var sum time.Duration
	for _, stage := range s.Stages {
		if stage.For == 0 {
			return 0
		}
		sum += stage.For
	}
	return sum
}

// Count is how many instants the schedule has; zero if it has no end, or if it is none. That
// of a Poisson schedule is what its seed draws, and takes some ten nanoseconds for each to
// find.
func (s Spec) Count() uint64 {
	schedule, err := s.Schedule()
	if err != nil {
		return 0
	}
	switch schedule := schedule.(type) {
	case *recorded:
		return uint64(len(schedule.instants))
	case *even:
		return schedule.count
	case *poisson:
		return schedule.draw()
	}
	panic("schedule: a kind that Count does not know")
}

// RateAt is the rate, in requests a second, that the stages have at an instant; where one
// stage meets another it is the later one's. It is zero before the beginning, after the end,
// and for what is recorded.
func (s Spec) RateAt(at time.Duration) float64 {
	if at < 0 {
		return 0
	}
	for _, stage := range s.Stages {
		if stage.For == 0 {
			return stage.From.PerSecond()
		}
		if at < stage.For {
			from, to := stage.From.PerSecond(), stage.To.PerSecond()
			return from + (to-from)*(float64(at)/float64(stage.For))
		}
		at -= stage.For
	}
	return 0
}

func (s Spec) speed() float64 {
	if s.Speed == 0 {
		return 1
	}
	return s.Speed
}
