package clocks

import (
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/clocksim"
	"github.com/sluice-engine/sluice/internal/clock"
)

const referenceSamples = 5

// reference is the estimator of Hummingbot's and NetworkPype's time
// synchronizer: the mean of the median and of the average weighted 1, 3, 5, …
// over the last five offsets. It has no bound and no rate.
type reference struct{ offsets []time.Duration }

func newReference() clocksim.Guess { return &reference{} }

// Add takes the textbook estimate of a sample's offset: the server read its
// clock half way between Sent and Received, and its figure is as it stands.
func (r *reference) Add(s clock.Sample) {
	if len(r.offsets) == referenceSamples {
		r.offsets = r.offsets[:copy(r.offsets, r.offsets[1:])]
	}
	r.offsets = append(r.offsets, s.Server-s.Sent-(s.Received-s.Sent)/2)
}

// Offset works on differences to the first offset, which are small enough for
// any product with a weight.
func (r *reference) Offset() time.Duration {
	base, sum, weights := r.offsets[0], time.Duration(0), time.Duration(0)
	for i, o := range r.offsets {
		w := time.Duration(2*i + 1)
		sum, weights = sum+w*(o-base), weights+w
	}
	return base + (sum/weights+r.median()-base)/2
}

func (r *reference) median() time.Duration {
	sorted := slices.Clone(r.offsets)
	slices.Sort(sorted)
	n := len(sorted)
	return sorted[(n-1)/2] + (sorted[n/2]-sorted[(n-1)/2])/2
}
