package report

import (
	"bufio"
	"fmt"
	"io"

	"github.com/sluice-engine/sluice/bench/results"
)

// Bench writes runs in Go's benchmark format, which benchstat reads: a line for each run and
// operation, and one for all of them. A line is one sample; give benchstat ten runs or more of
// each side. Runs that are not valid say so in a setting, by which benchstat keeps them apart.
func Bench(w io.Writer, runs ...*results.Run) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "Unit req/s better=higher")
	fmt.Fprintln(out, "Unit errors/req better=lower")
	for _, run := range runs {
		h := run.Header
		fmt.Fprintf(out, "\ngoversion: %s\nsystem: %s\ncpu: %s\nhost: %s\nmodel: %s\nclient: %s\nverdict: %s\n",
			orWord(h.Environment.Go), orWord(h.Environment.System), orWord(h.Environment.CPU), orWord(h.Environment.Host), orWord(h.Model), orWord(h.Client), Judge(run).Word)
		names := operationsOf(run)
		labels := words(names)
		benchLine(out, run, "all", operation(run.Total, ""))
		for _, name := range names {
			if len(names) > 1 {
				benchLine(out, run, labels[name], operation(run.Total, name))
			}
		}
	}
	return out.Flush()
}

// orWord is a value of a setting: a line of text that is not empty.
func orWord(s string) string {
	if s == "" {
		return "unknown"
	}
	return Printable(s)
}

func benchLine(out io.Writer, run *results.Run, label string, o *results.Operation) {
	if o.Response.Count() == 0 {
		return
	}
	q, s := o.Response.Quantiles(), o.Service.Quantiles()
	fmt.Fprintf(out, "BenchmarkRun/op=%s-%d\t%d\t%d ns/op\t%d p50-ns\t%d p90-ns\t%d p99-ns\t%d p99.9-ns\t%d max-ns\t%d service-p50-ns\t%d service-p99-ns",
		label, max(run.Header.Environment.Procs, 1), max(o.Count, 1), o.Response.Mean(), q.P50, q.P90, q.P99, q.P999, q.Max, s.P50, s.P99)
	fmt.Fprintf(out, "\t%.6g errors/req\t%.6g req/s\n", float64(o.Failed())/float64(max(o.Count, 1)), countsOf(run).rate(o.Count))
}
