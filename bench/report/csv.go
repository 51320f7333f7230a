package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"github.com/sluice-engine/sluice/bench/results"
)

// csvColumns name the columns and their units. What was not measured is empty.
var csvColumns = []string{
	"second", "seconds", "phase", "operation", "offered", "sent", "completed", "count", "failed",
	"response_p50_us", "response_p90_us", "response_p99_us", "response_p99_9_us", "response_max_us",
	"service_p50_us", "service_p99_us", "lag_p50_us", "lag_p99_us", "wait_p50_us", "wait_p99_us",
	"in_flight", "waiting", "connections", "cpu_s", "heap_bytes", "gc_s",
}

// CSV writes a row for each interval, with an empty operation, and one for each operation in
// it, as RFC 4180 has it. A name that a spreadsheet could take for a formula has an apostrophe
// before it.
func CSV(w io.Writer, run *results.Run) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	err := out.Write(csvColumns)
	names := operationsOf(run)
	for i := range run.Series {
		s := &run.Series[i]
		err = firstOf(err, out.Write(rowOf(s, run.Step, "", s.All())))
		for _, name := range names {
			if o := s.Operations[name]; o != nil {
				err = firstOf(err, out.Write(rowOf(s, run.Step, name, o)))
			}
		}
	}
	out.Flush()
	return firstOf(err, out.Error())
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func rowOf(s *results.Interval, step int, name string, o *results.Operation) []string {
	row := []string{strconv.Itoa(s.Second), strconv.Itoa(step), string(s.Phase), harmless(name)}
	count := func(n uint64) { row = append(row, strconv.FormatUint(n, 10)) }
	if name == "" {
		count(s.Offered)
		count(s.Sent)
		count(s.Completed)
	} else {
		row = append(row, "", "", "") // are not known by operation
	}
	count(o.Count)
	count(o.Failed())
	quantiles := func(h *results.Histogram, shares ...float64) {
		for _, q := range shares {
			if h.Count() == 0 {
				row = append(row, "")
				continue
			}
			row = append(row, decimal(microseconds(h.Quantile(q))))
		}
	}
	quantiles(o.Response, 0.5, 0.9, 0.99, 0.999, 1)
	quantiles(o.Service, 0.5, 0.99)
	quantiles(o.Lag, 0.5, 0.99)
	quantiles(o.Wait, 0.5, 0.99)
	g := s.Gauges
	if g == nil || name != "" {
		return append(row, "", "", "", "", "", "")
	}
	return append(row, strconv.Itoa(g.InFlight), strconv.Itoa(g.Waiting), strconv.Itoa(g.Connections),
		decimal(g.CPU.Seconds()), strconv.FormatUint(g.Heap, 10), decimal(g.GC.Seconds()))
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// harmless keeps a spreadsheet from computing what somebody called an operation.
func harmless(name string) string {
	name = Printable(name)
	if strings.HasPrefix(strings.TrimLeft(name, " "), "=") || strings.IndexAny(name, "+-@|%") == 0 {
		return "'" + name
	}
	return name
}
