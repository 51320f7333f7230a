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
	fmt.Fprintln(table, "case\tclient\tCPU µs\twall µs\tallocs\tbytes\tours ÷ it, CPU\t")
	for _, row := range r.Rows {
		if row.Cannot != "" {
			fmt.Fprintf(table, "%s\t%s\t–\t–\t–\t–\t%s\t\n", row.Case, row.Client, row.Cannot)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%.2f\t%.2f\t%.2f\t%.0f\t%s\t\n",
			row.Case, row.Client, row.CPU, row.Wall, row.Allocs, row.Bytes, r.beside(row))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	text := "\nPer request, medians of slices. Ratios: the engine, or its RoundTripper, beside each other client: median of pairs [95 % interval]; below 1 ours is cheaper.\n"
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
	case c.FanOut:
		return fmt.Sprintf("%s %d requests at once, after the rounds", c.Name, c.Requests)
	case c.apart() && c.Few == 0:
		return fmt.Sprintf("%s on %d connections, after the rounds", text, connections)
	case c.Few > 0:
		return fmt.Sprintf("%s against %d, %d pairs after the rounds", text, c.Few, 2*crowdRounds)
	case c.Every > 1:
		return fmt.Sprintf("%s in every %dth round", text, c.Every)
	}
	return text
}

// beside is what the case's client of ours costs beside a peer's row.
func (r *Result) beside(peer Row) string {
	for _, row := range r.Rows {
		if ratio, ok := row.CPURatio[peer.Client]; ok && row.Case == peer.Case {
			ci := row.CPURatioCI[peer.Client]
			return fmt.Sprintf("%.2f [%.2f, %.2f]", ratio, ci.Low, ci.High)
		}
	}
	return ""
}
