package scale

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/peers"
)

// WriteJSON writes the result, and what it was measured on, as one indented object.
func (r *Result) WriteJSON(w io.Writer, env peers.Environment) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Environment peers.Environment `json:"environment"`
		*Result
	}{env, r})
}

// WriteText writes the result for people: a table and a plot of every curve, under
// everything needed to judge them.
func (r *Result) WriteText(w io.Writer, env peers.Environment) error {
	var b strings.Builder
	b.WriteString(env.String() + "method   " + r.method() + "\n")
	for i := range r.Curves {
		r.Curves[i].text(&b)
	}
	fmt.Fprintf(&b, "\n%s\n", r.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown writes a table with a row for each curve, for documents.
func (r *Result) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| curve | X | base | ratio to the base at X [95 %] | bars |\n|---|---|---|---|---|\n")
	for i := range r.Curves {
		l := &r.Curves[i]
		base, growth, bars := l.Base, []string{}, []string{}
		for j := range l.Points {
			p := &l.Points[j]
			if p.Base && p.Pairs > 0 {
				base += ": " + l.Curve.cost(p.Cost) + " " + l.one()
			} else if !p.Base {
				growth = append(growth, l.Curve.X(p.X)+": "+p.growthText())
			}
			for _, v := range p.Verdicts {
				bars = append(bars, l.Curve.X(p.X)+": "+l.held(v))
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", l.Name, l.Grows, base, strings.Join(growth, "<br>"), strings.Join(bars, "<br>"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// growthText is the ratio, or why there is none.
func (p *Point) growthText() string {
	if p.Pairs > 0 {
		return p.ratioText()
	}
	why, _, _ := strings.Cut(p.Failure, ": ")
	return why
}

// held is a bar with what came of it.
func (l *Line) held(v Verdict) string {
	text := l.Curve.bound(v.Bar) + ": " + v.outcome()
	if v.Measured {
		text += ", at " + l.Curve.value(v.Of, v.Value)
	}
	if v.Measured && v.CI != (gauge.Interval{}) {
		text += fmt.Sprintf(" [%s, %s]", digits(v.CI.Low), digits(v.CI.High))
	}
	return text
}

func (r *Result) method() string {
	return fmt.Sprintf("up to %d rounds of mirrored slices a point, each in a process of its own; ratios: median of pairs [95 %% interval], or (of how few pairs), bootstrap seed %d; %v",
		r.Rounds, r.Seed, r.Elapsed.Round(100*time.Millisecond))
}

func (r *Result) summary() string {
	all, met := r.Verdicts()
	text := fmt.Sprintf("%d of %d bars met", met, all)
	if failed := r.Failures(); failed > 0 {
		text += fmt.Sprintf("; unfinished points: %d", failed)
	}
	return text
}

func (l *Line) text(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s: %s\nX is %s; ÷ base is over %s\n\n", l.Name, l.Title, l.Grows, l.Base)
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, strings.Join(l.columns(), "\t")+"\t")
	for i := range l.Points {
		fmt.Fprintln(table, strings.Join(l.cells(&l.Points[i]), "\t")+"\t")
	}
	_ = table.Flush() // a Builder takes everything
	for i := range l.Points {
		for _, note := range l.notes(&l.Points[i]) {
			fmt.Fprintf(b, "  %s\n", note)
		}
	}
	l.plot(b)
}

// columns are the heads of the table.
func (l *Line) columns() []string {
	if l.Memory {
		return []string{"X", l.one(), "÷ base", "pairs"}
	}
	columns := []string{"X", "CPU of " + l.one(), "÷ base", "more", "allocs", "bytes", "throughput ÷ base", "pairs"}
	if l.rated() {
		columns = append(columns, "rate")
	}
	return columns
}

// one is one of what costs are given for.
func (l *Line) one() string {
	if strings.ContainsRune("aeiou", rune(l.Unit[0])) {
		return "an " + l.Unit
	}
	return "a " + l.Unit
}

// rated reports whether there is a rate to reach.
func (l *Line) rated() bool {
	for _, p := range l.Points {
		if p.Rate > 0 {
			return true
		}
	}
	return false
}

// cells are a row of the table.
func (l *Line) cells(p *Point) []string {
	x := l.Curve.X(p.X)
	if p.Pairs == 0 {
		cells := make([]string, len(l.columns()))
		for i := range cells {
			cells[i] = "-"
		}
		cells[0] = x
		return cells
	}
	cells := []string{x, l.Curve.cost(p.Cost), p.ratioText()}
	if !l.Memory {
		more, throughput := "", ""
		if !p.Base {
			more, throughput = duration(p.More), digits(p.Throughput)
		}
		cells = append(cells, more, digits(p.Allocs), size(p.Bytes), throughput)
	}
	cells = append(cells, fmt.Sprint(p.Pairs))
	if l.rated() {
		cells = append(cells, digits(100*p.Rate)+" %")
	}
	return cells
}

// notes are what there is to say of a point beside its numbers: its bars, and what
// went wrong.
func (l *Line) notes(p *Point) []string {
	var notes []string
	x := l.Curve.X(p.X)
	if p.PeerGrowth > 0 {
		notes = append(notes, fmt.Sprintf("%s: the engine %s ×, fasthttp %s ×", x, digits(p.Growth), digits(p.PeerGrowth)))
	}
	for _, v := range p.Verdicts {
		notes = append(notes, x+": "+l.held(v))
	}
	if p.Failure != "" {
		notes = append(notes, x+": "+p.Failure)
	}
	return notes
}

const plotWidth = 56

// plot draws the ratios, one row a point, on a scale on which equal factors are equal
// distances.
func (l *Line) plot(b *strings.Builder) {
	least, most, some := l.span()
	if !some {
		return
	}
	column := func(ratio float64) int {
		at := math.Log(ratio/least) / math.Log(most/least)
		return min(plotWidth-1, max(0, int(math.Round(at*(plotWidth-1)))))
	}
	widest := 0
	for _, p := range l.Points {
		widest = max(widest, len(l.Curve.X(p.X)))
	}
	fmt.Fprintf(b, "\n  %*s  %s ×%*s\n", widest, "", digits(least), plotWidth-len(digits(least))-2, digits(most)+" ×")
	for i := range l.Points {
		p := &l.Points[i]
		row := l.plotted(p, column)
		fmt.Fprintf(b, "  %*s  %s\n", widest, l.Curve.X(p.X), strings.TrimRight(string(row), " "))
	}
	fmt.Fprintf(b, "  %*s  ● ratio  ─ 95 %% interval  │ base  ┊ bar\n", widest, "")
}

func (l *Line) plotted(p *Point, column func(float64) int) []rune {
	row := []rune(strings.Repeat(" ", plotWidth))
	row[column(1)] = '│'
	if p.Pairs == 0 {
		return append(row, []rune("not measured")...)
	}
	for i := column(p.RatioCI.Low); i <= column(p.RatioCI.High); i++ {
		row[i] = '─'
	}
	for _, v := range p.Verdicts {
		if at, ok := v.asRatio(p); ok {
			row[column(at)] = '┊'
		}
	}
	row[column(p.Ratio)] = '●'
	return row
}

// span is what the plot has to show: the ratios, their intervals, the base and the
// bars, with a little room on both sides. It reports whether there is anything.
func (l *Line) span() (least, most float64, some bool) {
	least, most = 1, 1
	see := func(ratio float64) {
		if ratio > 0 {
			least, most = min(least, ratio), max(most, ratio)
		}
	}
	for i := range l.Points {
		p := &l.Points[i]
		if p.Pairs == 0 {
			continue
		}
		some = some || !p.Base
		see(p.Ratio)
		see(p.RatioCI.Low)
		see(p.RatioCI.High)
		for _, v := range p.Verdicts {
			if at, ok := v.asRatio(p); ok {
				see(at)
			}
		}
	}
	return least / 1.05, most * 1.05, some
}
