package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-engine/sluice/bench/results"
)

// leastWidth is the narrowest that anything is drawn for.
const leastWidth = 40

// text gathers lines that are no wider than width, but for one word that is.
type text struct {
	bytes.Buffer
	width int
}

// Text writes a report for people, as wide as their terminal: 0 means 80, and less than 40 is
// 40. It holds no codes for terminals, whatever the run's names hold.
func Text(w io.Writer, run *results.Run, width int) error {
	t := &text{width: max(cmp.Or(width, 80), leastWidth)}
	t.verdict(Judge(run))
	t.about(run)
	t.requests(run)
	t.latencies(run)
	t.failures(run)
	t.times(run)
	t.charts(run)
	_, err := w.Write(t.Bytes())
	return err
}

// verdict comes first: figures of a run that is not valid must not be read past it.
func (t *text) verdict(o Outcome) {
	fmt.Fprintln(t, o.Word)
	for _, reason := range o.Reasons {
		t.wrapped("  - ", "    ", Printable(reason))
	}
	if o.NoneSucceeded {
		fmt.Fprintln(t, "NO REQUEST SUCCEEDED")
	}
	if len(o.Verdicts) == 0 {
		return
	}
	if failed := o.Failed(); failed > 0 {
		fmt.Fprintf(t, "OBJECTIVES FAILED: %d of %d\n", failed, len(o.Verdicts))
	} else {
		fmt.Fprintf(t, "objectives held: %d of %d\n", len(o.Verdicts), len(o.Verdicts))
	}
	for _, v := range o.Verdicts {
		word := "held  "
		if !v.Held {
			word = "FAILED"
		}
		t.wrapped("  "+word+"  ", "          ", Printable(v.Objective)+": measured "+Printable(v.Measured))
	}
}

// line writes a name and what is to be said of it; nothing of nothing.
func (t *text) line(name, value string) {
	if value != "" {
		t.wrapped(fmt.Sprintf("%-12s", name), strings.Repeat(" ", 12), value)
	}
}

// wrapped breaks a text at its blanks.
func (t *text) wrapped(first, next, value string) {
	line := first
	empty := true
	for _, w := range strings.Fields(value) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > t.width {
			fmt.Fprintln(t, line)
			line, empty = next, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+w, false
	}
	fmt.Fprintln(t, line)
}

func (t *text) about(run *results.Run) {
	h, e := run.Header, run.Header.Environment
	fmt.Fprintln(t)
	t.line("name", Printable(h.Name))
	when := ""
	if !h.Started.IsZero() {
		when = ", started " + h.Started.Format(time.RFC3339)
	}
	t.line("run", Printable(h.ID)+when+", "+Duration(elapsedOf(run))+", "+cmp.Or(Printable(run.End.Reason), "no end"))
	t.line("model", modelOf(h))
	t.line("schedule", scheduleOf(h))
	if h.WarmUp > 0 {
		t.line("warm-up", fmt.Sprintf("%s, with %s requests, is kept apart from everything below", Duration(h.WarmUp), thousands(operation(run.Warm, "").Count)))
	}
	client := Printable(h.Client)
	if h.Connections > 0 {
		client += fmt.Sprintf(", at most %d connections", h.Connections)
	}
	t.line("client", client)
	machine := []string{Printable(e.CPU), fmt.Sprintf("%d CPUs", e.CPUs), fmt.Sprintf("GOMAXPROCS %d", e.Procs), Printable(e.System), Printable(e.Go)}
	if e.Commit != "" {
		machine = append(machine, "commit "+Printable(e.Commit))
	}
	if e.Governor != "" {
		machine = append(machine, "governor "+Printable(e.Governor))
	}
	machine = append(machine, fmt.Sprintf("load %.2f before", e.Load))
	t.line("machine", cmp.Or(Printable(e.Host), "without a name")+": "+strings.Join(machine, ", "))
	if len(h.Machines) > 0 {
		all := make([]string, len(h.Machines))
		for i, m := range h.Machines {
			all[i] = Printable(m)
		}
		t.line("machines", strings.Join(all, ", "))
	}
	for _, note := range run.End.Notes {
		t.line("note", Printable(note))
	}
}

func (t *text) requests(run *results.Run) {
	c, all := countsOf(run), operation(run.Total, "")
	fmt.Fprintln(t)
	t.line("requests", fmt.Sprintf("%s due, %s sent, %s completed, %s failed", thousands(c.Offered), thousands(c.Sent), thousands(c.Completed), thousands(all.Failed())))
	if all.Repeats > 0 {
		t.line("repeated", fmt.Sprintf("%s times the client sent a request once more by itself, so that the server has seen more requests than there are here", thousands(all.Repeats)))
	}
	t.line("rates", fmt.Sprintf("%s due, %s sent, %s completed, over %s", Rate(c.rate(c.Offered)), Rate(c.sentRate()), Rate(c.completedRate()), Duration(c.over)))
	t.line("bodies", fmt.Sprintf("%s in, %s out", size(all.In), size(all.Out)))
	if n := run.End.Unfinished; n > 0 {
		t.line("unfinished", fmt.Sprintf("%s had no answer when the run ended, %s of them not sent as far as is known: they count with the time that they had taken by then, so the truth is worse", thousands(n), thousands(run.End.NeverSent)))
	}
}

