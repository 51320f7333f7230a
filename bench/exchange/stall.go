package exchange

import (
	"fmt"
	"strings"
	"time"
)

// Stall is a time in which nothing arrives: what is sent meanwhile arrives at its end.
type Stall struct {
	For   time.Duration
	After time.Duration // since the first request
}

// ParseStall reads FOR@AFTER, as in "2s@5s": two seconds, five after the first request.
func ParseStall(text string) (Stall, error) {
	length, after, ok := strings.Cut(text, "@")
	if !ok {
		return Stall{}, fmt.Errorf("stall %q: want FOR@AFTER, as in 2s@5s", text)
	}
	var s Stall
	var err error
	if s.For, err = time.ParseDuration(length); err == nil {
		s.After, err = time.ParseDuration(after)
	}
	if err != nil {
		return Stall{}, fmt.Errorf("stall %q: want durations, as in 2s@5s", text)
	}
	if wrong := stallMistakes([]Stall{s}); len(wrong) > 0 {
		return Stall{}, wrong[0]
	}
	return s, nil
}

// String writes the stall as ParseStall reads it.
func (s Stall) String() string { return s.For.String() + "@" + s.After.String() }

// maxStall bounds a stall and when it begins.
const maxStall = 30 * 24 * time.Hour

func stallMistakes(stalls []Stall) (wrong []error) {
	for _, s := range stalls {
		if s.For <= 0 || s.For > maxStall || s.After < 0 || s.After > maxStall {
			wrong = append(wrong, fmt.Errorf("stall %q: want it above 0, after 0 or more, and both within 30 days", s))
		}
	}
	return wrong
}

// stalled is how long a request that sets out at an instant since the first is held up. Stalls
// may overlap, or follow one another.
func stalled(stalls []Stall, at time.Duration) time.Duration {
	free := at
	for moved := true; moved; {
		moved = false
		for _, s := range stalls {
			if free >= s.After && free < s.After+s.For {
				free, moved = s.After+s.For, true
			}
		}
	}
	return free - at
}
