package report

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-engine/sluice/bench/results"
)

// Prometheus writes a run as metrics in Prometheus's text format, for a push gateway or a
// file that a node's exporter collects. Durations are in seconds; summaries are of the main
// part.
func Prometheus(w io.Writer, run *results.Run) error {
	out := bufio.NewWriter(w)
	h, o, c := run.Header, Judge(run), countsOf(run)
	family(out, "sluice_run_info", "gauge", "what was run, as labels")
	sample(out, "sluice_run_info", "1", "id", h.ID, "name", h.Name, "model", h.Model, "client", h.Client, "host", h.Environment.Host, "commit", h.Environment.Commit, "verdict", o.Word)
	gauge := func(name, help string, v float64) {
		family(out, name, "gauge", help)
		sample(out, name, decimal(v))
	}
	gauge("sluice_run_valid", "1 if the figures can be believed", oneIf(o.Valid()))
	gauge("sluice_run_none_succeeded", "1 if there were requests, and all have failed", oneIf(o.NoneSucceeded))
	gauge("sluice_run_start_time_seconds", "instant 0 of the schedule", float64(max(h.Started.UnixMilli(), 0))/1000)
	gauge("sluice_run_seconds", "length of the main part", c.over.Seconds())
	gauge("sluice_requests_offered", "requests that were due in the main part", float64(c.Offered))
	gauge("sluice_requests_sent", "of those that were due in the main part, the ones that were sent", float64(c.Sent))
	gauge("sluice_requests_completed", "of those that were due in the main part, the ones that ended", float64(c.Completed))
	gauge("sluice_requests_unfinished", "requests without an answer when the run ended", float64(run.End.Unfinished))
	if len(o.Verdicts) > 0 {
		family(out, "sluice_objective_held", "gauge", "1 if the objective held")
		told := map[string]bool{}
		for _, v := range o.Verdicts {
			if !told[v.Objective] {
				sample(out, "sluice_objective_held", decimal(oneIf(v.Held)), "objective", v.Objective)
			}
			told[v.Objective] = true
		}
	}
	prometheusOperations(out, run)
	return out.Flush()
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func prometheusOperations(out io.Writer, run *results.Run) {
	names := operationsOf(run)
	each := func(name, kind, help string, f func(label string, o *results.Operation)) {
		family(out, name, kind, help)
		for _, operationName := range names {
			f(operationName, operation(run.Total, operationName))
		}
	}
	each("sluice_requests", "gauge", "requests whose end was recorded", func(label string, o *results.Operation) {
		sample(out, "sluice_requests", strconv.FormatUint(o.Count, 10), "operation", label)
	})
	each("sluice_responses", "gauge", "answers by status", func(label string, o *results.Operation) {
		for _, status := range slices.Sorted(maps.Keys(o.Statuses)) {
			sample(out, "sluice_responses", strconv.FormatUint(o.Statuses[status], 10), "operation", label, "status", strconv.Itoa(status))
		}
	})
	each("sluice_errors", "gauge", "errors by kind", func(label string, o *results.Operation) {
		for _, kind := range slices.Sorted(maps.Keys(o.Errors)) {
			sample(out, "sluice_errors", strconv.FormatUint(o.Errors[kind], 10), "operation", label, "kind", kind)
		}
	})
	for _, k := range kinds {
		name := "sluice_" + k.name + "_seconds"
		each(name, "summary", k.means, func(label string, o *results.Operation) { summary(out, name, label, k.of(o)) })
	}
}

func summary(out io.Writer, name, label string, h *results.Histogram) {
	if h.Count() == 0 {
		return
	}
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		sample(out, name, decimal(h.Quantile(q).Seconds()), "operation", label, "quantile", decimal(q))
	}
	sample(out, name+"_sum", decimal(h.Mean().Seconds()*float64(h.Count())), "operation", label)
	sample(out, name+"_count", strconv.FormatUint(h.Count(), 10), "operation", label)
}

func family(out io.Writer, name, kind, help string) {
	fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample writes one; labels are names and values by turns.
func sample(out io.Writer, name, value string, labels ...string) {
	var pairs []string
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+`="`+labelEscapes.Replace(Printable(labels[i+1]))+`"`)
	}
	if len(pairs) > 0 {
		name += "{" + strings.Join(pairs, ",") + "}"
	}
	fmt.Fprintf(out, "%s %s\n", name, value)
}
