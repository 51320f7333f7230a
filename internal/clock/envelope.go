package clock

// envelope is the hard tracker: what every sample since the last restart proves
// about the offset, if the clocks' relative rate stays within rate at every
// instant. Two anchors are enough, because all statements decay alike: the one
// that is tightest now stays tightest.
//
// Invariant: lower(t) <= true offset at t <= upper(t) for every t.
type envelope struct {
	lo, hi anchor
	rate   float64
}

func newEnvelope(s Sample, rate float64) envelope {
	return envelope{lo: s.atLeast(), hi: s.atMost(), rate: rate}
}

func (e *envelope) lower(t int64) int64 { return e.lo.lowerAt(t, e.rate) }
func (e *envelope) upper(t int64) int64 { return e.hi.upperAt(t, e.rate) }

// add intersects the envelope with what s proves.
func (e *envelope) add(s Sample) { e.merge(newEnvelope(s, e.rate)) }

// gap is by how much s contradicts the envelope: zero when both can be true.
func (e *envelope) gap(s Sample) int64 {
	lo, hi := s.atLeast(), s.atMost()
	t := int64(s.Received)
	above := lo.lowerAt(t, e.rate) - e.upper(t)
	below := e.lower(t) - hi.upperAt(t, e.rate)
	return max(above, below, 0)
}

// merge intersects two envelopes of the same rate.
func (e *envelope) merge(o envelope) {
	if t := max(e.lo.at, o.lo.at); o.lower(t) > e.lower(t) {
		e.lo = o.lo
	}
	if t := max(e.hi.at, o.hi.at); o.upper(t) < e.upper(t) {
		e.hi = o.hi
	}
}
