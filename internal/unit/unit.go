// Package unit takes durations as people write them: without their unit, or so long that they
// mean for ever.
package unit

import (
	"fmt"
	"time"
)

// Missing returns what is wrong with a duration that is shorter than anybody means, as 60 is,
// which is 60 ns; nil for any other, zero and what is negative included.
func Missing(d, least time.Duration) error {
	if d <= 0 || d >= least {
		return nil
	}
	return fmt.Errorf("%v is below %v: a duration is in nanoseconds, so write %d * time.Second for seconds", d, least, int64(d))
}

// Longest is as long as any duration is taken to be, a century: a time that is that much later
// than another is one still, where the longest duration there is would overflow.
const Longest = 100 * 365 * 24 * time.Hour

// Doubled is a duration that was doubled so many times, and no more than most.
func Doubled(d time.Duration, times int, most time.Duration) time.Duration {
	// The other way round might overflow. However often it is doubled, this holds: what is left
	// of most by more shifts than it has bits is nothing, which only no duration is not above.
	if d > most>>times {
		return most
	}
	return d << times
}
