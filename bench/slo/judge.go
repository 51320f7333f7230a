package slo

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// NotMeasured is what a verdict says of a figure that the run does not have. Behind it there may
// stand why.
const NotMeasured = "not measured"

// Judge says what became of the objective. What was not measured has not held: an operation
// that the run does not have, of which the verdict says so and names those that there are, a
// duration of no request, a count of the end in a run that has none.
func (o Objective) Judge(run *results.Run) results.Verdict {
	verdict := results.Verdict{Objective: o.text, Measured: NotMeasured}
	if run == nil {
		return verdict
	}
	value, measured := o.measure(run)
	if !measured || math.IsNaN(value) {
		if names := operationsOf(run); len(names) > 0 && !o.isOf(names) {
			verdict.Measured += ": " + noSuchOperation(o.operation, names)
		}
		return verdict
	}
	verdict.Held, verdict.Measured = o.holds(value), o.format(value)
	return verdict
}

// operationsOf are those that a run had, or was to have.
func operationsOf(run *results.Run) []string {
	names := slices.Clone(run.Header.Targets)
	for _, name := range slices.Sorted(maps.Keys(run.Total)) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Seen reports whether the objective can already be seen to fail, whatever the rest of the
// run brings: it would fail even if everything that can still come, which is coming requests
// of the objective's operation or of all, went as well as can be. coming includes those that
// are under way, and is [math.MaxUint64] if nobody knows. Achieved, rate, unfinished and
// neversent are never seen before the end.
//
// Invariant: where Seen is true once, Judge of the whole run does not hold, as long as coming
// was no less than what came.
func (o Objective) Seen(run *results.Run, coming uint64) bool {
	if run == nil {
		return false
	}
	operation := run.Total[o.operation]
	if operation == nil {
		operation = &results.Operation{}
	}
	switch o.figure {
	case quantile, largest, smallest, mean:
		return o.seenInDurations(histogramOf(operation, o.histogram), coming)
	case errorShare, errorCount:
		return o.seenInErrors(operation, coming)
	}
	return false // the others are a matter of the end
}

// wantsLess reports whether the objective is an upper bound.
func (o Objective) wantsLess() bool { return o.compare[0] == '<' }

// seenInDurations finds the figure as it would be with everything that comes as fast as can
// be, or as slow for a lower bound.
func (o Objective) seenInDurations(h *results.Histogram, coming uint64) bool {
	if h == nil || h.Count() == 0 {
		return false
	}
	switch {
	case o.figure == largest && o.wantsLess():
		return !o.holds(float64(h.Max()))
	case o.figure == smallest && !o.wantsLess():
		return !o.holds(float64(h.Min()))
	case coming > 1<<40: // so many that they could turn any figure
		return false
	}
	best := time.Duration(0)
	if !o.wantsLess() {
		best = longest
	}
	h = h.Clone()
	h.RecordN(best, coming)
	return !o.holds(durationOf(h, o.figure, o.quantile))
}

func (o Objective) seenInErrors(operation *results.Operation, coming uint64) bool {
	failed := float64(failures(operation, o.kind))
	all := float64(operation.Count) + float64(coming)
	if !o.wantsLess() {
		failed += float64(coming)
	}
	if o.figure == errorCount {
		return !o.holds(failed)
	}
	return all > 0 && !o.holds(failed/all)
}

func (o Objective) holds(value float64) bool {
	switch o.compare {
	case "<":
		return value < o.bound
	case "<=":
		return value <= o.bound
	case ">":
		return value > o.bound
	case ">=":
		return value >= o.bound
	}
	return false
}

// measure returns the figure in the unit of the bound, and false if the run has none.
func (o Objective) measure(run *results.Run) (float64, bool) {
	switch o.figure {
	case achieved:
		return Achieved(run)
	case rate:
		return Rate(run)
	case unfinished:
		return float64(run.End.Unfinished), run.Whole
	case neverSent:
		return float64(run.End.NeverSent), run.Whole
	}
	operation := run.Total[o.operation]
	if operation == nil {
		return 0, false
	}
	switch o.figure {
	case errorCount:
		return float64(failures(operation, o.kind)), operation.Count > 0
	case errorShare:
		return float64(failures(operation, o.kind)) / float64(operation.Count), operation.Count > 0
	}
	h := histogramOf(operation, o.histogram)
	if h == nil || h.Count() == 0 {
		return 0, false
	}
	return durationOf(h, o.figure, o.quantile), o.figure.isDuration()
}

// failures counts errors of a kind; of all if it is empty.
func failures(operation *results.Operation, kind string) uint64 {
	if kind != "" {
		return operation.Errors[kind]
	}
	all := uint64(0)
	for _, n := range operation.Errors {
		all += n
	}
	return all
}

func histogramOf(operation *results.Operation, name string) *results.Histogram {
	switch name {
	case "response":
		return operation.Response
	case "service":
		return operation.Service
	case "lag":
		return operation.Lag
	case "wait":
		return operation.Wait
	case "success":
		return operation.Success
	case "connect":
		return operation.Connect
	}
	return nil
}

func durationOf(h *results.Histogram, f figure, q float64) float64 {
	switch f {
	case quantile:
		return float64(h.Quantile(q))
	case largest:
		return float64(h.Max())
	case smallest:
		return float64(h.Min())
	case mean:
		return float64(h.Mean())
	}
	return math.NaN()
}

// Achieved returns the share of the requests due after the warm-up that were sent before the
// end of the schedule; false if the run had no schedule, or nothing was due. Requests sent
// in the drain were not sent when they were due, so they are missing from it.
func Achieved(run *results.Run) (float64, bool) {
	var offered, sent float64
	for i := range run.Series {
		in := &run.Series[i]
		share := scheduled(run, in)
		counts := in.InSchedule()
		offered, sent = offered+share*float64(counts.Offered), sent+share*float64(counts.Sent)
	}
	if run.Header.Model != "open" || offered == 0 {
		return 0, false
	}
	// What the warm-up left behind may be sent after it.
	return min(1, sent/offered), true
}

// Rate returns how many requests ended in each second of the schedule after its warm-up,
// with an error or without; of a file without an end, in each second that it has of them. It is
// false if that took no time.
func Rate(run *results.Run) (float64, bool) {
	completed, last := 0.0, 0
	for i := range run.Series {
		in := &run.Series[i]
		if share := scheduled(run, in); share > 0 {
			completed += share * float64(in.InSchedule().Completed)
			last = max(last, in.Second+max(1, run.Step))
		}
	}
	took := run.Header.Length - run.Header.WarmUp
	soFar := time.Duration(last)*time.Second - run.Header.WarmUp
	switch {
	case run.Header.Length == 0: // its end was not known beforehand
		took = soFar
	case !run.Whole: // it crashed, or goes on: this is what there is of it
		took = min(took, soFar)
	}
	finished := run.Header.Model == "open" && run.Header.Length > 0 && run.End.Reason == "finished"
	over := run.Header.RatesOver(run.End)
	if run.Whole && !finished && over > run.Header.WarmUp { // ended early, or on the way in its last second
		took = min(took, over-run.Header.WarmUp)
	}
	if took <= 0 || last == 0 {
		return 0, false
	}
	return completed / took.Seconds(), true
}

// scheduled is which share of what an interval counted in the schedule lies after the warm-up and
// before the drain. A warm-up that ends within the interval is thought to have had its part of it;
// where the schedule ends in it nothing else was begun, so all of it counts, and what the drain
// had there is told apart, but in old files.
func scheduled(run *results.Run, in *results.Interval) float64 {
	from, step := time.Duration(in.Second)*time.Second, time.Duration(max(1, run.Step))*time.Second
	end, warm := run.Header.Length, run.Header.WarmUp-from
	if issued := run.End.Issued; run.Header.Model == "open" && issued > 0 && (end == 0 || issued < end) {
		end = issued
	}
	switch {
	case in.Phase != results.Main || end > 0 && from >= end || warm >= step:
		return 0
	case end > 0 && end-from < step:
		step = end - from
	}
	return float64(step-max(0, min(warm, step))) / float64(step)
}

// format writes a measured figure in the unit of the bound, to about four digits.
func (o Objective) format(value float64) string {
	switch {
	case o.figure.isDuration():
		return Duration(time.Duration(value)).String()
	case o.figure.isShare():
		return strconv.FormatFloat(100*value, 'g', 4, 64) + "%"
	case o.figure == rate:
		return strconv.FormatFloat(value, 'f', 1, 64) + "/s"
	}
	return strconv.FormatFloat(value, 'f', -1, 64)
}

// Duration rounds to the digits that are worth writing.
func Duration(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
