package crew

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// outcome puts the ends together, as pessimistic as results are of several machines.
func (r *run) outcome() outcome {
	o := outcome{end: results.End{Reason: "finished"}}
	e := &o.end
	elapsed := r.entered - r.start
	for _, m := range r.members {
		if m.end != nil {
			e.Elapsed = max(e.Elapsed, m.end.Elapsed)
			e.Issued = max(e.Issued, m.end.Issued)
			e.Unfinished += m.end.Unfinished
			e.NeverSent += m.end.NeverSent
			for _, why := range m.end.Invalid {
				e.Invalid = append(e.Invalid, m.name+": "+why)
			}
			for _, note := range m.end.Notes {
				e.Notes = append(e.Notes, m.name+": "+note)
			}
			if m.end.Reason != "finished" {
				e.Reason = m.end.Reason
			}
		} else {
			o.debts = append(o.debts, r.debt(m, elapsed))
		}
		e.Notes = append(e.Notes, r.clockNote(m))
		if m.relation.steps > 0 {
			e.Invalid = append(e.Invalid, fmt.Sprintf("the clock of machine %s stepped %d times: it was suspended, or is of no use", m.name, m.relation.steps))
		}
	}
	e.Elapsed = max(e.Elapsed, min(elapsed, r.until()))
	if len(o.debts) > 0 { // what a lost machine owes was to be issued as well
		e.Issued = max(e.Issued, min(elapsed, r.until()))
	}
	if r.reason != "" {
		e.Reason = r.reason
	}
	e.Invalid = append(slices.Clone(r.invalid), e.Invalid...)
	e.Notes = append(e.Notes, r.unlike()...)
	return o
}

// until is up to when the schedule went on.
func (r *run) until() time.Duration {
	until := time.Duration(1<<63 - 1)
	if s := r.cfg.Job.Schedule; s != nil && s.Length() > 0 {
		until = s.Length()
	}
	if r.stopped > 0 {
		until = min(until, max(r.stopped-r.start, 0))
	}
	return until
}

func (r *run) debt(m *member, elapsed time.Duration) debt {
	d := debt{
		share: Share{m.index, len(r.members)}, reported: m.tally.offered, last: m.tally.last,
		chained: r.cfg.Job.chained(), until: min(r.until(), elapsed), end: elapsed,
	}
	if m.tally.offered > m.tally.samples {
		d.open = m.tally.offered - m.tally.samples
	}
	return d
}

// clockNote says what is known of a member's clock after the run.
func (r *run) clockNote(m *member) string {
	at := max(m.relation.last, r.start)
	ahead, now := m.relation.ahead(at)
	return fmt.Sprintf("machine %s (%s) began within %s of the instant; its clock was %s from the coordinator's, ±%s, and moved by %s in %v",
		m.name, m.address, duration(m.relation.off(m.ordered)), signed(ahead), duration(now), signed(ahead-m.drift0), (at - r.start).Round(time.Millisecond))
}

// unlike says which machines are not like the first, whose environment the results have.
func (r *run) unlike() []string {
	var notes []string
	first := &r.members[0].env
	for _, m := range r.members[1:] {
		e := &m.env
		if e.System != first.System || e.CPU != first.CPU || e.CPUs != first.CPUs || e.Go != first.Go || e.Commit != first.Commit {
			notes = append(notes, fmt.Sprintf("machine %s is not like %s: %s, %d × %s, %s %s", m.name, r.members[0].name, e.System, e.CPUs, e.CPU, e.Go, e.Commit))
		}
	}
	return notes
}
