package scale

import (
	"fmt"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// Figure is one of the numbers that a point has.
type Figure string

// The figures that a bar can be set for.
const (
	Ratio      Figure = "ratio"      // of the cost to the base's
	Cost       Figure = "cost"       // CPU time of one, or the bytes that one holds
	More       Figure = "more"       // CPU time of one beyond the base's
	Throughput Figure = "throughput" // over the base's
	Rate       Figure = "rate"       // over what the limits allow
	Allocated  Figure = "allocated"  // bytes of one
	PerByte    Figure = "per byte"   // bytes allocated for each byte of a body
)

// Bar is what a figure of one point should be at most or at least.
type Bar struct {
	X     int     `json:"x"`
	Of    Figure  `json:"of"`
	Most  float64 `json:"most,omitempty"` // CPU in microseconds
	Least float64 `json:"least,omitempty"`
}

// Verdict is a bar, and how far a point is from it.
type Verdict struct {
	Bar
	Value float64        `json:"value"`
	CI    gauge.Interval `json:"ci95,omitzero"` // of 95 %, of figures that come of pairs
	// Measured says that there is a value.
	Measured bool `json:"measured"`
	Met      bool `json:"met"`
}

// judge holds the bars of its X against a point.
func (c *Curve) judge(p *Point) []Verdict {
	var verdicts []Verdict
	for _, bar := range c.Bars {
		if bar.X != p.X {
			continue
		}
		v := Verdict{Bar: bar, Measured: p.Pairs > 0}
		if v.Value, v.CI = p.figure(bar.Of); p.Pairs <= fewPairs {
			v.CI = gauge.Interval{}
		}
		v.Met = v.Measured && bar.holds(v.Value)
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// holds reports whether a value is within the bar, of which there is one side only.
func (b Bar) holds(value float64) bool {
	if b.Most > 0 {
		return value <= b.Most
	}
	return value >= b.Least
}

// figure returns one of the numbers, with its interval if it comes of pairs.
func (p *Point) figure(f Figure) (float64, gauge.Interval) {
	switch f {
	case Ratio:
		return p.Ratio, p.RatioCI
	case More:
		return p.More, p.MoreCI
	case Throughput:
		return p.Throughput, p.ThroughputCI
	case Cost:
		return p.Cost, gauge.Interval{}
	case Rate:
		return p.Rate, gauge.Interval{}
	case Allocated:
		return p.Bytes, gauge.Interval{}
	case PerByte:
		return p.Bytes / float64(p.X), gauge.Interval{}
	}
	panic("scale: no figure " + string(f))
}

// missedBy is how far the value is beyond the bar, as a part of the bar.
func (v Verdict) missedBy() float64 {
	if v.Most > 0 {
		return v.Value/v.Most - 1
	}
	return 1 - v.Value/v.Least
}

// outcome says what came of it.
func (v Verdict) outcome() string {
	switch {
	case !v.Measured:
		return "not measured"
	case v.Met:
		return "met"
	case v.missedBy() < 0.001:
		return "missed by less than 0.1 %"
	}
	return fmt.Sprintf("missed by %s %%", digits(100*v.missedBy()))
}

// bound writes a bar of the curve for people.
func (c *Curve) bound(b Bar) string {
	sign, value := "≤", b.Most
	if b.Most == 0 {
		sign, value = "≥", b.Least
	}
	return sign + " " + c.value(b.Of, value)
}

// value writes a figure with its unit.
func (c *Curve) value(f Figure, value float64) string {
	switch f {
	case Cost:
		return c.cost(value)
	case More:
		return duration(value) + " more"
	case Throughput:
		return digits(value) + " × throughput"
	case Rate:
		return digits(100*value) + " % of the rate"
	case Allocated:
		return size(value)
	case PerByte:
		return digits(value) + " B a byte"
	}
	return digits(value) + " ×"
}

// cost writes what one costs.
func (c *Curve) cost(value float64) string {
	if c.memory {
		return size(value)
	}
	return duration(value)
}

// asRatio is where a bar lies among ratios to the base, if it can be drawn there.
func (b Bar) asRatio(p *Point) (float64, bool) {
	switch {
	case b.Of == Ratio:
		return b.Most, true
	case p.Pairs == 0 || p.BaseCost <= 0:
	case b.Of == Cost:
		return b.Most / p.BaseCost, true
	case b.Of == More:
		return 1 + b.Most/p.BaseCost, true
	}
	return 0, false
}
