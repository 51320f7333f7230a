package scale

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"github.com/sluice-engine/sluice/bench/peers"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// The plot of a page, in its own units.
const (
	pageWidth, pageHeight = 720, 280
	pageLeft, pageRight   = 70, 700
	pageTop, pageBottom   = 24, 244
)

// page is what the template is filled with.
type page struct {
	Summary, Environment, Method string
	Left, Right, Margin          int
	Head, Foot                   int
	Curves                       []section
}

// section is one curve on the page.
type section struct {
	Name, Title, Grows, One, Base string
	Columns                       []string
	Cells                         [][]string
	Notes                         []note
	Plot                          *plot // nil if nothing was measured
}

type note struct{ Text, Class string }

// plot is the drawing of a curve: both scales are logarithmic.
type plot struct {
	Width, Height int
	Base          float64
	Rows, Columns []tick
	Polyline      string
	Bars          []drawnBar
	Dots          []dot
	Lost          []tick // points that were not measured
}

type tick struct {
	At, Text float64
	Label    string
}

type drawnBar struct {
	From, To, Y float64
	Label       string
}

type dot struct {
	X, Y, Low, High float64
	Label           string
}

// WritePage writes the result as one page of HTML that needs nothing else.
func (r *Result) WritePage(w io.Writer, env peers.Environment) error {
	p := page{
		Summary: r.summary(), Environment: env.String(), Method: r.method(),
		Left: pageLeft, Right: pageRight, Margin: pageLeft - 8, Head: pageTop - 8, Foot: pageBottom + 24,
	}
	for i := range r.Curves {
		p.Curves = append(p.Curves, r.Curves[i].section())
	}
	return pageTemplate.Execute(w, p)
}

func (l *Line) section() section {
	s := section{Name: l.Name, Title: l.Title, Grows: l.Grows, One: l.one(), Base: l.Base, Columns: l.columns(), Plot: l.draw()}
	for i := range l.Points {
		p := &l.Points[i]
		s.Cells = append(s.Cells, l.cells(p))
		for _, text := range l.notes(p) {
			class := ""
			if strings.Contains(text, ": met") {
				class = "met"
			} else if strings.Contains(text, ": missed") || text == l.Curve.X(p.X)+": "+p.Failure {
				class = "missed"
			}
			s.Notes = append(s.Notes, note{text, class})
		}
	}
	return s
}

// scale places the logarithm of a number between two ends.
type scale struct{ least, most, from, to float64 }

func (s scale) at(x float64) float64 {
	if s.most <= s.least || x <= 0 {
		return (s.from + s.to) / 2
	}
	at := s.from + math.Log(x/s.least)/math.Log(s.most/s.least)*(s.to-s.from)
	return math.Round(10*at) / 10
}

func (l *Line) draw() *plot {
	least, most, some := l.span()
	if !some {
		return nil
	}
	first, last := l.Points[0].X, l.Points[len(l.Points)-1].X
	across := scale{float64(first), float64(last), pageLeft + 40, pageRight - 40}
	up := scale{least, most, pageBottom, pageTop}
	drawn := &plot{Width: pageWidth, Height: pageHeight, Base: up.at(1)}
	for _, ratio := range gridLines(least, most) {
		drawn.Rows = append(drawn.Rows, tick{up.at(ratio), up.at(ratio) + 4, digits(ratio) + " ×"})
	}
	var line []string
	for i := range l.Points {
		p := &l.Points[i]
		x := across.at(float64(p.X))
		drawn.Columns = append(drawn.Columns, tick{At: x, Label: l.Curve.X(p.X)})
		if p.Pairs == 0 {
			drawn.Lost = append(drawn.Lost, tick{At: x, Label: "not measured"})
			continue
		}
		line = append(line, fmt.Sprintf("%.1f,%.1f", x, up.at(p.Ratio)))
		label := fmt.Sprintf("%s: %s, %s ×", l.Curve.X(p.X), l.Curve.cost(p.Cost), p.ratioText())
		drawn.Dots = append(drawn.Dots, dot{x, up.at(p.Ratio), up.at(p.RatioCI.Low), up.at(p.RatioCI.High), label})
		for _, v := range p.Verdicts {
			if at, ok := v.asRatio(p); ok {
				drawn.Bars = append(drawn.Bars, drawnBar{x - 24, x + 24, up.at(at), l.Curve.bound(v.Bar) + ": " + v.outcome()})
			}
		}
	}
	drawn.Polyline = strings.Join(line, " ")
	return drawn
}

// gridLines are round ratios between two: the powers of ten with their halves, or
// the tenths where there are few of those.
func gridLines(least, most float64) []float64 {
	var lines []float64
	if most/least < 4 {
		step := 0.1
		if most/least > 1.6 {
			step = 0.5
		}
		for i := math.Ceil(least / step); i*step <= most; i++ {
			lines = append(lines, i*step)
		}
		return lines
	}
	for decade := math.Pow(10, math.Floor(math.Log10(least))); decade <= most; decade *= 10 {
		for _, ratio := range []float64{decade, 3 * decade} {
			if ratio >= least && ratio <= most {
				lines = append(lines, ratio)
			}
		}
	}
	return lines
}
