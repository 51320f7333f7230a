package panels

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// head is what stands above the panels of a run.
type head struct {
	Tone, Word, Verdict string
	Failed              string   // that no request succeeded, and what became of objectives that did not hold
	Reasons             []string // why it is not valid
	Model               string   // a sentence about what was measured
	Times, Counts       []fact   // the numbers that are looked for first
	Facts               []fact
	Objectives          *table
	Notes               []string
}

type fact struct{ Name, Value, Note string }

func (m *material) head() head {
	h := head{Model: m.model(), Times: m.times(), Counts: m.counts(), Facts: m.facts(), Objectives: m.objectives(), Notes: slices.Clone(m.end.Notes)}
	h.Tone, h.Word, h.Verdict, h.Failed, h.Reasons = m.verdict()
	if m.end.Unfinished > 0 {
		h.Notes = append(h.Notes, "Requests that had not ended when the run did count with the time they had waited: the least they can have taken. Where they are many, high percentiles are lower bounds.")
	}
	return h
}

// verdict says first whether the figures may be believed, and then whether they are good.
func (m *material) verdict() (tone, word, sentence, failed string, reasons []string) {
	verdicts, invalid := m.end.Verdicts, m.end.Invalid
	if m.running != nil {
		verdicts, invalid = m.running.Verdicts, m.running.Invalid
	}
	missed := 0
	for _, v := range verdicts {
		if !v.Held {
			missed++
		}
	}
	if missed > 0 {
		failed = failedText(missed, len(verdicts))
	}
	if m.running == nil && m.all().NoneSucceeded() { // while it runs, one may yet
		failed = strings.TrimSpace("No request succeeded. " + failed)
	}
	switch {
	case m.running != nil && len(invalid) > 0:
		return "bad", "INVALID so far", unbelievable, failed, invalid
	case m.running != nil:
		return "busy", "RUNNING", m.progress(), failed, nil
	case len(invalid) > 0:
		return "bad", "INVALID", unbelievable, failed, invalid
	case !m.whole:
		return "bad", "INCOMPLETE", "The file ends before the run did: it crashed, or is still going on.", failed, []string{"What was not written is missing from every figure, and nobody has judged whether the harness held its rate."}
	case failed != "":
		return "failed", "VALID", m.kept() + "." + m.early(), failed, nil
	case len(verdicts) > 0:
		return "good", "VALID", m.kept() + ", and " + heldText(len(verdicts)) + "." + m.early(), "", nil
	}
	return "good", "VALID", m.kept() + ". No objective was set." + m.early(), "", nil
}

const unbelievable = "The harness did not hold what was asked of it. The figures below are not to be quoted."

// kept says what a valid run is.
func (m *material) kept() string {
	if m.header.Model == "closed" {
		return "The callers went on as they were asked to"
	}
	return "The harness held its rate"
}

func heldText(n int) string {
	if n == 1 {
		return "the objective held"
	}
	return fmt.Sprintf("all %d objectives held", n)
}

func failedText(failed, n int) string {
	if n == 1 {
		return "The objective failed."
	}
	return fmt.Sprintf("%d of %d objectives failed.", failed, n)
}

func (m *material) early() string {
	if r := m.end.Reason; r != "" && r != "finished" {
		return " It ended early: " + r + "."
	}
	return ""
}

func (m *material) progress() string {
	s := m.running
	text := length(s.Elapsed.Round(time.Second))
	if m.header.Length > 0 {
		text += " of " + length(m.header.Length)
	}
	switch {
	case s.Draining:
		return text + " have passed: nothing more is sent, and answers are waited for."
	case s.Phase == results.WarmUp:
		return text + " have passed, and it warms up."
	}
	return text + " have passed."
}

// model says what kind of run it was, and what it cannot show.
func (m *material) model() string {
	if m.header.Model == "closed" {
		text := fmt.Sprintf("Closed: %s each sent the next request when the last was answered", many(m.header.Callers, "caller"))
		if m.header.Think > 0 {
			text += ", after " + latency(m.header.Think) + " of thought"
		}
		return text + ". It omits what did not arrive: while the server was slow nothing was sent, and the waits of those requests are in no figure. Its latencies say nothing of users who come whether or not the server is ready."
	}
	return "Open: requests were due by a schedule, whether or not earlier ones were answered. Response time counts from the instant a request was due, service time from its first byte out."
}

func (m *material) objectives() *table {
	verdicts := m.end.Verdicts
	if m.running != nil {
		verdicts = m.running.Verdicts
	}
	if len(verdicts) == 0 {
		return nil
	}
	t := &table{ID: m.prefix + "-objectives", Caption: "Objectives", Open: true, Columns: []column{{Name: "Objective"}, {Name: "Outcome"}, {Name: "Measured", Number: true}}}
	for _, v := range verdicts {
		outcome := cell{Text: "held", Tone: "good"}
		if !v.Held {
			outcome = cell{Text: "failed", Tone: "bad"}
		}
		t.Rows = append(t.Rows, []cell{text(clipped(v.Objective, 120)), outcome, text(clipped(v.Measured, 120))})
	}
	return t
}

// times are the percentiles that are looked for first.
func (m *material) times() []fact {
	h := m.all().Response
	if h == nil || h.Count() == 0 {
		return nil
	}
	var all []fact
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}} {
		all = append(all, fact{Name: "Response " + q.name, Value: latency(h.Quantile(q.q))})
	}
	if h.Count() < 1000 {
		all[3].Note = "of " + many(h.Count(), "request")
	}
	return append(all, fact{Name: "Response max", Value: latency(h.Max())})
}

