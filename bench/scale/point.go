package scale

import (
	"fmt"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// Sample is what one slice of one process came to.
type Sample struct {
	gauge.Cost
	// Rate is what was reached of the rate that the limits allow; zero where there
	// is nothing to reach.
	Rate float64 `json:"rate,omitempty"`
}

// Point is a curve at one X. Medians are over slices, ratios over pairs of
// neighbouring slices. Costs are microseconds of CPU time or, of a curve of memory,
// bytes.
type Point struct {
	X    int  `json:"x"`
	Base bool `json:"base,omitempty"` // it is the base itself, with the slices of all points
	// Pairs is how many there were; zero if none was finished.
	Pairs   int            `json:"pairs"`
	Cost    float64        `json:"cost"`
	Ratio   float64        `json:"ratio"`
	RatioCI gauge.Interval `json:"ratio_ci95"`
	More    float64        `json:"more"` // Cost beyond the base's
	MoreCI  gauge.Interval `json:"more_ci95"`
	Wall    float64        `json:"wall_us"`
	// Throughput is that over the base's.
	Throughput   float64        `json:"throughput_ratio"`
	ThroughputCI gauge.Interval `json:"throughput_ratio_ci95"`
	Allocs       float64        `json:"allocs"`
	Bytes        float64        `json:"bytes"`
	Rate         float64        `json:"rate,omitempty"`
	BaseCost     float64        `json:"base_cost"`
	BaseAllocs   float64        `json:"base_allocs"`
	BaseBytes    float64        `json:"base_bytes"`
	// Growth and PeerGrowth are what Ratio is the quotient of, beside a peer.
	Growth     float64 `json:"growth,omitempty"`
	PeerGrowth float64 `json:"peer_growth,omitempty"`
	// Failure says why there are fewer pairs than asked for, or none.
	Failure  string    `json:"failure,omitempty"`
	Verdicts []Verdict `json:"bars,omitempty"`
}

// samples are those of each of a point's processes, in the order of the curve's
// roles; equal indices are neighbours in time.
type samples [][]Sample

// pairs is how many halves have a slice of every process.
func (s samples) pairs() int {
	least := len(s[0])
	for _, of := range s {
		least = min(least, len(of))
	}
	return least
}

// point says what the samples come to.
func (c *Curve) point(x int, all samples, seed uint64) Point {
	n := all.pairs()
	p := Point{X: x, Pairs: n}
	if n == 0 {
		return p
	}
	mine, base := all[0][:n], all[1][:n]
	p.Cost, p.BaseCost = c.median(mine), c.median(base)
	p.Allocs, p.BaseAllocs = median(mine, allocsOf), median(base, allocsOf)
	p.Bytes, p.BaseBytes = median(mine, bytesOf), median(base, bytesOf)
	p.Wall, p.Rate = median(mine, wallOf), median(mine, rateOf)

	ratios := gauge.Ratios(column(mine, c.costOf), column(base, c.costOf))
	p.Growth = gauge.Median(ratios)
	if c.peer {
		growths := gauge.Ratios(column(all[2][:n], c.costOf), column(all[3][:n], c.costOf))
		p.PeerGrowth = gauge.Median(growths)
		ratios = gauge.Ratios(ratios, growths)
	} else {
		p.Growth = 0
	}
	p.Ratio, p.RatioCI = gauge.Median(ratios), gauge.MedianInterval(ratios, seed)
	more := make([]float64, n)
	for i := range more {
		more[i] = c.costOf(mine[i]) - c.costOf(base[i])
	}
	p.More, p.MoreCI = gauge.Median(more), gauge.MedianInterval(more, seed)
	throughputs := gauge.Ratios(column(base, wallOf), column(mine, wallOf)) // the inverses of times
	p.Throughput, p.ThroughputCI = gauge.Median(throughputs), gauge.MedianInterval(throughputs, seed)
	return p
}

// basePoint is the base of all points of a curve, with the slices that were run for
// any of them.
func (c *Curve) basePoint(base []Sample) Point {
	p := Point{X: c.Base, Base: true, Pairs: len(base), Ratio: 1, RatioCI: gauge.Interval{Low: 1, High: 1},
		Throughput: 1, ThroughputCI: gauge.Interval{Low: 1, High: 1}}
	if len(base) == 0 {
		return p
	}
	p.Cost, p.Wall, p.Rate = c.median(base), median(base, wallOf), median(base, rateOf)
	p.Allocs, p.Bytes = median(base, allocsOf), median(base, bytesOf)
	p.BaseCost, p.BaseAllocs, p.BaseBytes = p.Cost, p.Allocs, p.Bytes
	return p
}

func (c *Curve) median(of []Sample) float64 { return gauge.Median(column(of, c.costOf)) }

func (c *Curve) costOf(s Sample) float64 {
	if c.memory {
		return s.Bytes
	}
	return s.CPU
}

func allocsOf(s Sample) float64 { return s.Allocs }
func bytesOf(s Sample) float64  { return s.Bytes }
func wallOf(s Sample) float64   { return s.Wall }
func rateOf(s Sample) float64   { return s.Rate }

func median(of []Sample, number func(Sample) float64) float64 {
	return gauge.Median(column(of, number))
}

func column(of []Sample, number func(Sample) float64) []float64 {
	xs := make([]float64, len(of))
	for i, s := range of {
		xs[i] = number(s)
	}
	return xs
}

// fewPairs are too few to say what the interval is.
const fewPairs = 3

// ratioText is the ratio with its interval, or with how few pairs it comes of.
func (p *Point) ratioText() string {
	switch {
	case p.Base:
		return "1"
	case p.Pairs == 0:
		return "-"
	case p.Pairs <= fewPairs:
		return fmt.Sprintf("%s (of %d)", digits(p.Ratio), p.Pairs)
	}
	return fmt.Sprintf("%s [%s, %s]", digits(p.Ratio), digits(p.RatioCI.Low), digits(p.RatioCI.High))
}
