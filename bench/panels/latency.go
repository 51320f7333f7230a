package panels

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/results"
)

// nines are the shares at which curves of percentiles of so many durations have their points: x
// is how many nines a share has, so 1 is 90 % and 3 is 99.9 %. The last one of a curve is that
// of its highest duration.
func nines(counts ...uint64) []float64 {
	var xs []float64
	if len(counts) > 0 {
		for x := 0.0; x < lastNine(slices.Max(counts)); x += 1.0 / 24 {
			xs = append(xs, x)
		}
	}
	for _, n := range counts {
		xs = append(xs, lastNine(n))
	}
	slices.Sort(xs)
	return slices.Compact(xs)
}

func lastNine(n uint64) float64 { return math.Log10(float64(max(n, 1))) }

func shareOf(nines float64) float64 { return 1 - math.Pow(10, -nines) }

// curve has a histogram's durations at shares; beyond what so few can tell there is none.
func curve(h *results.Histogram, xs []float64) numbers {
	ys := make(numbers, len(xs))
	for i, x := range xs {
		switch last := lastNine(h.Count()); {
		case h.Count() == 0 || x > last:
			ys[i] = math.NaN()
		case x == last:
			ys[i] = inMillis(h.Max())
		default:
			ys[i] = inMillis(h.Quantile(shareOf(x)))
		}
	}
	return ys
}

// logIfWide has a logarithmic scale where the highest is far above the usual.
func logIfWide(usual, most float64) string {
	if usual > 0 && most > 25*usual {
		return "log"
	}
	return "linear"
}

// percentiles is panel 1.
func (m *material) percentiles() panel {
	p := panel{ID: m.prefix + "-percentiles", Number: 1, Title: "Percentiles", Note: "Each step to the right is a tenth as many requests. Where service time lies below response time, requests waited before they were sent."}
	o := m.all()
	if o.Response == nil || o.Response.Count() == 0 {
		p.Empty = "No request has been measured yet."
		return p
	}
	r, s := o.Response, o.Service
	p.Says = fmt.Sprintf("Of %s, half were answered within %s of the instant %s, 90 %% within %s, 99 %% within %s, and all within %s.",
		many(r.Count(), "request"), latency(r.Quantile(0.5)), m.dueText(), latency(r.Quantile(0.9)), latency(r.Quantile(0.99)), latency(r.Max()))
	xs := nines(r.Count(), s.Count(), o.Success.Count())
	c := &chart{
		ID: p.ID + "-chart", Label: "Response and service time by percentile", X: axis{Label: "Percentile", Unit: "nines"}, At: xs,
		Y:     []axis{{Label: "Time", Unit: "ms", Scale: logIfWide(inMillis(r.Quantile(0.5)), inMillis(r.Max()))}},
		Lines: []line{{Name: "response", Color: "s1", Y: curve(r, xs), Wide: 2.5}},
	}
	if s != nil && s.Count() > 0 {
		p.Says += fmt.Sprintf(" From its first byte out a request took %s at the median and %s at the 99th percentile.", latency(s.Quantile(0.5)), latency(s.Quantile(0.99)))
		c.Lines = append(c.Lines, line{Name: "service", Color: "s2", Y: curve(s, xs), Wide: 2, Dash: []int{7, 4}})
	}
	if w := o.Success; w != nil && w.Count() > 0 && w.Count() != r.Count() {
		c.Lines = append(c.Lines, line{Name: "response of successes", Color: "s3", Y: curve(w, xs), Dash: []int{2, 3}})
	}
	p.Charts = []*chart{c}
	p.Tables = []table{percentileTable(p.ID+"-table", o)}
	return p
}

// dueText says from when response time counts.
func (m *material) dueText() string {
	if m.header.Model == "closed" {
		return "their caller was free"
	}
	return "they were due"
}

// percentileTable has what there is by percentile: also what is not drawn.
func percentileTable(id string, o *results.Operation) table {
	t := table{ID: id, Caption: "Percentiles", Columns: []column{{Name: "Percentile"}}}
	var have []*results.Histogram
	for _, h := range []struct {
		name string
		h    *results.Histogram
	}{{"Response", o.Response}, {"Service", o.Service}, {"Client's wait", o.Wait}, {"Harness lag", o.Lag}, {"Successes", o.Success}, {"Connection set-up", o.Connect}} {
		if h.h != nil && h.h.Count() > 0 {
			t.Columns = append(t.Columns, column{Name: h.name, Number: true})
			have = append(have, h.h)
		}
	}
	row := func(name string, of func(*results.Histogram) string) {
		cells := []cell{text(name)}
		for _, h := range have {
			cells = append(cells, text(of(h)))
		}
		t.Rows = append(t.Rows, cells)
	}
	row("requests", func(h *results.Histogram) string { return count(h.Count()) })
	row("mean", func(h *results.Histogram) string { return latency(h.Mean()) })
	row("min", func(h *results.Histogram) string { return latency(h.Min()) })
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p75", 0.75}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}} {
		row(q.name, func(h *results.Histogram) string { return latency(h.Quantile(q.q)) })
	}
	row("max", func(h *results.Histogram) string { return latency(h.Max()) })
	return t
}