func size(n uint64) string {
	unit := 0
	v := float64(n)
	for v >= 999.5 && unit < 5 {
		v /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return digits(v) + " " + []string{"", "kB", "MB", "GB", "TB", "PB"}[unit]
}

// kinds are the latencies of the table, each with what it is.
var kinds = []struct {
	name, means string
	of          func(*results.Operation) *results.Histogram
}{
	{"response", "from the instant due to the end", func(o *results.Operation) *results.Histogram { return o.Response }},
	{"service", "from the first byte sent to the end", func(o *results.Operation) *results.Histogram { return o.Service }},
	{"lag", "from due until handed to the client: this program's own", func(o *results.Operation) *results.Histogram { return o.Lag }},
	{"wait", "from handed to the first byte sent: the client's queue", func(o *results.Operation) *results.Histogram { return o.Wait }},
	{"success", "response of those without an error", func(o *results.Operation) *results.Histogram { return o.Success }},
	{"connect", "set-up of connections", func(o *results.Operation) *results.Histogram { return o.Connect }},
}

func (t *text) latencies(run *results.Run) {
	names := operationsOf(run)
	fmt.Fprintf(t, "\n%-11s%9s%9s%9s%9s%9s%9s\n", "latency", "p50", "p90", "p99", "p99.9", "max", "mean")
	if len(names) != 1 {
		t.latency("all operations", operation(run.Total, ""))
	}
	for _, name := range names {
		t.latency(Printable(name), operation(run.Total, name))
	}
	for i, k := range kinds {
		if told(i, operation(run.Total, "")) { // an operation has no row that all together have not
			t.wrapped(fmt.Sprintf("  %-10s", k.name), strings.Repeat(" ", 12), k.means)
		}
	}
}

// told says whether a kind of latency has a row: success only where it differs.
func told(kind int, o *results.Operation) bool {
	k := kinds[kind]
	return k.of(o).Count() > 0 && (k.name != "success" || o.Failed() > 0)
}

func (t *text) latency(name string, o *results.Operation) {
	t.wrapped("", "  ", fmt.Sprintf("%s: %s requests, %s failed", name, thousands(o.Count), thousands(o.Failed())))
	for i, k := range kinds {
		if !told(i, o) {
			continue
		}
		h := k.of(o)
		q := h.Quantiles()
		fmt.Fprintf(t, "  %-9s", k.name)
		for _, d := range []time.Duration{q.P50, q.P90, q.P99, q.P999, q.Max, h.Mean()} {
			// %9s counts runes, so that µ is one.
			fmt.Fprintf(t, "%9s", Duration(d))
		}
		fmt.Fprintln(t)
	}
}

func (t *text) failures(run *results.Run) {
	all := operation(run.Total, "")
	if len(all.Statuses) > 0 {
		var parts []string
		for _, status := range slices.Sorted(maps.Keys(all.Statuses)) {
			parts = append(parts, strconv.Itoa(status)+" × "+thousands(all.Statuses[status]))
		}
		fmt.Fprintln(t)
		t.line("statuses", strings.Join(parts, ", "))
	}
	if len(all.Errors) == 0 {
		return
	}
	kinds := slices.SortedFunc(maps.Keys(all.Errors), func(a, b string) int {
		return cmp.Or(cmp.Compare(all.Errors[b], all.Errors[a]), cmp.Compare(a, b))
	})
	fmt.Fprintln(t, "\nerrors")
	for _, kind := range kinds {
		share := 0.0
		if all.Count > 0 {
			share = 100 * float64(all.Errors[kind]) / float64(all.Count)
		}
		t.wrapped(fmt.Sprintf("%12s  %6.2f %%  ", thousands(all.Errors[kind]), share), strings.Repeat(" ", 24), Printable(kind))
		if message := all.Samples[kind]; message != "" {
			t.wrapped(strings.Repeat(" ", 24), strings.Repeat(" ", 24), Printable(message))
		}
	}
}

// times says where the time of a request went, on average.
func (t *text) times(run *results.Run) {
	all := operation(run.Total, "")
	if all.Count == 0 || all.Stages == (results.Stages{}) {
		return
	}
	var parts []string
	for _, s := range stagesOf(all.Stages) {
		if s.took > 0 {
			parts = append(parts, s.name()+" "+Duration(time.Duration(float64(s.took)/float64(all.Count))))
		}
	}
	fmt.Fprintln(t)
	t.line("stages", "on average of all requests: "+strings.Join(parts, ", "))
}

// stage is one of results.Stages, by its key there.
type stage struct {
	key  string
	took time.Duration
}

// name is what people are told. The key of the wait for an answer is the word for the client's
// own queue, among the latencies.
func (s stage) name() string {
	if s.key == "wait" {
		return "first byte"
	}
	return s.key
}

func stagesOf(s results.Stages) []stage {
	return []stage{
		{"queue", s.Queue}, {"lease", s.Lease}, {"connect", s.Connect}, {"tls", s.TLS}, {"send", s.Send}, {"wait", s.Wait}, {"receive", s.Receive},
	}
}