// counts are how many there were.
func (m *material) counts() []fact {
	o := m.all()
	var completed float64
	reported := m.reported()
	for _, p := range reported {
		completed += p.completed
	}
	seconds := m.time(reported)
	requests := fact{Name: "Requests", Value: count(o.Count)}
	if m.warm != nil && m.warm.Count > 0 {
		requests.Note = "and " + count(m.warm.Count) + " of warm-up, in no figure"
	}
	failed := o.Failed()
	all := []fact{requests, {Name: "Completed", Value: perTime(completed, seconds), Note: "on average"}, {Name: "Failed", Value: share(float64(failed), float64(o.Count)), Note: many(failed, "request")}}
	if m.running != nil {
		return append(all, fact{Name: "In flight", Value: count(m.running.InFlight), Note: count(m.running.Waiting) + " due and not sent"})
	}
	unfinished := fact{Name: "Unfinished", Value: count(m.end.Unfinished)}
	if m.end.NeverSent > 0 {
		unfinished.Note = count(m.end.NeverSent) + " of them never sent"
	}
	return append(all, unfinished)
}

// facts are what one needs to make the same run again.
func (m *material) facts() []fact {
	h, e := m.header, m.header.Environment
	facts := []fact{{"Schedule", ScheduleText(h), ""}, {"Client", clientText(h), ""}}
	if h.Model != "closed" && h.Schedule.Poisson {
		facts = append(facts, fact{"Seed", fmt.Sprint(h.Schedule.Seed), ""})
	}
	if len(h.Targets) > 0 {
		facts = append(facts, fact{"Operations", clipped(listed(clippedAll(h.Targets, 6)), 300), ""})
	}
	machine := []string{e.Host, e.CPU, many(e.CPUs, "CPU") + " (" + fmt.Sprint(e.Procs) + " used by Go)", e.System, e.Governor}
	facts = append(facts, fact{"Machine", joined(machine), fmt.Sprintf("load average before the run: %.2f", e.Load)})
	if len(h.Machines) > 0 {
		facts = append(facts, fact{"Machines", clipped(listed(h.Machines), 300), ""})
	}
	facts = append(facts, fact{"Go", e.Go, ""}, fact{"Commit", e.Commit, ""})
	if !h.Started.IsZero() {
		facts = append(facts, fact{"Started", h.Started.UTC().Format("2006-01-02 15:04:05 UTC"), ""})
	}
	if m.end.Elapsed > 0 {
		took := length(m.end.Elapsed.Round(10 * time.Millisecond))
		if m.end.Elapsed < time.Second {
			took = latency(m.end.Elapsed)
		}
		facts = append(facts, fact{"Took", took, m.end.Reason})
	}
	facts = append(facts, fact{"Run", h.ID, ""})
	return slices.DeleteFunc(facts, func(f fact) bool { return f.Value == "" })
}

func clippedAll(names []string, most int) []string {
	var all []string
	for i, name := range names {
		if i == most {
			return append(all, fmt.Sprintf("%d more", len(names)-most))
		}
		all = append(all, clipped(name, 60))
	}
	return all
}

func joined(parts []string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func clientText(h results.Header) string {
	if h.Client != "" && h.Connections > 0 {
		return h.Client + ", at most " + many(h.Connections, "connection")
	}
	return h.Client
}

// ScheduleText says in words when requests were due in a run.
func ScheduleText(h results.Header) string {
	if h.Model == "closed" {
		text := many(h.Callers, "caller") + " in a loop"
		if h.Length > 0 {
			text += " for " + length(h.Length)
		}
		if h.Planned > 0 {
			text += ", " + many(h.Planned, "request")
		}
		return text + warmText(h.WarmUp)
	}
	s := h.Schedule
	if len(s.Stages) == 0 {
		text := "recorded instants"
		if h.Planned > 0 {
			text = many(h.Planned, "recorded instant")
		}
		if s.Speed != 0 && s.Speed != 1 {
			text += ", replayed " + digits(s.Speed) + " times as fast"
		}
		return text + warmText(max(h.WarmUp, s.WarmUp))
	}
	var stages []string
	for _, stage := range s.Stages {
		stages = append(stages, stageText(stage))
	}
	if len(stages) > 12 {
		stages = append(stages[:11], fmt.Sprintf("%d more stages", len(stages)-11))
	}
	text := strings.Join(stages, ", then ")
	if s.Poisson {
		text += "; at random, as Poisson has it"
	} else {
		text += "; evenly spaced"
	}
	return text + warmText(max(h.WarmUp, s.WarmUp))
}

func warmText(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return "; the first " + length(d) + " are warm-up"
}

func stageText(s schedule.Stage) string {
	text := rateText(s.From)
	if s.From != s.To {
		text += " rising to "
		if s.To.PerSecond() < s.From.PerSecond() {
			text = strings.TrimSuffix(text, " rising to ") + " falling to "
		}
		text += rateText(s.To)
	}
	if s.For > 0 {
		text += " for " + length(s.For)
	}
	return text
}

func rateText(r schedule.Rate) string {
	switch r.Per {
	case time.Second:
		return count(r.Requests) + "/s"
	case time.Minute:
		return count(r.Requests) + "/min"
	case time.Hour:
		return count(r.Requests) + "/h"
	}
	return count(r.Requests) + " per " + length(r.Per)
}
