package capacity

import (
	"fmt"
	"math"
)

// Law is the Universal Scalability Law with its three parameters, none below zero.
type Law struct {
	Lambda float64 `json:"lambda"` // throughput of one caller, a second
	Sigma  float64 `json:"sigma"`  // contention
	Kappa  float64 `json:"kappa"`  // coherency
}

// At returns the throughput of n callers, of one or more.
func (l Law) At(n float64) float64 {
	return l.Lambda * n / (1 + l.Sigma*(n-1) + l.Kappa*n*(n-1))
}

// Peak returns at how many callers throughput is highest: infinitely many if κ is zero, and
// one if contention leaves nothing to gain.
func (l Law) Peak() float64 {
	switch {
	case l.Sigma >= 1:
		return 1
	case l.Kappa <= 0:
		return math.Inf(1)
	}
	return max(1, math.Sqrt((1-l.Sigma)/l.Kappa))
}

// BeyondError is a refusal to say what lies too far beyond what was measured.
type BeyondError struct {
	Callers  float64 // asked for
	Measured int     // the most that were measured
}

// Error says how far it is.
func (e *BeyondError) Error() string {
	if math.IsInf(e.Callers, 1) {
		return fmt.Sprintf("throughput has no peak in sight of %d callers: measure with more", e.Measured)
	}
	return fmt.Sprintf("%.0f callers are more than twice the %d that were measured: measure with more", e.Callers, e.Measured)
}

// farthest is how many times the measured callers the law is believed at.
const farthest = 2
