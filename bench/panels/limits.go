package panels

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/bench/results"
)

// mostLimits is how many limits are drawn: those that were fullest.
const mostLimits = 7

// limitOver is a limit over the run: in percent of its quota.
type limitOver struct {
	id             string
	quota          int64
	fill           numbers // by point
	highest, mean  float64
	queued         int
	refusals       uint64
	at             float64 // when it was fullest
	over, measured int     // stretches in which it was over its quota, and in all
}

func (m *material) limitsOver() []limitOver {
	byID := map[string]*limitOver{}
	for i, p := range m.points {
		if p.gauges == nil {
			continue
		}
		for _, l := range p.gauges.Limits {
			o := byID[l.ID]
			if o == nil {
				o = &limitOver{id: l.ID, fill: pick(m.points, func(*point) float64 { return math.NaN() })}
				byID[l.ID] = o
			}
			o.add(i, p.at, l)
		}
	}
	var all []limitOver
	for _, o := range byID {
		o.mean /= float64(max(o.measured, 1))
		all = append(all, *o)
	}
	slices.SortFunc(all, func(a, b limitOver) int {
		return cmp.Or(cmp.Compare(b.highest, a.highest), strings.Compare(a.id, b.id))
	})
	return all
}

func (o *limitOver) add(i int, at float64, l results.LimitUse) {
	o.quota, o.queued = l.Quota, max(o.queued, l.Queued)
	o.refusals += l.Refusals
	if l.Quota <= 0 {
		return
	}
	fill := 100 * float64(l.Used) / float64(l.Quota)
	o.fill[i] = fill
	o.mean += fill
	o.measured++
	if l.Used > l.Quota {
		o.over++
	}
	if fill > o.highest {
		o.highest, o.at = fill, at
	}
}

// limits is panel 7.
func (m *material) limits() panel {
	p := panel{ID: m.prefix + "-limits", Number: 7, Title: "Limits", Note: "How much of each quota was used at the end of each second, and when the server answered 429 or 418, that it was too much."}
	all := m.limitsOver()
	tooMany := pick(m.points, func(p *point) float64 {
		if p.tooMany == 0 {
			return math.NaN()
		}
		return p.tooMany / p.length
	})
	var refused float64
	for _, q := range m.points {
		refused += q.tooMany
	}
	if len(all) == 0 && refused == 0 {
		p.Empty = "The client keeps no limits, and the server never answered 429 or 418."
		return p
	}
	p.Says = m.limitsSay(all, refused)
	_, most := worst(m.points, func(p *point) float64 { return p.tooMany / p.length })
	c := m.overTime(p.ID+"-chart", "Limits used, and answers 429 and 418, over time", axis{Label: "Used of the quota", Unit: "%", Most: 100})
	if refused > 0 { // low, so that they stand below the lines
		c.Y = append(c.Y, axis{Label: "Answers 429 and 418", Unit: "/s", Most: 3 * most})
		c.Lines = append(c.Lines, line{Name: "answers 429 and 418", Color: "bad", Shape: "bars", Axis: 1, Y: tooMany})
	}
	for i, o := range all[:min(len(all), mostLimits)] {
		c.Lines = append(c.Lines, line{Name: clipped(o.id, 60), Color: fmt.Sprintf("s%d", i+1), Shape: "step", Y: o.fill, Wide: 2, Dash: dashes[i%len(dashes)]})
	}
	if len(all) > mostLimits {
		p.Says += fmt.Sprintf(" The %d fullest are drawn.", mostLimits)
	}
	p.Charts = []*chart{c}
	if len(all) > 0 {
		p.Tables = append(p.Tables, limitTable(p.ID+"-limits", all))
	}
	p.Tables = append(p.Tables, overTime(p.ID+"-table", "Limits used over time", c))
	return p
}

// dashes tell lines apart that have no order, without their colours.
var dashes = [][]int{nil, {7, 4}, {2, 3}, {9, 3, 2, 3}}

func (m *material) limitsSay(all []limitOver, refused float64) string {
	if len(all) == 0 {
		return fmt.Sprintf("The client keeps no limits. The server answered 429 or 418 %s.", times(uint64(refused)))
	}
	over := 0
	for _, o := range all {
		over += o.over
	}
	text := fmt.Sprintf("%s kept. The fullest was %s: %s of its quota of %s at %s, and %s on average.", areOf(len(all), "limit"), clipped(all[0].id, 60), written(all[0].highest, "%"), count(all[0].quota), written(all[0].at, "s"), written(all[0].mean, "%"))
	if over == 0 {
		text += " None was ever seen over its quota."
	} else {
		text += fmt.Sprintf(" In %s a limit was over its quota.", many(over, "stretch of the run"))
	}
	if refused == 0 {
		return text + " The server never answered 429 or 418."
	}
	return text + fmt.Sprintf(" The server answered 429 or 418 %s.", times(uint64(refused)))
}

func areOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " was"
	}
	return many(n, noun) + " were"
}

func limitTable(id string, all []limitOver) table {
	t := table{ID: id, Caption: "Limits of the whole run", Open: true, Sorts: true, Columns: header("Limit", "Quota", "Highest", "Mean", "Most queued", "Refusals")}
	for _, o := range all[:min(len(all), mostRowsOfErrors)] {
		tone := ""
		if o.over > 0 {
			tone = "bad"
		}
		t.Rows = append(t.Rows, []cell{
			text(clipped(o.id, 120)), number(count(o.quota), float64(o.quota)), {Text: written(o.highest, "%"), Sort: o.highest, Tone: tone},
			number(written(o.mean, "%"), o.mean), number(count(o.queued), float64(o.queued)), number(count(o.refusals), float64(o.refusals)),
		})
	}
	if len(all) > mostRowsOfErrors {
		t.More = many(len(all)-mostRowsOfErrors, "limit") + " more are not listed."
	}
	return t
}

// harness is panel 8.
func (m *material) harness() panel {
	p := panel{ID: m.prefix + "-harness", Number: 8, Title: "The harness itself", Note: "Lag is from the instant a request was due until the harness handed it to the client: what the harness adds to response time by its own fault. Pauses are those of Go's garbage collector."}
	lag := m.all().Lag
	hasLag := lag != nil && lag.Count() > 0
	perSecond := func(of func(*results.Gauges) float64) numbers {
		return pick(m.points, func(p *point) float64 { return gaugeOf(p, of) / p.length })
	}
	pauses := perSecond(func(g *results.Gauges) float64 {
		if g.GC == 0 {
			return math.NaN() // which a logarithmic scale cannot show
		}
		return inMillis(g.GC)
	})
	cores := perSecond(func(g *results.Gauges) float64 { return 100 * g.CPU.Seconds() })
	heap := pick(m.points, func(p *point) float64 {
		return gaugeOf(p, func(g *results.Gauges) float64 { return float64(g.Heap) })
	})
	if !hasLag && pauses.none() && cores.none() && heap.none() {
		p.Empty = "Nobody has measured the harness yet."
		return p
	}
	if hasLag {
		p.Says = fmt.Sprintf("The harness handed half of the requests over within %s of the instant they were due, 99 %% within %s, and all within %s.", latency(lag.Quantile(0.5)), latency(lag.Quantile(0.99)), latency(lag.Max()))
	}
	p.Says = strings.TrimSpace(p.Says + " " + m.collectorSays())
	c := m.overTime(p.ID+"-chart", "Lag of the harness, and pauses of its garbage collector, over time", axis{Label: "Lag, and pause in a second", Unit: "ms", Scale: "log"})
	c.Lines = []line{
		{Name: "lag max", Color: "q4", Y: pick(m.points, func(p *point) float64 { return p.lag.max }), Wide: 1, Dash: []int{2, 3}},
		{Name: "lag p99", Color: "q3", Y: pick(m.points, func(p *point) float64 { return p.lag.p99 }), Wide: 2},
		{Name: "lag p50", Color: "q1", Y: pick(m.points, func(p *point) float64 { return p.lag.p50 }), Wide: 2},
		{Name: "GC pause", Color: "s3", Shape: "dots", Y: pauses},
	}
	p.Charts = []*chart{c}
	if !cores.none() || !heap.none() {
		use := m.overTime(p.ID+"-use", "Processor and memory of the harness over time", axis{Label: "Processor, 100 % is one CPU", Unit: "%"}, axis{Label: "Heap", Unit: "bytes"})
		use.Small = true
		use.Lines = []line{{Name: "processor, 100 % is one CPU", Color: "s1", Y: cores, Wide: 2}, {Name: "heap", Color: "s2", Axis: 1, Y: heap, Wide: 1.5, Dash: []int{7, 4}}}
		p.Charts = append(p.Charts, use)
	}
	p.Tables = []table{overTime(p.ID+"-table", "The harness over time", p.Charts...)}
	return p
}

func (m *material) collectorSays() string {
	var sum results.Gauges
	var seconds float64
	read := 0
	for _, p := range m.points {
		if p.gauges == nil {
			continue
		}
		read++
		seconds += p.length
		sum.CPU, sum.GC, sum.GCs, sum.Heap = sum.CPU+p.gauges.CPU, sum.GC+p.gauges.GC, sum.GCs+p.gauges.GCs, max(sum.Heap, p.gauges.Heap)
	}
	if read == 0 {
		return ""
	}
	return fmt.Sprintf("It used %s CPUs of %s on average. Its garbage collector ran %s and paused it for %s in all; its heap was at most %s.",
		digits(sum.CPU.Seconds()/max(seconds, 1)), count(max(m.header.Environment.Procs, m.header.Environment.CPUs)), times(uint64(sum.GCs)), latency(sum.GC), size(float64(sum.Heap)))
}
