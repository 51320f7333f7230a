package watch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/report"
	"github.com/sluice-engine/sluice/bench/results"
)

// lines decides when a line is due, by the run's own clock.
type lines struct {
	every   time.Duration
	due     time.Duration
	invalid []string // reasons that have been told, without their figures
	last    string
}

func newLines(every time.Duration) *lines { return &lines{every: every, due: every} }

// next returns what is to be written: nothing, or whole lines. The last snapshot is always
// told.
func (l *lines) next(s results.Snapshot, last bool) string {
	text := ""
	for _, reason := range s.Invalid {
		// Its figures change all the time; that is no news.
		if kind := strings.Map(withoutDigits, reason); !slices.Contains(l.invalid, kind) {
			l.invalid = append(l.invalid, kind)
			text += "INVALID " + report.Printable(reason) + "\n"
		}
	}
	if s.Elapsed < l.due && !last && !s.Ended {
		return text
	}
	line := lineOf(s)
	if line == l.last {
		return text
	}
	l.last = line
	// What was missed is not made up for.
	l.due = max(l.due, s.Elapsed-s.Elapsed%l.every) + l.every
	return text + line
}

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' || r == '.' {
		return -1
	}
	return r
}

// lineOf has a name before each figure, so that grep and awk find them.
func lineOf(s results.Snapshot) string {
	if s.Header.Format == "" && s.Elapsed == 0 && s.Offered == 0 {
		return "" // nothing was ever shown
	}
	phase := phaseOf(s)
	parts := []string{
		fmt.Sprintf("%6.1fs %s", s.Elapsed.Seconds(), phase),
		"offered=" + report.Rate(s.OfferedRate), "sent=" + report.Rate(s.SentRate), "completed=" + report.Rate(s.CompletedRate),
		fmt.Sprintf("total=%d failed=%d inflight=%d waiting=%d", s.Completed, s.Failed, s.InFlight, s.Waiting),
		"p50=" + report.Duration(s.Response.P50), "p90=" + report.Duration(s.Response.P90), "p99=" + report.Duration(s.Response.P99),
		"max=" + report.Duration(s.Response.Max), "service.p99=" + report.Duration(s.Service.P99), "lag.p99=" + report.Duration(s.Lag.P99),
		"total.p99=" + report.Duration(s.Total.P99),
	}
	for _, kind := range kindsOf(s.Errors) {
		parts = append(parts, fmt.Sprintf("error[%s]=%d", report.Printable(kind), s.Errors[kind]))
	}
	for _, v := range s.Verdicts {
		if !v.Held {
			parts = append(parts, "FAILED["+report.Printable(v.Objective)+"]="+report.Printable(v.Measured))
		}
	}
	if len(s.Invalid) > 0 {
		parts = append(parts, "INVALID")
	}
	return strings.Join(parts, " ") + "\n"
}

func phaseOf(s results.Snapshot) string {
	switch {
	case s.Ended:
		return "ended"
	case s.Draining:
		return "draining"
	case s.Phase == results.WarmUp:
		return "warm-up"
	}
	return "main"
}

// kindsOf are the kinds of errors, the most frequent first.
func kindsOf(errors map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(errors), func(a, b string) int {
		return cmp.Or(cmp.Compare(errors[b], errors[a]), cmp.Compare(a, b))
	})
}
