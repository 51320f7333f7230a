package panels

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/results"
)

// overlay is panel 10: several runs on the same axes, and how each differs from the first.
func overlay(runs []*results.Run, names []string) panel {
	p := panel{ID: "overlay", Number: 10, Title: "Runs compared", Note: fmt.Sprintf("A difference is the median of the ratios of the same blocks of both runs, with its 95 %% interval by the percentile bootstrap (seed %d), widened for each block being like the one before. Runs that were made one after another also differ by what changed on the machine in between: sluice ab takes turns.", drawSeed)}
	if len(runs) < 2 {
		p.Empty = "There is one run only. A page of several lays them over one another here: sluice report --html FILE A B."
		return p
	}
	p.Charts = []*chart{overlaidCurves(runs, names), overlaidTails(runs, names)}
	t := table{ID: "overlay-table", Caption: "Paired differences", Open: true, Columns: []column{{Name: "Run"}, {Name: "Measure"}, {names[0], true}, {"Run", true}, {"Ratio", true}, {"95 % interval", true}, {"Blocks", true}, {Name: "Verdict"}}}
	f := &forest{}
	var says []string
	for i, run := range runs[1:] {
		name := names[i+1]
		c := compare(runs[0], run)
		says = append(says, c.says(names[0], name))
		for _, d := range c.differences {
			t.Rows = append(t.Rows, d.row(name))
			f.add(name, d)
		}
	}
	p.Says = strings.Join(says, " ")
	if len(t.Rows) > 0 {
		p.Tables = []table{t}
	}
	f.scale()
	p.Forest = f
	return p
}

func (c comparison) says(base, name string) string {
	if c.refusal != "" {
		return fmt.Sprintf("%s is drawn beside %s, and no difference is given: %s.", name, base, c.refusal)
	}
	text := fmt.Sprintf("%s against %s, in blocks of %s: ", name, base, length(second(c.length)))
	var words []string
	for _, d := range c.differences {
		if d.Name == "response p50" || d.Name == "response p99" || d.Name == "CPU a request" {
			words = append(words, d.Name+" "+d.words())
		}
	}
	text += strings.Join(words, "; ") + "."
	if c.doubt != "" {
		text += " " + c.doubt
	}
	if len(c.warnings) > 0 {
		text += " What else differs between them: " + listed(c.warnings) + "."
	}
	return text
}

// words say how far apart the two are, and how sure that is.
func (d difference) words() string {
	if !d.clear() {
		return fmt.Sprintf("no clear difference (%s × [%s, %s])", ratio(d.Ratio), ratio(d.Interval.Low), ratio(d.Interval.High))
	}
	how, by := "higher", d.Ratio-1
	if d.Ratio < 1 {
		how, by = "lower", 1-d.Ratio
	}
	return fmt.Sprintf("%s %s (%s × [%s, %s])", percent(by), how, ratio(d.Ratio), ratio(d.Interval.Low), ratio(d.Interval.High))
}

func ratio(x float64) string {
	if x >= 100 {
		return grouped(x)
	}
	return fmt.Sprintf("%.3f", x)
}

func (d difference) row(name string) []cell {
	verdict := cell{Text: "no clear difference"}
	if d.clear() {
		verdict.Text = "lower"
		if d.Ratio > 1 {
			verdict.Text = "higher"
		}
		verdict.Tone = "clear"
	}
	return []cell{
		text(name), text(d.Name), number(written(d.Base, d.Unit), d.Base), number(written(d.Of, d.Unit), d.Of), number(ratio(d.Ratio)+" ×", d.Ratio),
		text(ratio(d.Interval.Low) + " to " + ratio(d.Interval.High)), number(count(d.Blocks), float64(d.Blocks)), verdict,
	}
}

func overlaidCurves(runs []*results.Run, names []string) *chart {
	var counts []uint64
	var usual, highest float64
	for _, run := range runs {
		if h := all(run.Total).Response; h != nil && h.Count() > 0 {
			counts, usual, highest = append(counts, h.Count()), max(usual, inMillis(h.Quantile(0.5))), max(highest, inMillis(h.Max()))
		}
	}
	c := &chart{ID: "overlay-curves", Label: "Response time by percentile, of each run", X: axis{Label: "Percentile", Unit: "nines"}, At: nines(counts...), Y: []axis{{Label: "Response time", Unit: "ms", Scale: logIfWide(usual, highest)}}}
	for i, run := range runs {
		c.Lines = append(c.Lines, line{Name: names[i], Color: fmt.Sprintf("s%d", i%7+1), Wide: 2, Dash: dashes[i%len(dashes)], Y: curve(all(run.Total).Response, c.At)})
	}
	return c
}

