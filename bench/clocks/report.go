package clocks

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// WriteJSON writes rows as an indented array.
func WriteJSON[R any](w io.Writer, rows []R) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}

// WriteVerdicts writes a line for each promise.
func WriteVerdicts(w io.Writer, verdicts []Verdict) error {
	for _, v := range verdicts {
		if _, err := fmt.Fprintln(w, v); err != nil {
			return err
		}
	}
	return nil
}

// WriteText writes the table for people: both estimators in one line.
func (t *Table) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "method   %d runs a cell and %d starts, seed %d, %.0f simulated hours in %v\n",
		t.Config.Runs, t.Config.Starts, t.Config.Seed, t.Simulated.Hours(), t.Elapsed.Round(100*time.Millisecond))
	fmt.Fprint(w, "\nErrors in ms: mean / p99 / max. Half-widths of the bound in ms: mean / p99.\n\n")
	if err := t.writeRows(w); err != nil {
		return err
	}
	fmt.Fprint(w, "\nHalf-width of the bound after the first requests, in ms: median / p99 / max.\n\n")
	return t.writeStarts(w)
}

func (t *Table) writeRows(w io.Writer) error {
	theirs := map[string]Row{}
	for _, r := range t.of(Reference, "") {
		theirs[r.cell()] = r
	}
	table := tabulate(w, "resolution", "scenario", "network", "sluice", "reference", "half-width", "outside the bound")
	for _, r := range t.of(Sluice, "") {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%.2f / %.2f\t%s\t\n", r.Resolution, r.Scenario, r.Network,
			r.errors(), theirs[r.cell()].errors(), r.MeanHalfWidth, r.P99HalfWidth, r.failures())
	}
	return table.Flush()
}

func (r Row) errors() string {
	return fmt.Sprintf("%.2f / %.2f / %.2f", r.MeanError, r.P99Error, r.MaxError)
}

func (r Row) failures() string {
	text := fmt.Sprintf("%d of %d", r.BoundFailures, r.Checks)
	if r.BoundFailures > 0 {
		text += fmt.Sprintf(", %d before a sample could tell", r.UnseenFailures)
	}
	return text
}

// writeStarts relies on the rows of one path and resolution being neighbours.
func (t *Table) writeStarts(w io.Writer) error {
	const columns = 4
	table := tabulate(w, "resolution", "network", "1 request", "2", "4", "8")
	for i := 0; i+columns <= len(t.Starts); i += columns {
		fmt.Fprintf(table, "%s\t%s\t", t.Starts[i].Resolution, t.Starts[i].Network)
		for _, s := range t.Starts[i : i+columns] {
			fmt.Fprintf(table, "%.1f / %.1f / %.1f\t", s.Median, s.P99, s.Max)
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

func tabulate(w io.Writer, columns ...string) *tabwriter.Writer {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range columns {
		fmt.Fprintf(table, "%s\t", c)
	}
	fmt.Fprintln(table)
	return table
}
