package schedule

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// SpecError says what is wrong with a Spec.
type SpecError struct {
	Mistakes []string // each names the part it is about
}

// Error names every mistake, in one line.
func (e *SpecError) Error() string { return "schedule: " + strings.Join(e.Mistakes, "; ") }

type mistakes []string

func (m *mistakes) add(format string, args ...any) { *m = append(*m, fmt.Sprintf(format, args...)) }

// Check returns a *SpecError that names every mistake, or nil if Schedule makes a schedule.
func (s Spec) Check() error {
	var m mistakes
	switch {
	case len(s.Recorded) > 0:
		s.checkRecorded(&m)
	case len(s.Stages) > 0:
		s.checkStages(&m)
	default:
		m.add("neither stages nor recorded instants: nothing is ever due")
	}
	if s.WarmUp < 0 {
		m.add("warm-up %v: want no less than 0", s.WarmUp)
	}
	if len(m) == 0 { // what follows adds up durations that are right
		s.checkWarmUp(&m)
	}
	if len(m) > 0 {
		return &SpecError{m}
	}
	return nil
}

func (s Spec) checkRecorded(m *mistakes) {
	if len(s.Stages) > 0 {
		m.add("both stages and recorded instants: one of them has to go")
	}
	if s.Poisson {
		m.add("recorded instants cannot be Poisson as well")
	}
	if !(s.Speed >= 0) || math.IsInf(s.Speed, 0) {
		m.add("speed %v: want a number above 0, or 0 for 1", s.Speed)
	}
	var before time.Duration
	for i, at := range s.Recorded {
		if at < before {
			m.add("recorded instant %d, %v, is before %v: want them in order, from 0 on", i, at, before)
			return
		}
		before = at
	}
}

func (s Spec) checkStages(m *mistakes) {
	if s.Speed != 0 {
		m.add("a speed of %v is for recorded instants, and there are none", s.Speed)
	}
	var sum time.Duration
	some := false
	for i, stage := range s.Stages {
		stage.check(m, i, i == len(s.Stages)-1)
		some = some || stage.From.Requests > 0 || stage.To.Requests > 0
		if stage.For > 0 {
			if sum > math.MaxInt64-stage.For {
				m.add("stage %d: all stages together last longer than 292 years", i+1)
				return
			}
			sum += stage.For
		}
	}
	if !some {
		m.add("every rate is 0: nothing is ever due")
	}
}

func (s Stage) check(m *mistakes, i int, last bool) {
	for _, rate := range []Rate{s.From, s.To} {
		if rate.Per < 0 || rate.Per == 0 && rate.Requests > 0 {
			m.add("stage %d: %d requests in each %v: want a time above 0", i+1, rate.Requests, rate.Per)
		}
	}
	switch {
	case s.For < 0:
		m.add("stage %d: for %v: want a time above 0", i+1, s.For)
	case s.For > 0:
	case !last:
		m.add("stage %d has no end, and is not the last", i+1)
	case !s.From.equals(s.To):
		m.add("stage %d has no end: a ramp needs one", i+1)
	case s.From.Requests == 0:
		m.add("stage %d has no end and a rate of 0: leave it out", i+1)
	}
}

func (s Spec) checkWarmUp(m *mistakes) {
	if s.WarmUp == 0 {
		return
	}
	if length := s.Length(); s.WarmUp >= length && (length > 0 || len(s.Recorded) > 0) {
		m.add("a warm-up of %s leaves nothing of %s to report", short(s.WarmUp), short(length))
		return
	}
	var begin time.Duration
	for i, stage := range s.Stages {
		end := begin + stage.For
		if stage.ramp() && begin < s.WarmUp && s.WarmUp < end {
			m.add("a warm-up of %s ends within the ramp of stage %d (%v): what is reported would begin at a rate that is still on its way; make it %s, or %s",
				short(s.WarmUp), i+1, stage, short(end), short(begin))
		}
		begin = end
	}
}

// Advice says in one line what Check lets pass, and yet is seldom meant: a ramp that is not
// covered by the warm-up and leads to a constant rate, so that the figures are of a mixture of
// both. Empty means that there is nothing to say.
func (s Spec) Advice() string {
	var begin time.Duration
	for i, stage := range s.Stages[:max(len(s.Stages)-1, 0)] {
		end := begin + stage.For
		if next := s.Stages[i+1]; stage.ramp() && s.WarmUp <= begin && !next.ramp() && next.From.equals(stage.To) && next.From.Requests > 0 {
			return fmt.Sprintf("the ramp of stage %d (%v) is in what is reported, beside the rate that it leads to; a warm-up of %s keeps it apart", i+1, stage, short(end))
		}
		begin = end
	}
	return ""
}
