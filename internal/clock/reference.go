package clock

import "slices"

const referenceSamples = 5

// reference is the estimator of Hummingbot's and NetworkPype's time
// synchronizer: the mean of the median and of the average weighted 1, 3, 5, …
// over the last five offsets. It has no bound and no rate.
type reference struct{ offsets []int64 }

func (r *reference) add(s Sample) {
	if len(r.offsets) == referenceSamples {
		r.offsets = r.offsets[:copy(r.offsets, r.offsets[1:])]
	}
	r.offsets = append(r.offsets, s.middle())
}

// estimate works on differences to the first offset, which are small enough for
// any product with a weight.
func (r *reference) estimate() int64 {
	if len(r.offsets) == 0 {
		return 0
	}
	base, sum, weights := r.offsets[0], int64(0), int64(0)
	for i, o := range r.offsets {
		w := int64(2*i + 1)
		sum, weights = sum+w*(o-base), weights+w
	}
	return base + (sum/weights+r.median()-base)/2
}

func (r *reference) median() int64 {
	sorted := slices.Clone(r.offsets)
	slices.Sort(sorted)
	n := len(sorted)
	return sorted[(n-1)/2] + (sorted[n/2]-sorted[(n-1)/2])/2
}
