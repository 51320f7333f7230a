package search

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/guptarohit/asciigraph"

	"github.com/sluice-engine/sluice/bench/report"
)

// Conclusion says in a few lines what was found.
func (r *Report) Conclusion() string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch {
	case r.Held > 0:
		add("held %d of %d at %s%s", r.Of, r.Of, exactly(r.Held), r.andAbove())
	case r.Interrupted && r.Highest > 0:
		add("interrupted: a trial held at %s, which was not confirmed", exactly(r.Highest))
	case r.Interrupted:
		add("interrupted: no trial held yet")
	case r.Highest > 0:
		add("no rate was confirmed: from %s on down to %s, the lowest that was allowed, a trial failed", exactly(r.Highest), exactly(r.From))
	default:
		add("not even %s, the lowest rate that was allowed, held", exactly(r.From))
	}
	if r.FirstFailed > 0 {
		add("first failed at %s%s", exactly(r.FirstFailed), r.whyAt(r.FirstFailed, Failed))
	}
	switch {
	case r.HarnessIsTheLimit():
		add("the harness is the limit at %s%s; the server may hold more", exactly(r.FirstInvalid), r.whyAt(r.FirstInvalid, Invalid))
	case r.FirstFailed == 0 && !r.Interrupted:
		add("nothing failed up to %s, the highest rate that was allowed: the server may hold more", exactly(r.To))
	case r.Held > 0:
		add("the true edge lies between the two, or a few per cent above the first")
	}
	return strings.Join(lines, "\n")
}

// andAbove is what held besides.
func (r *Report) andAbove() string {
	if r.HeldAbove == 0 {
		return ""
	}
	return fmt.Sprintf(", and at %s, a width above", exactly(r.HeldAbove))
}

// whyAt is what the first such trial at a rate said.
func (r *Report) whyAt(rate float64, o Outcome) string {
	for _, t := range r.Trials {
		if t.Rate == rate && t.Outcome == o && t.Why != "" {
			return ": " + t.Why
		}
	}
	return ""
}

// WriteJSON writes the report as one indented object.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		*Report
		Harness    bool   `json:"harnessIsTheLimit"`
		Conclusion string `json:"conclusion"`
	}{r, r.HarnessIsTheLimit(), r.Conclusion()})
}

// WriteText writes all trials by their rates, a chart of them, and the conclusion.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	trials := slices.Clone(r.Trials)
	slices.SortStableFunc(trials, func(x, y Trial) int {
		switch {
		case x.Rate < y.Rate:
			return -1
		case x.Rate > y.Rate:
			return 1
		}
		return 0
	})
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "rate\tcompleted\tp50\tp99\tlag p99\toutcome\tof")
	for _, t := range trials {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", exactly(t.Rate), report.Rate(t.Completed), report.Microseconds(t.P50), report.Microseconds(t.P99), report.Microseconds(t.Lag), t.Outcome, t.Phase)
	}
	_ = table.Flush() // into memory
	b.WriteString(chart(trials))
	fmt.Fprintf(&b, "\nobjectives: %s\n%s\n", strings.Join(r.Objectives, ", "), r.Conclusion())
	_, err := io.WriteString(w, b.String())
	return err
}

const (
	chartWidth  = 64
	chartHeight = 10
)

// chart draws the response at p99 over the rate, both by their logarithms: the knee is seen
// best so. Trials at one rate are one point, their median.
func chart(sorted []Trial) string {
	var rates, p99s []float64
	for i := 0; i < len(sorted); {
		j := i
		var here []float64
		for ; j < len(sorted) && sorted[j].Rate == sorted[i].Rate; j++ {
			if sorted[j].P99 > 0 {
				here = append(here, sorted[j].P99)
			}
		}
		if len(here) > 0 {
			slices.Sort(here)
			rates, p99s = append(rates, math.Log10(sorted[i].Rate)), append(p99s, math.Log10(here[len(here)/2]))
		}
		i = j
	}
	if len(rates) < 2 {
		return ""
	}
	line := make([]float64, chartWidth)
	low, high := rates[0], rates[len(rates)-1]
	for i := range line {
		line[i] = between(rates, p99s, low+(high-low)*float64(i)/(chartWidth-1))
	}
	drawn := asciigraph.Plot(line, asciigraph.Height(chartHeight),
		asciigraph.YAxisValueFormatter(func(y float64) string { return report.Microseconds(math.Pow(10, y)) }))
	return fmt.Sprintf("\nresponse p99 over the rate, %s to %s, both axes logarithmic\n%s\n", report.Rate(math.Pow(10, low)), report.Rate(math.Pow(10, high)), drawn)
}

// between goes along straight lines from point to point.
func between(xs, ys []float64, x float64) float64 {
	for i := 1; i < len(xs); i++ {
		if x <= xs[i] {
			share := (x - xs[i-1]) / (xs[i] - xs[i-1])
			return ys[i-1] + share*(ys[i]-ys[i-1])
		}
	}
	return ys[len(ys)-1]
}

// exactly writes a rate with all its digits.
func exactly(rate float64) string { return strconv.FormatFloat(rate, 'f', -1, 64) + "/s" }
