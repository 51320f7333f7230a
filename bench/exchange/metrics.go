package exchange

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Metrics answers every request with the books as they stand, in Prometheus's text format. It
// may be served anywhere: nothing of that is counted.
func (e *Exchange) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(e.Report().metrics())
	})
}

// metric is one name with all its values.
type metric struct {
	name, kind, help string
	samples          []sampled
}

type sampled struct {
	labels []string // name, value, name, value …
	value  float64
}

func (m *metric) add(value float64, labels ...string) {
	m.samples = append(m.samples, sampled{labels, value})
}

// metrics is the report in Prometheus's text format. Counters never fall.
func (r Report) metrics() []byte {
	var b bytes.Buffer
	for _, m := range slices.Concat(r.requestMetrics(), r.violationMetrics(), r.limitMetrics(), r.accountMetrics()) {
		m.write(&b)
	}
	return b.Bytes()
}

func (r Report) requestMetrics() []metric {
	requests := metric{name: "requests_total", kind: "counter", help: "Requests by route and status; none is a connection ended without an answer."}
	weight := metric{name: "route_weight_total", kind: "counter", help: "Weight charged, by route."}
	for _, route := range r.Routes {
		for _, status := range slices.Sorted(maps.Keys(route.Statuses)) {
			requests.add(float64(route.Statuses[status]), "route", route.Route, "status", status)
		}
		weight.add(float64(route.Weight), "route", route.Route)
	}
	faults := metric{name: "faults_total", kind: "counter", help: "Faults that were injected."}
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		faults.add(float64(r.Faults[name]), "fault", name)
	}
	unknown := metric{name: "outcomes_unknown_total", kind: "counter", help: "Requests that were executed and not answered."}
	unknown.add(float64(r.Outcomes.Unknown))
	settled := metric{name: "outcomes_settled_total", kind: "counter", help: "Of them, those that were looked up or sent again."}
	settled.add(float64(r.Outcomes.Asked), "by", "asking")
	settled.add(float64(r.Outcomes.Repeated), "by", "repeating")
	orders := metric{name: "orders_total", kind: "counter", help: "Orders that were accepted."}
	orders.add(float64(r.Orders))
	return []metric{requests, weight, faults, unknown, settled, orders}
}

func (r Report) violationMetrics() []metric {
	violations := metric{name: "violations_total", kind: "counter", help: "What a polite client would not have sent, by kind."}
	for _, v := range ViolationKinds() {
		violations.add(float64(r.Counts[v]), "kind", string(v))
	}
	banned := metric{name: "banned_total", kind: "counter", help: "Requests answered 418."}
	banned.add(float64(r.Banned))
	broken := metric{name: "waits_broken_total", kind: "counter", help: "Requests sent while their client was told to wait."}
	broken.add(float64(r.WaitsBroken()))
	return []metric{violations, banned, broken}
}

func (r Report) limitMetrics() []metric {
	quota := metric{name: "limit_quota", kind: "gauge", help: "What a limit allows in a window."}
	used := metric{name: "limit_weight_total", kind: "counter", help: "Weight that a limit accepted."}
	refused := metric{name: "limit_refused_total", kind: "counter", help: "Requests that a limit refused."}
	fill := metric{name: "limit_peak_fill", kind: "gauge", help: "The most that counted at once, over what may."}
	share := metric{name: "limit_utilisation", kind: "gauge", help: "Weight accepted over weight allowed, first and last window left out."}
	window := metric{name: "limit_window_share", kind: "gauge", help: "Weight accepted in the latest window with an arrival, over the quota."}
	windows := metric{name: "limit_windows_total", kind: "counter", help: "Windows with an arrival."}
	for _, l := range r.Limits {
		labels := []string{"limit", l.Limit, "of", l.Scope}
		quota.add(float64(l.Quota), labels...)
		used.add(float64(l.Weight), labels...)
		refused.add(float64(l.Refused), labels...)
		fill.add(l.PeakFill, labels...)
		share.add(l.Utilisation, labels...)
		windows.add(float64(l.Seen), labels...)
		if n := len(l.Windows); n > 0 {
			window.add(l.Windows[n-1].Share, labels...)
		}
	}
	return []metric{quota, used, refused, fill, share, window, windows}
}

func (r Report) accountMetrics() []metric {
	executed := metric{name: "account_executed_total", kind: "counter", help: "Requests that were executed, by account."}
	for _, a := range r.Accounts {
		executed.add(float64(a.Executed), "account", a.Account)
	}
	fairness := metric{name: "fairness", kind: "gauge", help: "Jain's index of what was executed for each account: 1 is even."}
	fairness.add(r.Fairness)
	late := metric{name: "executed_late_total", kind: "counter", help: "Requests executed after one of a higher number of the same key."}
	for _, s := range r.Sequences {
		late.add(float64(s.Late), "of", s.Of, "key", s.Key, "priority", s.Priority)
	}
	return []metric{executed, fairness, late}
}

var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (m metric) write(b *bytes.Buffer) {
	if len(m.samples) == 0 {
		return
	}
	name := "sluice_exchange_" + m.name
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, m.help, name, m.kind)
	for _, s := range m.samples {
		b.WriteString(name)
		for i := 0; i < len(s.labels); i += 2 {
			separator := ","
			if i == 0 {
				separator = "{"
			}
			fmt.Fprintf(b, `%s%s="%s"`, separator, s.labels[i], escapeLabel.Replace(strings.ToValidUTF8(s.labels[i+1], "�")))
		}
		if len(s.labels) > 0 {
			b.WriteByte('}')
		}
		fmt.Fprintf(b, " %s\n", strconv.FormatFloat(s.value, 'g', -1, 64))
	}
}
