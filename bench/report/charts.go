package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/guptarohit/asciigraph"

	"github.com/sluice-engine/sluice/bench/results"
)

const chartHeight = 9

// labelWidth is what the axis and its labels take of the width.
const labelWidth = 13

func (t *text) charts(run *results.Run) {
	t.overTime(run)
	t.curve(operation(run.Total, ""))
}

// wholeIntervals are those that are drawn over time, from first up to, and without, last: those that
// lie in the main part whole. The rest of a second, or the drain, would look like a fall.
func wholeIntervals(run *results.Run) (first, last int) {
	step, warm := max(run.Step, 1), max(run.Header.WarmUp, 0)
	begin := int(warm / time.Second) // in whole seconds nothing of a file's can be too long
	if warm%time.Second > 0 {
		begin++
	}
	last = min(int((countsOf(run).over+warm)/time.Second)/step, len(run.Series))
	first = begin / step
	if begin%step > 0 {
		first++
	}
	return min(first, last), last
}

func (t *text) overTime(run *results.Run) {
	first, last := wholeIntervals(run)
	n := last - first
	if n < 2 {
		return
	}
	p99 := make([]float64, n)
	rates := [3][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}
	for i := range n {
		s := &run.Series[first+i]
		p99[i] = math.NaN()
		if all := s.All().Response; all.Count() > 0 {
			p99[i] = all.Quantile(0.99).Seconds()
		}
		for at, count := range []uint64{s.Offered, s.Sent, s.Completed} {
			rates[at][i] = float64(count) / float64(max(run.Step, 1))
		}
	}
	span := fmt.Sprintf("from second %d to %d", first*max(run.Step, 1), last*max(run.Step, 1))
	if first > 0 {
		span += ", behind the warm-up"
	}
	t.chart("p99 of response by the second due, "+span, seconds, p99)
	for at, name := range []string{"requests due a second, ", "requests sent a second, ", "requests completed a second, "} {
		if at > 0 && equal(rates[at], rates[at-1]) {
			fmt.Fprintf(t, "\n%s%s: as above\n", name, span)
			continue
		}
		t.chart(name+span, Rate, rates[at])
	}
}

func equal(a, b []float64) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func seconds(v float64) string { return Duration(time.Duration(v * float64(time.Second))) }

// curve draws latency against the number of nines.
func (t *text) curve(o *results.Operation) {
	h := o.Response
	if h.Count() < 2 {
		return
	}
	nines := math.Min(math.Max(math.Log10(float64(h.Count())), 1), 6)
	columns := t.width - labelWidth
	curve := make([]float64, columns)
	for i := range curve {
		share := 1 - math.Pow(10, -nines*float64(i)/float64(columns-1))
		curve[i] = h.Quantile(share).Seconds()
	}
	t.chart("response by percentile: each nine takes as much room", seconds, curve)
	marks := []byte(strings.Repeat(" ", columns))
	for n, mark := range []string{"0", "90", "99", "99.9", "99.99", "99.999", "99.9999"} {
		at := int(float64(n) / nines * float64(columns-1))
		if at = min(at, columns-len(mark)); float64(n) <= nines {
			copy(marks[max(at, 0):], mark)
		}
	}
	fmt.Fprintf(t, "%s%s\n", strings.Repeat(" ", labelWidth), strings.TrimRight(string(marks), " "))
}

// chart draws a series with something in it; NaN is a gap.
func (t *text) chart(title string, label func(float64) string, series []float64) {
	drawn := resampled(series, t.width-labelWidth)
	lowest, highest := math.Inf(1), math.Inf(-1)
	for _, v := range drawn {
		if !math.IsNaN(v) {
			lowest, highest = math.Min(lowest, v), math.Max(highest, v)
		}
	}
	if math.IsInf(lowest, 0) || math.IsInf(highest, 0) {
		return
	}
	fmt.Fprintln(t)
	t.wrapped("", "", title)
	if highest == 0 {
		fmt.Fprintln(t, "  nothing")
		return
	}
	fmt.Fprintln(t, asciigraph.Plot(drawn,
		asciigraph.Height(chartHeight), asciigraph.LowerBound(0), asciigraph.UpperBound(highest),
		asciigraph.YAxisValueFormatter(func(v float64) string { return fmt.Sprintf("%9s", label(v)) }),
	))
}

// resampled has as many values as there are columns, or fewer columns than that are free; a
// column of several values has the largest, so that no peak is lost.
func resampled(series []float64, columns int) []float64 {
	out := make([]float64, columns)
	for at := range out {
		from := at * len(series) / columns
		to := max(from+1, (at+1)*len(series)/columns)
		out[at] = math.NaN()
		for _, v := range series[from:min(to, len(series))] {
			if math.IsNaN(out[at]) || v > out[at] {
				out[at] = v
			}
		}
	}
	return out
}
