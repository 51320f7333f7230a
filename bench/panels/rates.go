package panels

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/bench/results"
)

// rates is panel 3.
func (m *material) rates() panel {
	p := panel{ID: m.prefix + "-rates", Number: 3, Title: "Offered, sent and completed", Note: "Each by its own instant: when requests were due, when their first byte left, when they ended. Where sent lies below offered, the harness or the client held requests back."}
	var offered, sent, completed float64
	for _, q := range m.points {
		offered, sent, completed = offered+q.offered, sent+q.sent, completed+q.completed
	}
	seconds := m.time(m.points)
	if offered+sent+completed == 0 {
		p.Empty = "Nothing was offered, sent or completed yet."
		return p
	}
	perSecond := func(of func(*point) float64) numbers {
		return pick(m.points, func(p *point) float64 { return of(p) / p.length })
	}
	c := m.overTime(p.ID+"-chart", "Requests a second over time", axis{Label: "Requests a second", Unit: "/s"})
	if m.header.Model == "closed" {
		p.Says = fmt.Sprintf("The callers completed %s in %s, on average %s. Nothing is offered in a closed run: what is sent is what the answers let through.", many(uint64(completed), "request"), length(second(math.Round(100*seconds)/100)), perTime(completed, seconds))
	} else {
		p.Says = fmt.Sprintf("%s were due, %s were sent, %s ended: %s of what was offered. On average %s were offered.", grouped(offered), grouped(sent), grouped(completed), share(completed, offered), perTime(offered, seconds))
		c.Lines = append(c.Lines, line{Name: "offered", Color: "s8", Y: perSecond(func(p *point) float64 { return p.offered }), Wide: 4})
	}
	c.Lines = append(c.Lines,
		line{Name: "sent", Color: "s2", Y: perSecond(func(p *point) float64 { return p.sent }), Wide: 1.5, Dash: []int{7, 4}},
		line{Name: "completed", Color: "s1", Y: perSecond(func(p *point) float64 { return p.completed }), Wide: 2})
	p.Charts = []*chart{c}
	if open := m.openRequests(p.ID + "-open"); open != nil {
		p.Charts = append(p.Charts, open)
		if at, most := worst(m.points, func(p *point) float64 { return gaugeOf(p, inFlight) }); most > 0 {
			p.Says += fmt.Sprintf(" At most %s were in flight, at %s.", grouped(most), written(at, "s"))
		}
	}
	p.Tables = []table{overTime(p.ID+"-table", "Requests a second over time", p.Charts...)}
	return p
}

func inFlight(g *results.Gauges) float64 { return float64(g.InFlight) }

func gaugeOf(p *point, of func(*results.Gauges) float64) float64 {
	if p.gauges == nil {
		return math.NaN()
	}
	return of(p.gauges)
}

// openRequests has what was open at each time; nil if nobody read it.
func (m *material) openRequests(id string) *chart {
	c := m.overTime(id, "Requests in flight, requests that are due and not sent, and connections", axis{Label: "Open", Unit: ""})
	c.Small = true
	c.Lines = []line{
		{Name: "in flight", Color: "s1", Y: pick(m.points, func(p *point) float64 { return gaugeOf(p, inFlight) }), Wide: 2},
		{Name: "due and not sent", Color: "s6", Y: pick(m.points, func(p *point) float64 {
			return gaugeOf(p, func(g *results.Gauges) float64 { return float64(g.Waiting) })
		}), Wide: 1.5, Dash: []int{7, 4}},
		{Name: "connections", Color: "s3", Y: pick(m.points, func(p *point) float64 {
			return gaugeOf(p, func(g *results.Gauges) float64 { return float64(g.Connections) })
		}), Wide: 1.5, Dash: []int{2, 3}},
	}
	for _, l := range c.Lines {
		if !l.Y.none() {
			return c
		}
	}
	return nil
}

// stages is panel 4.
func (m *material) stages() panel {
	p := panel{ID: m.prefix + "-stages", Number: 4, Title: "Where the time went", Note: "The mean time of a request in each stage, standing on one another. A mean hides what is rare: panel 1 has that."}
	o := m.all()
	total := stagesOf(o.Stages)
	var whole float64
	for _, ms := range total {
		whole += ms
	}
	if whole == 0 {
		client := cmp.Or(m.header.Client, "the client")
		p.Empty = "The client tells nothing of its stages, or nothing has been measured yet: client " + clipped(client, 60) + "."
		return p
	}
	c := m.overTime(p.ID+"-chart", "Mean time of a request in each stage over time", axis{Label: "Mean time", Unit: "ms"})
	c.Stacked, c.Shares = true, true
	longest, t := 0, table{ID: p.ID + "-total", Caption: "Stages of the whole run", Open: true, Columns: header("Stage", "Mean time", "Share")}
	for i, name := range stageNames {
		if total[i] > total[longest] {
			longest = i
		}
		mean := total[i] / float64(max(o.Count, 1))
		t.Rows = append(t.Rows, []cell{text(name), number(millis(mean), mean), number(share(total[i], whole), total[i])})
		if total[i] == 0 {
			continue
		}
		c.Lines = append(c.Lines, line{Name: name, Color: fmt.Sprintf("s%d", i+1), Shape: "step", Y: pick(m.points, func(p *point) float64 { return p.stages[i] / max(p.count, 1) })})
	}
	p.Says = fmt.Sprintf("On average a request spent %s in its stages. Most of it, %s, was %s.", millis(whole/float64(max(o.Count, 1))), share(total[longest], whole), stageWords[longest])
	p.Charts = []*chart{c}
	p.Tables = []table{t, overTime(p.ID+"-table", "Mean time in each stage over time", c)}
	return p
}

