package limits

import (
	"encoding/json"
	"fmt"
	"io"
)

// WriteGrid writes a table for each server: a line per network, a column per
// client.
func WriteGrid(w io.Writer, rows []Row, cfg Config) error {
	p := printer{w: w}
	windows, runs := cfg.windowsAndRuns()
	p.printf("%d requests a second, unending bulk work and 10 %% urgent requests; %d windows, %d runs, seed %d\n", gridQuota, windows, runs, cfg.Seed)
	p.printf("each cell: utilisation in %%, requests refused, p99 of the urgent wait in ms\n")
	var server Counting
	for i, r := range rows {
		if r.Server != server {
			server = r.Server
			p.printf("\n%-10s", server)
			for _, c := range cfg.clients() {
				p.printf("  %25s", c)
			}
		}
		if i == 0 || rows[i-1].Network != r.Network || rows[i-1].Server != r.Server {
			p.printf("\n%-10s", r.Network)
		}
		if r.played {
			p.printf("  %7.3f %6d %10.1f", 100*r.Utilisation, r.Refused, r.UrgentWaitP99MS)
		} else {
			p.printf("  %25s", "not played")
		}
		if i == len(rows)-1 || rows[i+1].Server != r.Server {
			p.printf("\n")
		}
	}
	return p.err
}

// WriteScenarios writes a table for each scenario.
func WriteScenarios(w io.Writer, outcomes []Outcome) error {
	p := printer{w: w}
	for i, o := range outcomes {
		if i == 0 || outcomes[i-1].Scenario != o.Scenario {
			p.printf("\n%s: %s\n", o.Scenario, Describe(o.Scenario))
			p.printf("  %-10s %8s %8s %8s %7s   waits in ms: mean, p50, p99, max\n", "client", "util %", "sent", "refused", "others")
		}
		p.printf("  %-10s %8.3f %8d %8d %7d ", o.Client, 100*o.Utilisation, o.Sent, o.Refused, o.RefusedOthers)
		for _, wait := range o.Waits {
			p.printf("  %s", wait)
		}
		p.printf("\n")
		if o.Goal != "" {
			p.printf("  %s\n", o.verdict())
		}
	}
	return p.err
}

// String is one flow's waits as a table shows them.
func (w Waits) String() string {
	if w.N == 0 {
		return w.Flow + " none granted"
	}
	return fmt.Sprintf("%s %.1f, %.1f, %.1f, %.1f", w.Flow, w.MeanMS, w.P50MS, w.P99MS, w.MaxMS)
}

func (o *Outcome) verdict() string {
	if len(o.Missed) == 0 {
		return "goal met: " + o.Goal
	}
	return fmt.Sprintf("goal MISSED: %s; is %q", o.Goal, o.Missed)
}

// WriteJSON writes rows or outcomes as an indented array.
func WriteJSON[T any](w io.Writer, rows []T) error {
	if rows == nil {
		rows = []T{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}

// Violations counts what the Sluice client was refused in the grid and in the
// scenarios where that is ruled out: all but the one in which somebody else
// spends from the same limit, for whom room can only be estimated.
func Violations(rows []Row, outcomes []Outcome) (n int) {
	for _, r := range rows {
		if r.Client == Sluice {
			n += r.Refused
		}
	}
	for _, o := range outcomes {
		if o.Client == Sluice && o.Scenario != sharedKey {
			n += o.Refused
		}
	}
	return n
}
