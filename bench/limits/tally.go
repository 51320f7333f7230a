package limits

import (
	"math"
	"slices"
	"time"
)

// tally counts what happens in a run.
type tally struct {
	sent     int
	refused  int
	foreign  int               // somebody else's that were refused
	by       []int             // refusals by rule
	admitted float64           // weight of rule 0 within the span
	most     float64           // that the rule could have admitted
	waits    [][]time.Duration // by flow, after the warm-up
}

func (t *tally) granted(w *world, r *request) {
	if r.flow.foreign {
		return
	}
	t.sent++
	if r.wished < w.warmUp {
		return
	}
	for i := range w.flows {
		if r.flow == &w.flows[i] {
			t.waits[i] = append(t.waits[i], w.now-r.wished)
		}
	}
}

func (t *tally) arrived(w *world, r *request, at time.Duration, refusedBy int) {
	switch {
	case refusedBy >= 0 && r.flow.foreign:
		t.foreign++
	case refusedBy >= 0:
		t.refused++
		if t.by == nil {
			t.by = make([]int, len(w.rules))
		}
		t.by[refusedBy]++
		w.log(r, "REFUSED by %q", w.rules[refusedBy].id)
	default:
		for _, c := range r.charges {
			if c.rule == 0 {
				t.admitted += float64(c.weight) * w.span.share(at)
			}
		}
	}
}

// span is what is measured of a run, on the server's clock: all boxes of one
// length whose beginning lies in [from, from+ramp), averaged.
type span struct{ from, to, ramp time.Duration }

// share is the part of the boxes that hold an instant.
func (s span) share(at time.Duration) float64 {
	if s.ramp == 0 {
		if at >= s.from && at < s.to {
			return 1
		}
		return 0
	}
	in := float64(at-s.from) / float64(s.ramp)
	out := float64(s.to+s.ramp-at) / float64(s.ramp)
	return max(0, min(1, in, out))
}

// most is the weight that a rule can admit in a box, beyond what it could once
// at the start.
func (s span) most(r rule) float64 {
	return float64(r.quota) * float64(s.to-s.from) / float64(r.per)
}

// add puts the figures of another run of the same setup to these.
func (t *tally) add(o tally) {
	t.sent += o.sent
	t.refused += o.refused
	t.foreign += o.foreign
	t.admitted += o.admitted
	t.most += o.most
	if t.waits == nil {
		t.waits = make([][]time.Duration, len(o.waits))
	}
	for i := range o.waits {
		t.waits[i] = append(t.waits[i], o.waits[i]...)
	}
}

// utilisation is in [0, 1]: a token bucket may give a little of its start away
// within the span, and that is cut off.
func (t *tally) utilisation() float64 {
	if t.most == 0 {
		return 0
	}
	return min(1, t.admitted/t.most)
}

// Waits summarises how long one flow waited for its grants, in milliseconds.
type Waits struct {
	Flow   string  `json:"flow"`
	N      int     `json:"n"`
	MeanMS float64 `json:"mean_ms"`
	P50MS  float64 `json:"p50_ms"`
	P99MS  float64 `json:"p99_ms"`
	MaxMS  float64 `json:"max_ms"`
}

func summarise(flow string, waits []time.Duration) Waits {
	s := Waits{Flow: flow, N: len(waits)}
	if s.N == 0 {
		return s
	}
	slices.Sort(waits)
	var sum time.Duration
	for _, d := range waits {
		sum += d
	}
	s.MeanMS = milliseconds(sum) / float64(s.N)
	s.P50MS, s.P99MS, s.MaxMS = milliseconds(percentile(waits, 0.5)), milliseconds(percentile(waits, 0.99)), milliseconds(waits[s.N-1])
	return s
}

// percentile is the least of the sorted waits that is not below a part p of
// them.
func percentile(sorted []time.Duration, p float64) time.Duration {
	i := int(math.Ceil(p*float64(len(sorted)))) - 1
	return sorted[max(0, i)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
