package capacity

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/guptarohit/asciigraph"

	"github.com/sluice-engine/sluice/bench/report"
)

// Report is what the steps were and what the law makes of them.
type Report struct {
	Steps []Step `json:"steps"`
	// Fit is nil, and NoFit says why, if the law could not be fitted.
	Fit   *Fit   `json:"fit,omitempty"`
	NoFit string `json:"noFit,omitempty"`
	// Peak is nil, and NoPeak says why, if the peak lies too far beyond the measurement.
	Peak        *Peak        `json:"peak,omitempty"`
	NoPeak      string       `json:"noPeak,omitempty"`
	Predictions []Prediction `json:"predictions,omitempty"`
	Notes       []string     `json:"notes,omitempty"`
	Interrupted bool         `json:"interrupted,omitempty"`
}

// Prediction is the throughput that the law expects of a number of callers. Refused says why
// there is none.
type Prediction struct {
	Point
	Refused string `json:"refused,omitempty"`
}

// Predict adds what the law expects of so many callers, or why it says nothing of them.
func (r *Report) Predict(callers int) {
	p := Prediction{Point: Point{Callers: callers}}
	err := errors.New(r.NoFit)
	if r.Fit != nil {
		p.Throughput, err = r.Fit.Predict(float64(callers))
	}
	if err != nil {
		p.Refused = err.Error()
	}
	r.Predictions = append(r.Predictions, p)
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// NothingSucceeded reports whether there were requests, and all of them failed.
func (r *Report) NothingSucceeded() bool {
	return len(r.Steps) > 0 && !slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Errors < 1 })
}

func mostly(error string) string {
	if error == "" {
		return ""
	}
	return "; mostly " + error
}

// fit fits the law to the steps that mean something.
func (r *Report) fit(seed uint64) {
	if r.Interrupted {
		r.note("ended after %d steps", len(r.Steps))
	}
	var points []Point
	for _, s := range r.Steps {
		switch {
		case s.Errors > mostErrors:
			r.note("%d callers: %.1f %% of the requests failed, so the step is left out of the fit%s", s.Callers, 100*s.Errors, mostly(s.Mostly))
		case s.Throughput <= 0:
			r.note("%d callers: nothing was answered, so the step is left out of the fit", s.Callers)
		default:
			points = append(points, s.Point)
		}
	}
	f, err := FitLaw(points, seed)
	if err != nil {
		r.NoFit = err.Error()
		return
	}
	r.Fit = f
	if f.Bad() {
		r.note("the law fits badly: points lie %.0f %% off it, so its parameters and its peak mean little", 100*f.Spread)
	}
	peak, err := f.Peak()
	if err != nil {
		r.NoPeak = err.Error()
		return
	}
	r.Peak = &peak
}

// Best is the step with the highest throughput.
func (r *Report) Best() Step {
	best := r.Steps[0]
	for _, s := range r.Steps {
		if s.Throughput > best.Throughput {
			best = s
		}
	}
	return best
}

// WriteJSON writes the report as one indented object.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes the steps, a chart, and what the law says.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	b.WriteString("closed model: callers wait for their answers, so what would have arrived meanwhile is omitted\n\n")
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "callers\tthroughput\tlaw\tp50\tp99\terrors")
	for _, s := range r.Steps {
		law := "-"
		if r.Fit != nil {
			law = report.Rate(r.Fit.At(float64(s.Callers)))
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%.3g%%\n", s.Callers, report.Rate(s.Throughput), law, report.Microseconds(s.P50), report.Microseconds(s.P99), 100*s.Errors)
	}
	_ = table.Flush() // into memory
	b.WriteString(r.chart())
	b.WriteByte('\n')
	best := r.Best()
	fmt.Fprintf(&b, "measured: %s at most, with %d callers\n", report.Rate(best.Throughput), best.Callers)
	r.writeLaw(&b)
	for _, p := range r.Predictions {
		if p.Refused != "" {
			fmt.Fprintf(&b, "%d callers: no prediction: %s\n", p.Callers, p.Refused)
		} else {
			fmt.Fprintf(&b, "%d callers: %s by the law\n", p.Callers, report.Rate(p.Throughput))
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeLaw(b *strings.Builder) {
	if r.Fit == nil {
		fmt.Fprintf(b, "no law was fitted: %s\n", r.NoFit)
		return
	}
	f := r.Fit
	fmt.Fprintf(b, "law: λ %s [%s, %s], σ %.3g [%.3g, %.3g], κ %.3g [%.3g, %.3g]; points lie %.1f %% off it\n",
		report.Rate(f.Lambda), report.Rate(f.LambdaCI.Low), report.Rate(f.LambdaCI.High), f.Sigma, f.SigmaCI.Low, f.SigmaCI.High, f.Kappa, f.KappaCI.Low, f.KappaCI.High, 100*f.Spread)
	if r.Peak == nil {
		fmt.Fprintf(b, "peak: none is predicted: %s\n", r.NoPeak)
		return
	}
	p := r.Peak
	cut := ""
	if p.Beyond {
		cut = ", cut off at twice what was measured"
	}
	fmt.Fprintf(b, "peak: %s [%s, %s] with N* = %.0f callers [%.0f, %.0f%s]\n",
		report.Rate(p.Throughput), report.Rate(p.ThroughputCI.Low), report.Rate(p.ThroughputCI.High), p.Callers, p.CallersCI.Low, p.CallersCI.High, cut)
}

const (
	chartWidth  = 64
	chartHeight = 12
)

// chart draws throughput over the callers' logarithm: what was measured, with straight lines
// between, and the law.
func (r *Report) chart() string {
	first, last := r.Steps[0].Callers, r.Steps[len(r.Steps)-1].Callers
	if last <= first {
		return ""
	}
	points, law := make([]float64, chartWidth), make([]float64, chartWidth)
	low, high := math.Log(float64(first)), math.Log(float64(last))
	for i := range points {
		n := math.Exp(low + (high-low)*float64(i)/(chartWidth-1))
		points[i] = r.between(n)
		if r.Fit != nil {
			law[i] = r.Fit.At(n)
		}
	}
	lines, legend := [][]float64{points}, "─ measured"
	if r.Fit != nil {
		lines, legend = append(lines, law), legend+", · law"
	}
	options := []asciigraph.Option{
		asciigraph.Height(chartHeight), asciigraph.LowerBound(0),
		asciigraph.SeriesChars(asciigraph.DefaultCharSet, asciigraph.CreateCharSet("·")),
		asciigraph.YAxisValueFormatter(report.Rate),
	}
	return fmt.Sprintf("\nthroughput over callers, %d to %d, logarithmic: %s\n%s\n", first, last, legend, asciigraph.PlotMany(lines, options...))
}

// between goes along straight lines, over the callers' logarithm, from step to step.
func (r *Report) between(n float64) float64 {
	for i := 1; i < len(r.Steps); i++ {
		a, b := r.Steps[i-1], r.Steps[i]
		if n <= float64(b.Callers) && b.Callers > a.Callers {
			share := math.Log(n/float64(a.Callers)) / math.Log(float64(b.Callers)/float64(a.Callers))
			return a.Throughput + share*(b.Throughput-a.Throughput)
		}
	}
	return r.Steps[len(r.Steps)-1].Throughput
}