// pick makes a line's numbers of points.
func pick(points []point, of func(p *point) float64) numbers {
	ys := make(numbers, len(points))
	for i := range points {
		ys[i] = of(&points[i])
	}
	return ys
}

func (m *material) seconds() numbers { return pick(m.points, func(p *point) float64 { return p.at }) }

// overTime is a chart whose axis is that of the run.
func (m *material) overTime(id, label string, y ...axis) *chart {
	c := &chart{ID: id, Label: label, X: axis{Label: "Time since the start", Unit: "s"}, Y: y, At: m.seconds(), Synced: true}
	var until float64
	for _, p := range m.points {
		c.X.Most = p.at + p.length
		if p.warm {
			until = p.at + p.length
		}
	}
	if until > 0 {
		c.Regions = []region{{0, until, "warm-up"}}
	}
	return c
}

// worst is the point with the highest of something.
func worst(points []point, of func(p *point) float64) (at, most float64) {
	for i := range points {
		if y := of(&points[i]); y > most {
			at, most = points[i].at, y
		}
	}
	return at, most
}

// latencies is panel 2.
func (m *material) latencies() panel {
	p := panel{ID: m.prefix + "-latency", Number: 2, Title: "Response time over time", Note: "By the instant at which requests were due: a stall shows where it began."}
	reported := m.reported()
	at, most := worst(reported, func(p *point) float64 { return p.response.p99 })
	if most == 0 {
		p.Empty = "No request has been measured yet."
		return p
	}
	var medians, tails []float64
	for _, q := range reported {
		if !math.IsNaN(q.response.p50) {
			medians, tails = append(medians, q.response.p50), append(tails, q.response.p99)
		}
	}
	p.Says = fmt.Sprintf("The median of a typical second was %s, and its 99th percentile %s. The worst was at %s, with a 99th percentile of %s.",
		millis(gauge.Median(medians)), millis(gauge.Median(tails)), written(at, "s"), millis(most))
	if maxAt, highest := worst(reported, func(p *point) float64 { return p.response.max }); highest > 0 {
		p.Says += fmt.Sprintf(" The slowest request of all was due at %s and took %s.", written(maxAt, "s"), millis(highest))
	}
	c := m.overTime(p.ID+"-chart", "Percentiles of response time over time", axis{Label: "Response time", Unit: "ms", Scale: logIfWide(gauge.Median(medians), most)})
	c.Lines = []line{
		{Name: "max", Color: "q4", Y: pick(m.points, func(p *point) float64 { return p.response.max }), Wide: 1, Dash: []int{2, 3}},
		{Name: "p99", Color: "q3", Y: pick(m.points, func(p *point) float64 { return p.response.p99 }), Wide: 2},
		{Name: "p90", Color: "q2", Y: pick(m.points, func(p *point) float64 { return p.response.p90 }), Wide: 1.5, Dash: []int{7, 4}},
		{Name: "p50", Color: "q1", Y: pick(m.points, func(p *point) float64 { return p.response.p50 }), Wide: 2},
	}
	c.Bands = []string{"q4", "q3", "q2"}
	p.Charts = []*chart{c}
	p.Tables = []table{overTime(p.ID+"-table", "Response time over time", c)}
	return p
}

// stretch is a part of a run as what it was asked and how it did.
type stretch struct{ rate, p99 float64 }

// loads are the stretches of a run in which there was a load.
func (m *material) loads() []stretch {
	var all []stretch
	for _, p := range m.reported() {
		asked := p.offered
		if m.header.Model == "closed" {
			asked = p.completed
		}
		if asked > 0 && !math.IsNaN(p.response.p99) {
			all = append(all, stretch{asked / p.length, p.response.p99})
		}
	}
	slices.SortFunc(all, func(a, b stretch) int { return cmp.Compare(a.rate, b.rate) })
	return all
}

const mostLevels = 20