// stageWords say what a request does in each stage.
var stageWords = [7]string{
	"in the queue for a permit", "waiting for a connection that existed", "looking names up and connecting", "in TLS handshakes",
	"sending", "waiting for the first byte of the answer", "receiving the answer",
}

// mostKinds is how many kinds of errors are drawn; the table has more of them.
const mostKinds = 7

// failure is a kind of error: how often there was one, and when.
type failure struct {
	kind        string
	n           uint64
	first, last float64
}

// failures are by how often they were; what they count is what the run reports, without warm-up.
func (m *material) failures() []failure {
	counts := m.all().Errors
	var all []failure
	for kind, n := range counts {
		f := failure{kind: kind, n: n, first: math.NaN(), last: math.NaN()}
		for _, p := range m.reported() {
			if p.errors[kind] > 0 {
				if math.IsNaN(f.first) {
					f.first = p.at
				}
				f.last = p.at
			}
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b failure) int { return cmp.Or(cmp.Compare(b.n, a.n), strings.Compare(a.kind, b.kind)) })
	return all
}

const mostRowsOfErrors = 50

// errors is panel 5.
func (m *material) errors() panel {
	p := panel{ID: m.prefix + "-errors", Number: 5, Title: "Errors", Note: "By the instant at which the requests were due. They stay in response time, with the time they took."}
	all, o := m.failures(), m.all()
	if len(all) == 0 {
		p.Empty = fmt.Sprintf("No request failed: all of %s were answered with success.", count(o.Count))
		if o.Count == 0 {
			p.Empty = "No request has ended yet."
		}
		return p
	}
	failed := o.Failed()
	p.Says = fmt.Sprintf("%s of %s failed, %s. The most frequent error was %s, %s.", count(failed), many(o.Count, "request"), share(float64(failed), float64(o.Count)), clipped(all[0].kind, 60), times(all[0].n))
	if m.warm != nil && m.warm.Failed() > 0 {
		p.Says += fmt.Sprintf(" In the warm-up, which is in none of these figures, %s failed.", count(m.warm.Failed()))
	}
	c := m.overTime(p.ID+"-chart", "Errors a second over time, by kind", axis{Label: "Errors a second", Unit: "/s"})
	c.Stacked = true
	drawn := all[:min(len(all), mostKinds)]
	for i, f := range drawn {
		c.Lines = append(c.Lines, line{Name: clipped(f.kind, 60), Color: fmt.Sprintf("e%d", i+1), Shape: "step", Y: pick(m.points, func(p *point) float64 { return float64(p.errors[f.kind]) / p.length })})
	}
	if len(all) > len(drawn) {
		c.Lines = append(c.Lines, line{Name: "all others", Color: "s8", Shape: "step", Y: pick(m.points, func(p *point) float64 {
			rest := maps.Clone(p.errors)
			for _, f := range drawn {
				delete(rest, f.kind)
			}
			var n uint64
			for _, one := range rest {
				n += one
			}
			return float64(n) / p.length
		})})
	}
	t := table{ID: p.ID + "-table", Caption: "Errors by kind", Open: true, Sorts: true, Columns: header("Kind", "Requests", "Share of all", "First due at", "Last due at")}
	if len(o.Samples) > 0 {
		t.Columns = append(t.Columns, header("First message")...)
	}
	for _, f := range all[:min(len(all), mostRowsOfErrors)] {
		row := []cell{text(clipped(f.kind, 120)), number(count(f.n), float64(f.n)), number(share(float64(f.n), float64(o.Count)), float64(f.n)), number(written(f.first, "s"), f.first), number(written(f.last, "s"), f.last)}
		if len(o.Samples) > 0 {
			row = append(row, text(clipped(o.Samples[f.kind], results.LongestSample)))
		}
		t.Rows = append(t.Rows, row)
	}
	if len(all) > mostRowsOfErrors {
		t.More = many(len(all)-mostRowsOfErrors, "kind") + " more are not listed."
	}
	p.Charts, p.Tables = []*chart{c}, []table{t, overTime(p.ID+"-over-time", "Errors a second over time", c)}
	return p
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return count(n) + " times"
}
