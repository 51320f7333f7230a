package fanout

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// The bars.
const (
	mostMemory = 64 << 20 // bytes, of ten million inputs as of any other number
	mostCPU    = 1.2      // of Stream, over Do
	leastRate  = 1.9      // of Stream, over net/http's pool
)

// Result is what was measured.
type Result struct {
	Config Config                  `json:"-"`
	Memory Memory                  `json:"memory,omitzero"`
	Costs  map[string][]gauge.Cost `json:"costs"` // by contender, in the order of the slices
}

// Verdict is a bar and what was measured.
type Verdict struct {
	What  string         `json:"what"`
	Value float64        `json:"value"`
	CI    gauge.Interval `json:"ci95,omitzero"`
	Bar   string         `json:"bar"`
	Met   bool           `json:"met"`
}

// Verdicts holds the bars against what was measured.
func (r *Result) Verdicts() []Verdict {
	var all []Verdict
	if r.Memory.Inputs > 0 {
		all = append(all, Verdict{
			What: fmt.Sprintf("memory of a stream of %d inputs at most, in MB", r.Memory.Inputs), Value: r.Memory.Peak / (1 << 20),
			Bar: fmt.Sprintf("≤ %d", mostMemory>>20), Met: r.Memory.Peak <= mostMemory,
		})
	}
	cpu := gauge.Ratios(r.each(Stream, cpuOf), r.each(Do, cpuOf))
	rate := gauge.Ratios(r.each(NetHTTP, wallOf), r.each(Stream, wallOf))
	return append(all, Verdict{
		What: "CPU of a request by Stream ÷ by Do", Value: gauge.Median(cpu), CI: gauge.MedianInterval(cpu, r.Config.Seed),
		Bar: fmt.Sprintf("≤ %g", mostCPU), Met: gauge.Median(cpu) <= mostCPU,
	}, Verdict{
		What: "throughput of Stream ÷ of the pool around net/http", Value: gauge.Median(rate), CI: gauge.MedianInterval(rate, r.Config.Seed),
		Bar: fmt.Sprintf("≥ %g", leastRate), Met: gauge.Median(rate) >= leastRate,
	})
}

func cpuOf(c gauge.Cost) float64    { return c.CPU }
func wallOf(c gauge.Cost) float64   { return c.Wall }
func allocsOf(c gauge.Cost) float64 { return c.Allocs }
func bytesOf(c gauge.Cost) float64  { return c.Bytes }

func (r *Result) each(name string, of func(gauge.Cost) float64) (all []float64) {
	for _, cost := range r.Costs[name] {
		all = append(all, of(cost))
	}
	return all
}

// WriteText writes a table for people; head is what stands above it.
func (r *Result) WriteText(w io.Writer, head fmt.Stringer) error {
	text := head.String() + "\n"
	if m := r.Memory; m.Inputs > 0 {
		text += fmt.Sprintf("%d inputs in %.1f s: %.1f MB from the system at most; in use after a hundredth %.1f MB, at the end %.1f MB\n\n",
			m.Inputs, m.Took.Seconds(), m.Peak/(1<<20), m.Early/(1<<20), m.Late/(1<<20))
	}
	text += fmt.Sprintf("medians of %d slices of %d requests on %d connections\n%-10s %10s %10s %8s %8s\n",
		2*r.Config.Rounds, r.Config.Requests, r.Config.Connections, "", "requests/s", "CPU µs", "allocs", "bytes")
	for _, name := range names {
		text += fmt.Sprintf("%-10s %10.0f %10.2f %8.1f %8.0f\n", name, 1e6/gauge.Median(r.each(name, wallOf)),
			gauge.Median(r.each(name, cpuOf)), gauge.Median(r.each(name, allocsOf)), gauge.Median(r.each(name, bytesOf)))
	}
	text += "\n"
	for _, v := range r.Verdicts() {
		verdict := "missed"
		if v.Met {
			verdict = "met"
		}
		interval := ""
		if v.CI != (gauge.Interval{}) {
			interval = fmt.Sprintf(" (95 %%: %.2f to %.2f)", v.CI.Low, v.CI.High)
		}
		text += fmt.Sprintf("%s: %.2f%s, bar %s: %s\n", v.What, v.Value, interval, v.Bar, verdict)
	}
	_, err := io.WriteString(w, text)
	return err
}

// WriteJSON writes all figures, and the environment that they are of.
func (r *Result) WriteJSON(w io.Writer, environment any) error {
	lines := json.NewEncoder(w)
	lines.SetIndent("", "  ")
	return lines.Encode(struct {
		Environment any       `json:"environment"`
		Verdicts    []Verdict `json:"verdicts"`
		*Result
	}{environment, r.Verdicts(), r})
}
