package journal

import (
	"fmt"
	"slices"

	"github.com/sluice-engine/sluice/throttle"
)

// CompactAfter has journals written anew after so many bytes, until it is undone.
func CompactAfter(n int) (undo func()) {
	was := compactAfter
	compactAfter = n
	return func() { compactAfter = was }
}

// Reread returns what frames come to, and what they come to once they were written
// anew.
func Reread(frames []byte) (first, second throttle.Past, err error) {
	s, err := replay(frames)
	if err != nil {
		return first, second, err
	}
	s.settleGone(s.latest)
	first = s.sorted()
	again, err := replay(s.frames())
	if err != nil {
		return first, second, fmt.Errorf("what was written anew: %w", err)
	}
	again.settleGone(s.latest)
	return first, again.sorted(), nil
}

// sorted returns the past in an order that two equal ones share.
func (s *state) sorted() throttle.Past {
	p := s.past()
	p.Meters = slices.DeleteFunc(p.Meters, func(m throttle.PastMeter) bool {
		return len(m.Spent) == 0 && len(m.Told) == 0 && m.Level == 0 && m.Total == 0 && !m.Assumed && !m.Full
	})
	for i := range p.Meters {
		m := &p.Meters[i]
		if len(m.Spent) == 0 {
			m.Spent = nil
		}
		if len(m.Told) == 0 {
			m.Told = nil
		}
		if m.Level == 0 || m.Window != throttle.Leaky {
			m.LevelAt = 0
		}
		if !m.Full {
			m.FullAt = 0
		}
	}
	for i := range s.flights {
		var f throttle.PastFlight
		for _, c := range s.flights[i].charges {
			f.Charges = append(f.Charges, throttle.PastCharge{Limit: c.account.Limit, Parts: c.account.Parts, Weight: c.weight})
		}
		if s.flights[i].open {
			p.Flights = append(p.Flights, f)
		}
	}
	if !p.Filled {
		p.FilledAt = 0
	}
	if len(p.Meters) == 0 {
		p.Meters = nil
	}
	byText(p.Meters)
	byText(p.Lost)
	byText(p.Flights)
	byText(p.Pauses)
	return p
}

func byText[T any](list []T) {
	slices.SortStableFunc(list, func(a, b T) int {
		x, y := fmt.Sprint(a), fmt.Sprint(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
}
