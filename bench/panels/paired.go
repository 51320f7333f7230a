package panels

import (
	"fmt"
	"math"
	"reflect"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/results"
)

const (
	mostBlocks  = 60 // that two runs are compared in
	leastBlocks = 8  // below which an interval would say nothing
	drawSeed    = 1  // of the resamples: the same runs always give the same page
)

// difference is how much one run had of something, as a multiple of what another had.
type difference struct {
	Name     string
	Of, Base float64 // medians of the blocks
	Unit     string
	Ratio    float64 // median of the blocks' ratios
	Interval gauge.Interval
	Blocks   int
}

// clear is whether the interval leaves out that there is no difference.
func (d difference) clear() bool { return d.Interval.Low > 1 || d.Interval.High < 1 }

// comparison is a run against another, block by block.
type comparison struct {
	length      float64 // seconds of a block
	differences []difference
	refusal     string // why they were not compared; empty if they were
	doubt       string // why the difference may not be one of what was measured
	warnings    []string
}

// compare pairs the same seconds of two runs. A block is as long as it must be for both runs to
// have it whole, and for there to be few of them: percentiles of a block are those of all its
// requests. What is compared is the ratio of each pair.
func compare(base, run *results.Run) comparison {
	c := comparison{warnings: unlike(base.Header, run.Header), doubt: doubt(base, run)}
	if c.refusal = incomparable(base.Header, run.Header); c.refusal != "" {
		return c
	}
	a, b := blocksOf(base, run)
	if len(a) > 0 {
		c.length = a[0].length
	}
	for _, of := range []struct {
		name, unit string
		of         func(p *point) float64
	}{
		{"response p50", "ms", func(p *point) float64 { return p.response.p50 }},
		{"response p90", "ms", func(p *point) float64 { return p.response.p90 }},
		{"response p99", "ms", func(p *point) float64 { return p.response.p99 }},
		{"service p50", "ms", func(p *point) float64 { return p.service.p50 }},
		{"service p99", "ms", func(p *point) float64 { return p.service.p99 }},
		{"completed", "/s", func(p *point) float64 { return p.completed / p.length }},
		{"CPU a request", "ms", cpuOf},
	} {
		if d, ok := differ(pick(a, of.of), pick(b, of.of)); ok {
			d.Name, d.Unit = of.name, of.unit
			c.differences = append(c.differences, d)
		}
	}
	if len(c.differences) == 0 {
		c.refusal = fmt.Sprintf("they have fewer than %d blocks in common in which both measured something", leastBlocks)
	}
	return c
}

// cpuOf is the processor time of the harness's process for each request that ended.
func cpuOf(p *point) float64 {
	if p.completed == 0 {
		return math.NaN()
	}
	return gaugeOf(p, func(g *results.Gauges) float64 { return inMillis(g.CPU) }) / p.completed
}

func differ(base, of numbers) (difference, bool) {
	var as, bs []float64
	for i := range base {
		if base[i] > 0 && of[i] > 0 {
			as, bs = append(as, base[i]), append(bs, of[i])
		}
	}
	if len(as) < leastBlocks {
		return difference{}, false
	}
	ratios := gauge.Ratios(bs, as)
	return difference{Of: gauge.Median(bs), Base: gauge.Median(as), Ratio: gauge.Median(ratios), Interval: gauge.SerialMedianInterval(ratios, drawSeed), Blocks: len(as)}, true
}

// blocksOf has the blocks that both runs have, side by side, without warm-up and without what
// drained after the schedules' ends.
func blocksOf(base, run *results.Run) (a, b []point) {
	step := max(base.Step, run.Step, 1)
	for step%max(base.Step, 1) != 0 || step%max(run.Step, 1) != 0 {
		step++
	}
	last := min(lastSecond(base), lastSecond(run))
	span := step * max(1, (last/step+mostBlocks)/mostBlocks)
	mine, other := blocks(base, span), blocks(run, span)
	for at := 0; at+span <= last+step; at += span {
		p, q := mine[at], other[at]
		if len(p) > 0 && len(q) > 0 {
			a, b = append(a, pointOf(p, float64(span))), append(b, pointOf(q, float64(span)))
		}
	}
	return a, b
}

// lastSecond is the last one in which requests began.
func lastSecond(run *results.Run) int {
	last := 0
	for _, in := range run.Series {
		if due(&point{offered: float64(in.Offered), sent: float64(in.Sent)}, run.Header) {
			last = max(last, in.Second)
		}
	}
	return last
}

// blocks are a run's intervals by the second at which a block begins. A block of which a part
// is warm-up is left out.
func blocks(run *results.Run, span int) map[int][]results.Interval {
	all, warm := map[int][]results.Interval{}, map[int]bool{}
	for _, in := range run.Series {
		at := in.Second / span * span
		all[at] = append(all[at], in)
		warm[at] = warm[at] || in.Phase == results.WarmUp
	}
	for at := range warm {
		if warm[at] {
			delete(all, at)
		}
	}
	return all
}

// incomparable says why the same second of two runs is not the same load.
func incomparable(a, b results.Header) string {
	s, t := a.Schedule, b.Schedule
	s.Seed, t.Seed, s.Recorded, t.Recorded = 0, 0, nil, nil
	switch {
	case a.Model != b.Model:
		return "one is open and the other closed"
	case a.Model == "closed" && (a.Callers != b.Callers || a.Think != b.Think):
		return "their callers differ"
	case a.Model != "closed" && !reflect.DeepEqual(s, t):
		return "their schedules differ"
	case a.Model != "closed" && len(s.Stages) == 0 && a.Planned != b.Planned:
		return "they replay different recordings"
	}
	return ""
}

// doubt says which of two runs are not to be believed, and so neither their difference.
func doubt(a, b *results.Run) string {
	bad := func(run *results.Run) bool { return !run.Whole || len(run.End.Invalid) > 0 }
	switch {
	case bad(a) && bad(b):
		return "Neither run is valid, so this may be a difference of the harness."
	case bad(a):
		return "The first run is not valid, so this may be a difference of the harness."
	case bad(b):
		return "The second run is not valid, so this may be a difference of the harness."
	}
	return ""
}

// unlike lists what else differs, for which a difference of the figures may stand.
func unlike(a, b results.Header) []string {
	var words []string
	for _, of := range []struct {
		name string
		a, b any
	}{
		{"machine", a.Environment.Host, b.Environment.Host}, {"CPU", a.Environment.CPU, b.Environment.CPU}, {"number of CPUs", a.Environment.Procs, b.Environment.Procs},
		{"Go", a.Environment.Go, b.Environment.Go}, {"governor", a.Environment.Governor, b.Environment.Governor}, {"operations", fmt.Sprint(a.Targets), fmt.Sprint(b.Targets)},
	} {
		if of.a != of.b {
			words = append(words, of.name)
		}
	}
	return words
}
