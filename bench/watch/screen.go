package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/sluice-engine/sluice/bench/report"
	"github.com/sluice-engine/sluice/bench/results"
)

// The colours are the terminal's own sixteen, so that they suit a light one and a dark one;
// bubbletea leaves them out where there are none, or NO_COLOR is set.
var (
	bold  = lipgloss.NewStyle().Bold(true)
	faint = lipgloss.NewStyle().Faint(true)
	alarm = lipgloss.NewStyle().Bold(true).Reverse(true).Foreground(lipgloss.Color("1"))
	bad   = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	good  = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	warm  = lipgloss.NewStyle().Foreground(lipgloss.Color("3"))
	blue  = lipgloss.NewStyle().Foreground(lipgloss.Color("4"))
)

// row is a line of the screen; those of the highest rank stay when there is too little room.
type row struct {
	text string
	rank int
}

// screen is everything, cut to the window.
func (m model) screen() string {
	if !m.shown {
		return cut("waiting for the run to begin …", m.width)
	}
	s := m.now
	rows := []row{{m.title(), 9}, {m.progress(), 9}}
	for i, reason := range s.Invalid {
		rows = append(rows, row{alarm.Render(" INVALID ") + " " + bad.Render(report.Printable(reason)), 8 - min(i, 3)})
	}
	rows = append(rows, row{"", 0}, row{rates(s), 7}, row{totals(s), 5}, row{"", 0})
	rows = append(rows, latencies(s)...)
	if line := m.sparkline(); line != "" {
		rows = append(rows, row{line, 4})
	}
	rows = append(rows, section("limits", limits(s.Limits, m.width), 3)...)
	rows = append(rows, section("objectives", objectives(s.Verdicts), 6)...)
	rows = append(rows, section("errors", failures(s), 5)...)
	rows = append(rows, row{"", 0}, row{m.footer(), 8})
	return fit(rows, m.width, m.height)
}

func section(title string, lines []string, rank int) []row {
	if len(lines) == 0 {
		return nil
	}
	rows := []row{{"", 0}, {bold.Render(title), rank}}
	for i, line := range lines {
		// Later ones go first.
		rows = append(rows, row{line, max(rank-i/4, 1)})
	}
	return rows
}

// fit leaves out the lowest ranks, the last of them first, until the rest is no higher than
// the window, and cuts lines that are wider.
func fit(rows []row, width, height int) string {
	for len(rows) > max(height, 1) {
		least := 0
		for i, r := range rows {
			if r.rank <= rows[least].rank {
				least = i
			}
		}
		rows = slices.Delete(rows, least, least+1)
	}
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = cut(r.text, width)
	}
	return strings.Join(lines, "\n")
}

func cut(line string, width int) string {
	return lipgloss.NewStyle().Inline(true).MaxWidth(max(width, 1)).Render(line)
}

func (m model) title() string {
	h := m.now.Header
	name := report.Printable(h.Name)
	if name == "" {
		name = "run " + report.Printable(h.ID)
	}
	phase := strings.ToUpper(phaseOf(m.now))
	style := good
	switch phase {
	case "WARM-UP", "DRAINING":
		style = warm
	}
	text := bold.Render(name) + faint.Render(" · "+report.Printable(h.Model)+" · "+report.Printable(h.Client)+" · ") + style.Bold(true).Render(phase)
	if m.asked && !m.now.Ended {
		text += warm.Render(" · ending early")
	}
	return text
}

// share is how much of a run is done, from 0 to 1; false if nobody knows.
func share(s results.Snapshot) (float64, bool) {
	h := s.Header
	switch {
	case s.Ended:
		return 1, true
	case h.Length > 0:
		return min(max(float64(s.Elapsed)/float64(h.Length), 0), 1), true
	case h.Planned > 0:
		return min(float64(s.Completed)/float64(h.Planned), 1), true
	}
	return 0, false
}

func (m model) progress() string {
	s := m.now
	done, known := share(s)
	if !known {
		return clock(s.Elapsed) + faint.Render(" so far")
	}
	text := fmt.Sprintf(" %3.0f %%  %s", 100*done, clock(s.Elapsed))
	if length := s.Header.Length; length > 0 {
		text += " of " + clock(length)
		if left := length - s.Elapsed; left > 0 && !s.Ended {
			text += ", " + clock(left) + " left"
		}
	}
	if s.Draining && !s.Ended {
		text += fmt.Sprintf(", waiting for %d answers", s.InFlight+s.Waiting)
	}
	return blue.Render(bar(done, min(max(m.width-lipgloss.Width(text)-1, 5), 60))) + text
}

