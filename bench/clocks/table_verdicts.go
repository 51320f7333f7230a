package clocks

import (
	"fmt"
	"strings"
	"time"
)

// Verdicts compares the table with what is promised.
func (t *Table) Verdicts() []Verdict {
	all := []Verdict{t.boundVerdict()}
	for _, n := range networks {
		if n.p99 > 0 {
			all = append(all, t.p99Verdict(n))
		}
	}
	all = append(all, t.widthVerdict(), t.dateVerdict())
	all = append(all, t.peerVerdict("mean error", func(r Row) float64 { return r.MeanError }))
	if t.Config.Runs < defaultRuns { // of so few the 99th percentile in each cell is an accident
		return all
	}
	return append(all, t.peerVerdict("p99 error", func(r Row) float64 { return r.P99Error }))
}

func (t *Table) boundVerdict() Verdict {
	failures, checks := 0, 0
	for _, s := range situations {
		for _, r := range t.of(Sluice, s.name) {
			if s.within {
				failures, checks = failures+r.BoundFailures, checks+r.Checks
			}
		}
	}
	return none("the truth outside the claimed bound, exchange steps apart", failures, checks)
}

// of selects rows; no scenario means all.
func (t *Table) of(estimator, scenario string) (rows []Row) {
	for _, r := range t.Rows {
		if r.Estimator == estimator && (scenario == "" || r.Scenario == scenario) {
			rows = append(rows, r)
		}
	}
	return rows
}

func (t *Table) steady(network string) (Row, bool) {
	for _, r := range t.of(Sluice, drifting) {
		if r.Network == network && r.Resolution == time.Millisecond.String() {
			return r, true
		}
	}
	return Row{}, false
}

func missing(promise string) Verdict { return Verdict{Promise: promise, Measured: "not measured"} }

func (t *Table) p99Verdict(n network) Verdict {
	promise := fmt.Sprintf("p99 error, steady, %s, 1 ms, a sample a second", n.Name)
	if r, ok := t.steady(n.Name); ok {
		return atMost(promise, r.P99Error, n.p99)
	}
	return missing(promise)
}

// widthVerdict holds the 99th percentile against the promise, not the mean.
func (t *Table) widthVerdict() Verdict {
	quiet := networks[0]
	promise := "p99 half-width on the quiet path, RTTmin/2 + 2.5"
	if r, ok := t.steady(quiet.Name); ok {
		return atMost(promise, r.P99HalfWidth, millis(quiet.minTrip)/2+2.5)
	}
	return missing(promise)
}

func (t *Table) dateVerdict() Verdict {
	promise := "widest bound after 8 requests, Date header only, 10 ms path"
	for _, s := range t.Starts {
		if s.Network == prompt && s.Resolution == time.Second.String() && s.Requests == 8 {
			return atMost(promise, s.Max, 10)
		}
	}
	return missing(promise)
}

func (t *Table) peerVerdict(what string, of func(Row) float64) Verdict {
	theirs := map[string]float64{}
	for _, r := range t.of(Reference, "") {
		theirs[r.cell()] = of(r)
	}
	var worse []string
	cells := 0
	for _, r := range t.of(Sluice, "") {
		if !symmetric(r.Network) {
			continue
		}
		cells++
		if of(r) >= theirs[r.cell()] {
			worse = append(worse, fmt.Sprintf("%s (%.2f against %.2f ms)", r.cell(), of(r), theirs[r.cell()]))
		}
	}
	v := Verdict{
		Promise:  what + " below the reference's in every symmetric cell",
		Measured: fmt.Sprintf("%d of %d", cells-len(worse), cells),
		Kept:     len(worse) == 0 && cells > 0,
	}
	if len(worse) > 0 {
		v.Measured += ", not in " + strings.Join(worse, ", ")
	}
	return v
}

func (r Row) cell() string { return r.Network + ", " + r.Scenario + ", " + r.Resolution }

func symmetric(name string) bool {
	for _, n := range networks {
		if n.Name == name {
			return n.symmetric
		}
	}
	return false
}
