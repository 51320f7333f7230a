package panels

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// quantiles are in milliseconds; none of them is a number if nothing was measured.
type quantiles struct{ p50, p90, p99, max float64 }

var unmeasured = quantiles{math.NaN(), math.NaN(), math.NaN(), math.NaN()}

func quantilesOf(h *results.Histogram) quantiles {
	if h == nil || h.Count() == 0 {
		return unmeasured
	}
	return quantiles{inMillis(h.Quantile(0.5)), inMillis(h.Quantile(0.9)), inMillis(h.Quantile(0.99)), inMillis(h.Max())}
}

func inMillis(d time.Duration) float64 { return float64(d) / 1e6 }

// higher is the higher of two, of which either may be missing.
func higher(a, b float64) float64 {
	if math.IsNaN(a) || b > a {
		return b
	}
	return a
}

// point is a stretch of a run as numbers.
type point struct {
	at, length               float64 // seconds since the start, and how many
	warm                     bool
	offered, sent, completed float64
	count, failed            float64
	response, service, lag   quantiles
	stages                   [7]float64 // milliseconds of all requests together
	errors                   map[string]uint64
	tooMany                  float64 // answers 429 and 418
	gauges                   *results.Gauges
}

// stageNames are those of point.stages, in the order in which a request goes through them.
var stageNames = [7]string{"queue", "lease", "connect", "TLS", "send", "first byte", "receive"}

func stagesOf(s results.Stages) (ms [7]float64) {
	for i, d := range []time.Duration{s.Queue, s.Lease, s.Connect, s.TLS, s.Send, s.Wait, s.Receive} {
		ms[i] = inMillis(d)
	}
	return ms
}

// all adds the operations of an interval up. One that has them together already is taken as it
// is, and the result is not to be changed.
func all(operations map[string]*results.Operation) *results.Operation {
	if whole := operations[""]; whole != nil {
		return whole
	}
	if len(operations) == 1 {
		for _, only := range operations {
			return only
		}
	}
	sum := &results.Operation{}
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		sum.Add(operations[name])
	}
	return sum
}

// pointOf makes one point of intervals that follow one another: what was counted is added up,
// percentiles are those of all their requests, and gauges the highest.
func pointOf(intervals []results.Interval, length float64) point {
	p := point{at: float64(intervals[0].Second), length: length}
	sum := all(intervals[0].Operations)
	if len(intervals) > 1 {
		first := sum
		sum = &results.Operation{}
		sum.Add(first)
	}
	for i := range intervals {
		in := &intervals[i]
		p.warm = p.warm || in.Phase == results.WarmUp
		p.offered += float64(in.Offered)
		p.sent += float64(in.Sent)
		p.completed += float64(in.Completed)
		p.gauges = highest(p.gauges, in.Gauges)
		if i > 0 {
			sum.Add(all(in.Operations))
		}
	}
	p.count = float64(sum.Count)
	p.errors = sum.Errors
	p.failed = float64(sum.Failed())
	p.tooMany = float64(sum.Statuses[429] + sum.Statuses[418])
	p.response, p.service, p.lag = quantilesOf(sum.Response), quantilesOf(sum.Service), quantilesOf(sum.Lag)
	p.stages = stagesOf(sum.Stages)
	return p
}

// highest adds up what gauges count, and has the higher of what they read. Neither is changed.
func highest(a, b *results.Gauges) *results.Gauges {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	sum := *a
	sum.InFlight, sum.Waiting, sum.Connections = max(a.InFlight, b.InFlight), max(a.Waiting, b.Waiting), max(a.Connections, b.Connections)
	sum.CPU, sum.GC, sum.GCs, sum.Heap = a.CPU+b.CPU, a.GC+b.GC, a.GCs+b.GCs, max(a.Heap, b.Heap)
	sum.Limits = slices.Clone(a.Limits)
	for _, l := range b.Limits {
		at := slices.IndexFunc(sum.Limits, func(o results.LimitUse) bool { return o.ID == l.ID })
		if at < 0 {
			sum.Limits = append(sum.Limits, l)
			continue
		}
		o := &sum.Limits[at]
		refusals := o.Refusals + l.Refusals
		if l.Used*max(o.Quota, 1) >= o.Used*max(l.Quota, 1) {
			*o = l
		}
		o.Refusals = refusals
	}
	return &sum
}

// material is what a run's panels are made of.
type material struct {
	prefix string // of the names of elements
	header results.Header
	points []point
	// total is by operation; the empty name has all of them together. Warm-up is not in it.
	total   map[string]*results.Operation
	warm    *results.Operation // nil if there was none
	end     results.End
	whole   bool              // it has ended, and says how
	running *results.Snapshot // of a run that goes on
}

func (m *material) all() *results.Operation { return all(m.total) }

// reported are the points without the warm-up.
func (m *material) reported() []point {
	return slices.DeleteFunc(slices.Clone(m.points), func(p point) bool { return p.warm })
}

// due is whether requests began in a point: not if it only drained. That of the last second may
// have had a few that were due before.
func due(p *point, h results.Header) bool {
	if h.Model == "closed" {
		return p.sent > 0
	}
	return p.offered > 0
}

// time is for how many seconds requests began in points: the last of them may not have been a whole
// one. What drains after the end is no part of it.
func (m *material) time(points []point) float64 {
	whole := m.header.RatesOver(m.end)
	if m.running != nil {
		whole = m.running.Elapsed
	}
	if m.header.Length > 0 && m.header.Length < whole {
		whole = m.header.Length
	}
	var sum float64
	var last point
	for _, p := range points {
		if due(&p, m.header) {
			sum, last = sum+p.length, p
		}
	}
	if missing := last.at + last.length - whole.Seconds(); missing > 0 && missing < last.length {
		sum -= missing
	}
	return sum
}

// materialOf takes a run apart, into as many points as a line may have.
func materialOf(prefix string, run *results.Run, most int) *material {
	m := &material{prefix: prefix, header: run.Header, total: run.Total, end: run.End, whole: run.Whole, points: pointsOf(run, most)}
	if len(run.Warm) > 0 {
		m.warm = all(run.Warm)
	}
	return m
}

func pointsOf(run *results.Run, most int) []point {
	series := slices.Clone(run.Series)
	slices.SortStableFunc(series, func(a, b results.Interval) int { return a.Second - b.Second })
	step := max(run.Step, 1)
	together := 1
	if len(series) > 0 {
		seconds := series[len(series)-1].Second - series[0].Second + step
		together = (seconds + step*most - 1) / (step * most)
	}
	span := step * max(together, 1)
	var points []point
	for from := 0; from < len(series); {
		first := series[0].Second
		stretch, to := (series[from].Second-first)/span, from+1
		for to < len(series) && (series[to].Second-first)/span == stretch {
			to++
		}
		p := pointOf(series[from:to], float64(span))
		p.at = float64(first + stretch*span)
		points = append(points, p)
		from = to
	}
	return points
}