// clock rounds to what changes at a pace that can be read.
func clock(d time.Duration) string {
	if d < 10*time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// bar fills a share of so many columns, to an eighth of one.
func bar(share float64, columns int) string {
	columns = max(columns, 1)
	eighths := int(min(max(share, 0), 1)*float64(columns)*8 + 0.5)
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return text + strings.Repeat("░", columns-lipgloss.Width(text))
}

func rates(s results.Snapshot) string {
	return fmt.Sprintf("%s %-10s %s %-10s %s %-10s %s %-6d %s %-6d %s %d",
		faint.Render("offered"), report.Rate(s.OfferedRate), faint.Render("sent"), report.Rate(s.SentRate),
		faint.Render("completed"), report.Rate(s.CompletedRate), faint.Render("in flight"), s.InFlight,
		faint.Render("waiting"), s.Waiting, faint.Render("connections"), s.Connections)
}

func totals(s results.Snapshot) string {
	failed := fmt.Sprintf("%d failed", s.Failed)
	if s.Failed > 0 {
		failed = bad.Render(failed)
	}
	return fmt.Sprintf("%s %d offered, %d sent, %d completed, %s", faint.Render("in all"), s.Offered, s.Sent, s.Completed, failed)
}

func latencies(s results.Snapshot) []row {
	rows := []row{{faint.Render(fmt.Sprintf("%-17s%10s%10s%10s%10s%10s", "", "p50", "p90", "p99", "p99.9", "max")), 7}}
	for _, l := range []struct {
		name string
		q    results.Quantiles
		rank int
	}{{"response, now", s.Response, 7}, {"response, all", s.Total, 7}, {"service, now", s.Service, 4}, {"lag, now", s.Lag, 4}} {
		text := fmt.Sprintf("%-17s", l.name)
		for _, d := range []time.Duration{l.q.P50, l.q.P90, l.q.P99, l.q.P999, l.q.Max} {
			text += fmt.Sprintf("%10s", report.Duration(d))
		}
		rows = append(rows, row{text, l.rank})
	}
	return rows
}

// sparkline draws p99 by the second, as high as its highest; it is empty before the first is known.
func (m model) sparkline() string {
	const label = "p99 by second   "
	columns := max(m.width-len(label)-12, 5)
	drawn := m.history[max(len(m.history)-columns, 0):]
	most := time.Duration(0)
	for _, d := range drawn {
		most = max(most, d)
	}
	if most == 0 {
		return label + faint.Render("no second has ended yet")
	}
	var w strings.Builder
	for _, d := range drawn {
		if d <= 0 {
			w.WriteByte(' ')
			continue
		}
		w.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(int(8*float64(d)/float64(most)), 7)])
	}
	return label + blue.Render(w.String()) + faint.Render(" ≤ "+report.Duration(most))
}

// mostLimits is how many limits are listed: the fullest.
const mostLimits = 8

func limits(all []results.LimitUse, width int) []string {
	fill := func(l results.LimitUse) float64 {
		if l.Quota <= 0 {
			return 0
		}
		return float64(l.Used) / float64(l.Quota)
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b results.LimitUse) int { return -compare(fill(a), fill(b)) })
	var lines []string
	for _, l := range sorted[:min(len(sorted), mostLimits)] {
		style := good
		switch {
		case fill(l) > 1 || l.Refusals > 0:
			style = bad
		case fill(l) >= 0.8:
			style = warm
		}
		text := fmt.Sprintf("%-16s ", cut(report.Printable(l.ID), 16)) + style.Render(bar(fill(l), min(max(width-60, 5), 30))) +
			fmt.Sprintf(" %3.0f %%  %d of %d", 100*fill(l), l.Used, l.Quota)
		if l.Queued > 0 {
			text += fmt.Sprintf(", %d queued", l.Queued)
		}
		if l.Refusals > 0 {
			text += bad.Render(fmt.Sprintf(", %d refused", l.Refusals))
		}
		lines = append(lines, text)
	}
	if more := len(sorted) - mostLimits; more > 0 {
		lines = append(lines, faint.Render(fmt.Sprintf("and %d that are less full", more)))
	}
	return lines
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func objectives(verdicts []results.Verdict) []string {
	var lines []string
	for _, v := range verdicts {
		word := good.Render("holds ")
		if !v.Held {
			word = bad.Render("FAILED")
		}
		lines = append(lines, word+"  "+report.Printable(v.Objective)+faint.Render("  "+report.Printable(v.Measured)))
	}
	return lines
}

// mostKinds is how many kinds of errors are listed: the most frequent.
const mostKinds = 8

func failures(s results.Snapshot) []string {
	kinds := kindsOf(s.Errors)
	var lines []string
	for _, kind := range kinds[:min(len(kinds), mostKinds)] {
		lines = append(lines, fmt.Sprintf("%10d  ", s.Errors[kind])+bad.Render(report.Printable(kind)))
	}
	if more := len(kinds) - mostKinds; more > 0 {
		lines = append(lines, faint.Render(fmt.Sprintf("and %d kinds that are rarer", more)))
	}
	return lines
}

func (m model) footer() string {
	switch {
	case m.now.Ended:
		return faint.Render("the run has ended")
	case m.asked:
		return faint.Render("ending: answers that are outstanding are waited for; q again closes this view")
	}
	return faint.Render("q ends the run early, with a report")
}