// levels put loads of about the same rate together: of each level the median rate, and the
// median of the p99s.
func levels(loads []stretch) []stretch {
	if len(loads) == 0 {
		return nil
	}
	least, most := loads[0].rate, loads[len(loads)-1].rate
	width := max((most-least)/mostLevels, most*0.02)
	var all []stretch
	for from := 0; from < len(loads); {
		to := from
		var rates, tails []float64
		for ; to < len(loads) && loads[to].rate < loads[from].rate+width; to++ {
			rates, tails = append(rates, loads[to].rate), append(tails, loads[to].p99)
		}
		all = append(all, stretch{gauge.Median(rates), gauge.Median(tails)})
		from = to
	}
	return all
}

// knee is the highest rate up to which p99 stays within twice what it is at low rates, and the
// next level, where it does not; false if there is no such level, or too few to tell.
func knee(levels []stretch) (last, first stretch, found bool) {
	if len(levels) < 3 {
		return last, first, false
	}
	var low []float64
	for _, l := range levels[:(len(levels)+2)/3] {
		low = append(low, l.p99)
	}
	usual := gauge.Median(low)
	for i := len(levels) - 1; i >= 0; i-- {
		if levels[i].p99 <= 2*usual {
			if i == len(levels)-1 {
				return last, first, false
			}
			return levels[i], levels[i+1], true
		}
	}
	return last, first, false
}

// againstLoad is panel 6.
func (m *material) againstLoad() panel {
	p := panel{ID: m.prefix + "-load", Number: 6, Title: "Response time against load", Note: "Each dot is a stretch of the run; the line joins the medians of stretches with about the same rate. The knee is where the line turns up."}
	loads := m.loads()
	if len(loads) == 0 {
		p.Empty = "No second of the run has both a load and an answer yet."
		return p
	}
	least, most := loads[0].rate, loads[len(loads)-1].rate
	steps := levels(loads)
	last, first, found := knee(steps)
	asked := "offered"
	if m.header.Model == "closed" {
		asked = "completed"
	}
	switch {
	case most < 1.25*least:
		p.Says = fmt.Sprintf("The rate hardly changed, from %s to %s %s, so there is no knee to be seen: stages, a ramp, or sluice search show one.", rate(least), rate(most), asked)
	case found:
		p.Says = fmt.Sprintf("The 99th percentile stayed near its usual level up to %s %s, where it was %s; at %s it was %s, more than twice as much.", rate(last.rate), asked, millis(last.p99), rate(first.rate), millis(first.p99))
	default:
		p.Says = fmt.Sprintf("From %s to %s %s, the 99th percentile went from %s to %s, and no knee is to be seen.", rate(least), rate(most), asked, millis(steps[0].p99), millis(steps[len(steps)-1].p99))
	}
	p.Charts = []*chart{scatter(p.ID+"-chart", asked, loads, steps)}
	t := table{ID: p.ID + "-table", Caption: "Typical p99 by rate", Columns: []column{{"Rate " + asked, true}, {"Typical p99", true}}}
	for _, l := range steps {
		t.Rows = append(t.Rows, []cell{number(rate(l.rate), l.rate), number(millis(l.p99), l.p99)})
	}
	p.Tables = []table{t}
	return p
}

func scatter(id, asked string, loads, steps []stretch) *chart {
	type dot struct {
		x           float64
		stretch, at float64
	}
	var dots []dot
	usual, most := steps[0].p99, 0.0
	for _, l := range loads {
		dots = append(dots, dot{l.rate, l.p99, math.NaN()})
		most = max(most, l.p99)
	}
	for _, l := range steps {
		dots = append(dots, dot{l.rate, math.NaN(), l.p99})
	}
	slices.SortStableFunc(dots, func(a, b dot) int { return cmp.Compare(a.x, b.x) })
	c := &chart{ID: id, Label: "99th percentile of response time by rate", X: axis{Label: "Rate " + asked, Unit: "/s"}, Y: []axis{{Label: "Response p99", Unit: "ms", Scale: logIfWide(usual, most)}}}
	c.Lines = []line{{Name: "a stretch of the run", Color: "s1", Shape: "dots"}, {Name: "median at about this rate", Color: "s2", Wide: 2}}
	for _, d := range dots {
		c.At = append(c.At, d.x)
		c.Lines[0].Y = append(c.Lines[0].Y, d.stretch)
		c.Lines[1].Y = append(c.Lines[1].Y, d.at)
	}
	return c
}

// second is a number of seconds as a duration.
func second(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
