package clocks

import (
	"fmt"
	"time"
)

// Verdict compares one promise with what was measured.
type Verdict struct {
	Promise  string `json:"promise"`
	Measured string `json:"measured"`
	Kept     bool   `json:"kept"`
}

// String returns the verdict as a line.
func (v Verdict) String() string {
	mark := "kept  "
	if !v.Kept {
		mark = "BROKEN"
	}
	return fmt.Sprintf("%s  %s: %s", mark, v.Promise, v.Measured)
}

// Broken counts the verdicts of promises that were not kept.
func Broken(verdicts []Verdict) (n int) {
	for _, v := range verdicts {
		if !v.Kept {
			n++
		}
	}
	return n
}

// atMost is the verdict on a figure in milliseconds.
func atMost(promise string, got, bar float64) Verdict {
	return Verdict{Promise: fmt.Sprintf("%s ≤ %g ms", promise, bar), Measured: fmt.Sprintf("%.2f ms", got), Kept: got <= bar}
}

// none is the verdict on something that must not happen.
func none(promise string, got, of int) Verdict {
	return Verdict{Promise: promise, Measured: fmt.Sprintf("%d of %d", got, of), Kept: got == 0 && of > 0}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
