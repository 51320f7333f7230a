package exchange

import (
	"slices"
	"time"
)

// gate is the set of limits that one client address, or one account, has to
// pass, and what it has been told. It is guarded by the exchange's mutex.
type gate struct {
	meters  []*meter
	penalty penalty
}

// newGate makes the meters of every limit of the given kinds.
func newGate(limits []Limit, scope string, kinds ...Kind) *gate {
	g := &gate{}
	for _, l := range limits {
		if slices.Contains(kinds, l.Kind) {
			g.meters = append(g.meters, newMeter(l, scope))
		}
	}
	return g
}

// weightOf is what an arrival costs a limit.
func weightOf(l Limit, weight int64) int64 {
	if l.Kind == Weight {
		return weight
	}
	return 1
}

// admit charges every limit, or none and names the one that takes longest.
func (g *gate) admit(now instant, weight int64, chargeRefused bool) (full *meter, wait time.Duration) {
	for _, m := range g.meters {
		if d := m.wait(now, weightOf(m.limit, weight)); d > wait {
			full, wait = m, d
		}
	}
	for _, m := range g.meters {
		switch w := weightOf(m.limit, weight); {
		case full == nil:
			m.charge(now, w)
		case m.wait(now, w) > 0:
			m.refuse(now, w, chargeRefused)
		case chargeRefused:
			m.burden(now, w)
		}
	}
	return full, wait
}

// burden counts an arrival that was turned away before any limit was asked.
func (g *gate) burden(now instant, weight int64) {
	for _, m := range g.meters {
		m.burden(now, weightOf(m.limit, weight))
	}
}

// usage is what a header says is used up.
type usage struct {
	header string
	weight int64
}

// headers appends the header of every limit that has one.
func (g *gate) headers(now instant, to []usage) []usage {
	for _, m := range g.meters {
		switch m.limit.Kind {
		case Weight:
			to = append(to, usage{"X-MBX-USED-WEIGHT-" + m.label, m.used(now)})
		case Orders:
			to = append(to, usage{"X-MBX-ORDER-COUNT-" + m.label, m.used(now)})
		}
	}
	return to
}
