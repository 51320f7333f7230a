package panels

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// mostOperations is how many operations the table has: those with the most requests.
const mostOperations = 200

// operations is panel 9.
func (m *material) operations() panel {
	p := panel{ID: m.prefix + "-operations", Number: 9, Title: "Operations", Note: "A column's name sorts by it."}
	names := slices.DeleteFunc(slices.Collect(maps.Keys(m.total)), func(name string) bool { return name == "" || m.total[name] == nil })
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(m.total[b].Count, m.total[a].Count), strings.Compare(a, b))
	})
	if len(names) == 0 {
		p.Empty = "No operation has been measured yet."
		return p
	}
	t := table{ID: p.ID + "-table", Caption: "Operations", Open: true, Sorts: true, Columns: header("Operation", "Requests", "Failed", "p50", "p90", "p99", "p99.9", "max", "Service p99", "Mean size", "Answers")}
	t.Columns[10].Number = false
	slowest := names[0]
	for _, name := range names[:min(len(names), mostOperations)] {
		if p99Of(m.total[name]) > p99Of(m.total[slowest]) {
			slowest = name
		}
		t.Rows = append(t.Rows, operationRow(name, m.total[name]))
	}
	if len(names) > mostOperations {
		t.More = many(len(names)-mostOperations, "operation") + " with fewer requests are not listed."
	}
	p.Tables = []table{t}
	p.Says = fmt.Sprintf("%s measured. The slowest at the 99th percentile was %s, with %s.", areOf(len(names), "operation"), clipped(slowest, 60), latency(p99Of(m.total[slowest])))
	return p
}

func p99Of(o *results.Operation) time.Duration {
	if o.Response == nil {
		return 0
	}
	return o.Response.Quantile(0.99)
}

func operationRow(name string, o *results.Operation) []cell {
	failed := o.Failed()
	row := []cell{text(clipped(name, 120)), number(count(o.Count), float64(o.Count)), number(share(float64(failed), float64(o.Count)), float64(failed)/float64(max(o.Count, 1)))}
	if failed > 0 {
		row[2].Tone = "bad"
	}
	timed := func(h *results.Histogram, of func(*results.Histogram) time.Duration) cell {
		if h == nil || h.Count() == 0 {
			return number("–", -1)
		}
		return number(latency(of(h)), float64(of(h)))
	}
	at := func(q float64) func(*results.Histogram) time.Duration {
		return func(h *results.Histogram) time.Duration { return h.Quantile(q) }
	}
	mean := float64(o.In) / float64(max(o.Count, 1))
	return append(row, timed(o.Response, at(0.5)), timed(o.Response, at(0.9)), timed(o.Response, at(0.99)), timed(o.Response, at(0.999)), timed(o.Response, (*results.Histogram).Max),
		timed(o.Service, at(0.99)), number(size(mean), mean), text(statusText(o.Statuses)))
}

// statusText has the answers by status, the most frequent first.
func statusText(statuses map[int]uint64) string {
	all := slices.SortedFunc(maps.Keys(statuses), func(a, b int) int {
		return cmp.Or(cmp.Compare(statuses[b], statuses[a]), cmp.Compare(a, b))
	})
	var words []string
	for i, status := range all {
		if i == 5 {
			words = append(words, fmt.Sprintf("%d more", len(all)-i))
			break
		}
		words = append(words, fmt.Sprintf("%s × %d", count(statuses[status]), status))
	}
	return strings.Join(words, ", ")
}