func overlaidTails(runs []*results.Run, names []string) *chart {
	points := make([][]point, len(runs))
	var at []float64
	for i, run := range runs {
		points[i] = pointsOf(run, max(mostPoints/len(runs), 1))
		for _, p := range points[i] {
			at = append(at, p.at)
		}
	}
	slices.Sort(at)
	at = slices.Compact(at)
	c := &chart{ID: "overlay-tails", Label: "99th percentile of response time over time, of each run", X: axis{Label: "Time since the start", Unit: "s"}, At: at, Joined: true, Synced: true}
	var usual []float64
	var highest float64
	for i := range runs {
		l := line{Name: names[i], Color: fmt.Sprintf("s%d", i%7+1), Wide: 2, Dash: dashes[i%len(dashes)], Y: make(numbers, len(at))}
		for j := range l.Y {
			l.Y[j] = math.NaN()
		}
		for _, p := range points[i] {
			j, _ := slices.BinarySearch(at, p.at)
			l.Y[j] = p.response.p99
			if !math.IsNaN(p.response.p50) {
				usual = append(usual, p.response.p50)
			}
			c.X.Most = max(c.X.Most, p.at+p.length)
			highest = higher(highest, p.response.p99)
		}
		c.Lines = append(c.Lines, l)
	}
	c.Y = []axis{{Label: "Response p99", Unit: "ms", Scale: "linear"}}
	if len(usual) > 0 {
		c.Y[0].Scale = logIfWide(gauge.Median(usual), highest)
	}
	return c
}

// forest is a drawing of differences with their intervals: one row each, about the line at 1.
type forest struct {
	Rows   []forestRow
	Ticks  []forestTick
	Height int
	One    float64
	most   float64 // logarithm of the farthest from 1
}

type forestRow struct {
	Run, Name, Label   string
	Y, Low, High, At   float64
	Tone               string
	low, high, measure float64
}

type forestTick struct {
	X    float64
	Text string
}

// The drawing, in its own units.
const (
	forestLeft, forestRight = 300.0, 880.0
	forestRow0, forestStep  = 22.0, 26.0
)

func (f *forest) add(name string, d difference) {
	tone := ""
	if d.clear() {
		tone = "clear"
	}
	f.Rows = append(f.Rows, forestRow{
		Run: clipped(name, 18), Name: d.Name, Tone: tone, low: d.Interval.Low, high: d.Interval.High, measure: d.Ratio,
		Label: fmt.Sprintf("%s, %s: %s", name, d.Name, d.words()),
	})
	for _, x := range []float64{d.Interval.Low, d.Interval.High} {
		f.most = max(f.most, math.Abs(math.Log(x)))
	}
}

// scale places the rows: the axis is logarithmic, and as wide on both sides of 1.
func (f *forest) scale() {
	f.most = min(max(f.most*1.1, math.Log(1.02)), math.Log(1e6))
	place := func(x float64) float64 {
		at := (forestLeft+forestRight)/2 + (forestRight-forestLeft)/2*math.Log(x)/f.most
		return math.Round(10*min(max(at, forestLeft), forestRight)) / 10
	}
	for i := range f.Rows {
		r := &f.Rows[i]
		r.Y, r.Low, r.High, r.At = forestRow0+forestStep*float64(i), place(r.low), place(r.high), place(r.measure)
	}
	f.One = place(1)
	f.Height = int(forestRow0+forestStep*float64(len(f.Rows))) + 12
	for _, x := range roundRatios {
		at := place(x)
		near := slices.ContainsFunc(f.Ticks, func(t forestTick) bool { return math.Abs(t.X-at) < forestApart })
		if math.Abs(math.Log(x)) <= f.most && !near {
			f.Ticks = append(f.Ticks, forestTick{at, digits(x) + " ×"})
		}
	}
}

// roundRatios are those that an axis names, if there is room: 1 always.
var roundRatios = []float64{1, 2, 0.5, 10, 0.1, 100, 0.01, 5, 0.2, 1.5, 0.67, 1.25, 0.8, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.01, 0.99}

const forestApart = 75

// Bottom is where the axis is.
func (f *forest) Bottom() float64 { return float64(f.Height) - 22 }
