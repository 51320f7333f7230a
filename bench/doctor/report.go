package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// String is the finding as lines of the report.
func (f Finding) String() string {
	text := fmt.Sprintf("%-8s%-11s %s", f.Level, f.Check, f.Found)
	if f.Advice != "" {
		text += fmt.Sprintf("\n%20s→ %s", "", f.Advice)
	}
	return text
}

// WriteText writes the findings, the table of timers and the conclusion.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	r.writeRest(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteRest writes what stands below the findings, for who has shown those already.
func (r *Report) WriteRest(w io.Writer) error {
	var b strings.Builder
	r.writeRest(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeRest(b *strings.Builder) {
	r.writeTimers(b)
	fmt.Fprintf(b, "\n%s\n", r.Conclusion())
}

// WriteJSON writes the whole report.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		*Report
		Conclusion string `json:"conclusion"`
	}{r, r.Conclusion()})
}

// writeTimers has a row for each way of sleeping, and a column for each length.
func (r *Report) writeTimers(b *strings.Builder) {
	if len(r.Timers) == 0 {
		return
	}
	b.WriteString("\nHow late a sleep is over, p50 / p99:\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "a sleep of")
	for _, d := range sleeps {
		fmt.Fprintf(w, "\t%s", brief(d))
	}
	row := ""
	for _, t := range r.Timers {
		name := t.By
		if t.Busy {
			name += ", a goroutine busy"
		}
		if name != row {
			fmt.Fprintf(w, "\n%s", name)
			row = name
		}
		fmt.Fprintf(w, "\t%s / %s", brief(t.P50), brief(t.P99))
	}
	fmt.Fprintln(w)
	w.Flush()
}

// Conclusion is what this machine can offer, in a sentence or two.
func (r *Report) Conclusion() string {
	if r.Interrupted {
		return "Interrupted: nothing is concluded from some of the checks."
	}
	var text string
	switch {
	case r.HTTP != nil && r.HTTP.Highest > 0:
		text = fmt.Sprintf("Open runs to about %s/s with lag p99 below %s, the server on this machine too", grouped(r.HTTP.Highest), above(r.HTTP.Lag.P99))
		if r.Dispatch != nil && r.Dispatch.Highest > r.HTTP.Highest {
			text += fmt.Sprintf("; the harness alone dispatches to about %s/s", grouped(r.Dispatch.Highest))
		}
		text += "."
	case r.Dispatch != nil && r.Dispatch.Highest > 0:
		text = fmt.Sprintf("The harness dispatches to about %s/s with lag p99 below %s, but no rate was answered in time.", grouped(r.Dispatch.Highest), above(r.Dispatch.Lag.P99))
	default:
		return "This machine holds no open run now."
	}
	if n := r.Failed(); n > 0 {
		text += fmt.Sprintf(" %d checks failed: see to those first.", n)
	}
	return text
}

// brief writes a duration with three digits or so.
func brief(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + brief(-d)
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// above is the next round duration above one.
func above(d time.Duration) string {
	step := 100 * time.Microsecond
	if d >= 10*time.Millisecond {
		step = time.Millisecond
	}
	return (d.Truncate(step) + step).String()
}

// grouped writes a number with commas.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
