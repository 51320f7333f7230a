// Package unit finds durations that were written without their unit.
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
