package peers

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteJSON writes the rows as an indented array.
func (r *Result) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r.Rows)
}

// WriteTable writes the result for people, under everything needed to judge it.
func (r *Result) WriteTable(w io.Writer, env Environment) error {
	if _, err := io.WriteString(w, env.String()+r.method()+"\n"); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "case\tclient\tCPU µs\twall µs\tallocs\tbytes\tCPU ÷ nethttp\tCPU ÷ fasthttp\t")
	for _, row := range r.Rows {
		fmt.Fprintf(table, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.0f\t%s\t%s\t\n",
			row.Case, row.Client, row.CPU, row.Wall, row.Allocs, row.Bytes,
			row.ratioText(NetHTTP), row.ratioText(FastHTTP))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	text := "\nPer request, medians of slices. Ratios: median of pairs [95 % interval]; below 1 the engine is cheaper.\n"
	for _, row := range r.Rows {
		if row.Crowd != nil {
			text += fmt.Sprintf("%s: %v\n", row.Case, row.Crowd)
		}
	}
	_, err := io.WriteString(w, text)
	return err
}

func (r *Result) method() string {
	var loads []string
	for _, load := range r.Cases {
		loads = append(loads, load.method())
	}
	return fmt.Sprintf("method   %d rounds of mirrored slices (%s), %d pairs, bootstrap seed %d, %v\n",
		r.Rounds, strings.Join(loads, ", "), 2*r.Rounds, r.Seed, r.Elapsed.Round(100*time.Millisecond))
}

func (c Case) method() string {
	text := fmt.Sprintf("%s %d requests by %d", c.Name, c.Requests, c.Callers)
	switch {
	case c.Few > 0:
		return fmt.Sprintf("%s against %d, %d pairs after the rounds", text, c.Few, 2*crowdRounds)
	case c.Every > 1:
		return fmt.Sprintf("%s in every %dth round", text, c.Every)
	}
	return text
}

func (r Row) ratioText(peer string) string {
	ratio, ok := r.CPURatio[peer]
	if !ok {
		return "-"
	}
	ci := r.CPURatioCI[peer]
	return fmt.Sprintf("%.2f [%.2f, %.2f]", ratio, ci.Low, ci.High)
}
