package results

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Merge adds up the runs of several machines to one: the counts and histograms are those of
// all, and what went wrong on one went wrong. It refuses runs that differ in their ID, model
// or schedule, and one that is there twice, with ErrDifferent, and alters none of them.
func Merge(runs ...*Run) (*Run, error) {
	if len(runs) == 0 {
		return nil, fmt.Errorf("%w: there are none to merge", ErrDifferent)
	}
	sum := NewSum(runs[0].Header)
	for i, run := range runs {
		if err := sameRun(runs[0].Header, run.Header); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(runs[:i], func(other *Run) bool { return sameFile(other, run) }) {
			return nil, fmt.Errorf("%w: the results of one machine are there twice", ErrDifferent)
		}
		for sum.step < run.Step {
			sum.coarsen()
		}
	}
	for _, run := range runs {
		sum.join(run)
	}
	merged := sum.Run()
	if len(runs) == 1 {
		merged.End, merged.Whole = runs[0].End, runs[0].Whole
		return merged, nil
	}
	merged.Header = mergeHeaders(runs)
	merged.End, merged.Whole = mergeEnds(runs)
	return merged, nil
}

func sameRun(a, b Header) error {
	a.Schedule.Recorded, b.Schedule.Recorded = nil, nil
	switch {
	case a.ID != b.ID:
		return fmt.Errorf("%w: one is %.40q, another %.40q", ErrDifferent, a.ID, b.ID)
	case a.Model != b.Model:
		return fmt.Errorf("%w: one is %.20q, another %.20q", ErrDifferent, a.Model, b.Model)
	case a.Planned != b.Planned, a.Length != b.Length, a.WarmUp != b.WarmUp, a.Think != b.Think,
		!reflect.DeepEqual(a.Schedule, b.Schedule):
		return fmt.Errorf("%w: their schedules differ", ErrDifferent)
	}
	return nil
}

// sameFile says that two runs are one machine's: no two measure the same to the nanosecond.
func sameFile(a, b *Run) bool {
	return a.Total[""] != nil && a.Total[""].Count > 0 && a.Counts == b.Counts && a.End.Elapsed == b.End.Elapsed &&
		a.Header.Environment.Host == b.Header.Environment.Host && reflect.DeepEqual(a.Total, b.Total)
}

// join adds a machine's run, whose step is at most the sum's.
func (s *Sum) join(run *Run) {
	named := func(operations map[string]*Operation) map[string]*Operation {
		named := maps.Clone(operations)
		delete(named, "")
		return named
	}
	s.warmCounts.Add(run.WarmCounts)
	s.counts.Add(run.Counts)
	addOperations(s.warm, named(run.Warm))
	addOperations(s.total, named(run.Total))
	// The machine's own intervals first become as long as the sum's: gauges of the same
	// machine follow one another, and those of several are side by side.
	own := &Sum{step: s.step}
	for i := range run.Series {
		if run.Series[i].empty() {
			continue // its phase is a guess
		}
		own.addToSlot(&run.Series[i], (*Gauges).follow)
	}
	for s.step < own.step {
		s.coarsen()
	}
	for i := range own.slots {
		if own.slots[i].empty() {
			continue
		}
		s.addToSlot(&own.slots[i], (*Gauges).join)
	}
}

// empty says that nothing was in an interval.
func (i *Interval) empty() bool {
	return i.Offered == 0 && i.Sent == 0 && i.Completed == 0 && len(i.Operations) == 0 && i.Gauges == nil
}

func mergeHeaders(runs []*Run) Header {
	merged := runs[0].Header
	merged.Machines, merged.Targets = nil, nil
	merged.Callers, merged.Connections = 0, 0
	for _, run := range runs {
		h := run.Header
		if h.Started.Before(merged.Started) {
			merged.Started = h.Started
		}
		merged.Machines = append(merged.Machines, machinesOf(h)...)
		merged.Callers += h.Callers
		merged.Connections += h.Connections
		for _, target := range h.Targets {
			if !slices.Contains(merged.Targets, target) {
				merged.Targets = append(merged.Targets, target)
			}
		}
	}
	return merged
}

func machinesOf(h Header) []string {
	if len(h.Machines) > 0 {
		return h.Machines
	}
	return []string{cmp.Or(h.Environment.Host, "a machine without a name")}
}

// mergeEnds is pessimistic: a run is as good as the worst of its machines.
func mergeEnds(runs []*Run) (merged End, whole bool) {
	whole = true
	var reasons []string
	earliest, latest := runs[0].Header.Started, runs[0].Header.Started
	for _, run := range runs {
		who := strings.Join(machinesOf(run.Header), ", ")
		e := run.End
		if !run.Whole {
			whole = false
			e.Reason = "the results end early"
		}
		merged.Elapsed = max(merged.Elapsed, e.Elapsed)
		merged.Issued = max(merged.Issued, e.Issued)
		merged.Unfinished = plus(merged.Unfinished, e.Unfinished)
		merged.NeverSent = plus(merged.NeverSent, e.NeverSent)
		for _, reason := range e.Invalid {
			merged.Invalid = append(merged.Invalid, who+": "+reason)
		}
		for _, note := range e.Notes {
			merged.Notes = append(merged.Notes, who+": "+note)
		}
		merged.Verdicts = mergeVerdicts(merged.Verdicts, e.Verdicts, who)
		if !slices.Contains(reasons, e.Reason) {
			reasons = append(reasons, e.Reason)
		}
		if run.Header.Started.Before(earliest) {
			earliest = run.Header.Started
		}
		if run.Header.Started.After(latest) {
			latest = run.Header.Started
		}
	}
	merged.Reason = strings.Join(reasons, "; ")
	if apart := latest.Sub(earliest); apart >= time.Second {
		merged.Notes = append(merged.Notes, fmt.Sprintf("the machines started up to %v apart: their seconds are not the same", apart))
	}
	return merged, whole
}

// mergeVerdicts keeps an objective held only if every machine held it. An objective on the
// whole run is better judged anew.
func mergeVerdicts(merged, verdicts []Verdict, who string) []Verdict {
	for _, v := range verdicts {
		told := who + ": " + v.Measured
		at := slices.IndexFunc(merged, func(m Verdict) bool { return m.Objective == v.Objective })
		if at < 0 {
			v.Measured = told
			merged = append(merged, v)
			continue
		}
		merged[at].Held = merged[at].Held && v.Held
		merged[at].Measured += "; " + told
	}
	return merged
}
