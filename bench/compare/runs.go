package compare

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/results"
)

// Runs compares runs: one with one by their seconds, several with several as pairs or as
// sets. The error is an *UnlikeError if they differ in more than what they measured, unless
// opts.Anyway, and an *InvalidError if one could not hold its rate. A run given twice is refused,
// and so is one of which more than half failed; a new one only where its errors are not found to
// be a regression, which says more.
func Runs(old, new []*results.Run, opts Options) (*Report, error) {
	if len(old) == 0 || len(new) == 0 {
		return nil, errors.New("there must be at least one run on each side")
	}
	if opts.Paired && len(old) != len(new) {
		return nil, fmt.Errorf("%d old runs and %d new ones make no pairs", len(old), len(new))
	}
	differences, err := differencesOf(old, new)
	if err == nil {
		err = mostlyFailedRun(old, 0)
	}
	if err != nil {
		return nil, err
	}
	if len(differences) > 0 && !opts.Anyway {
		return nil, &UnlikeError{Differences: differences}
	}
	if opts.Gate == nil {
		opts.Gate = GateOfRuns
	}
	if opts.Threshold == 0 {
		opts.Threshold = ThresholdOfRuns
	}
	report := &Report{Old: names(old), New: names(new), Seed: opts.Seed, Differences: differences, Notes: machineNotes(old, new)}
	var figures []measured
	switch {
	case len(old) == 1 && len(new) == 1:
		report.Method, report.Count = Seconds, [2]int{len(secondsOf(old[0])), len(secondsOf(new[0]))}
		figures = bySeconds(secondsOf(old[0]), secondsOf(new[0]), opts)
		report.note("differences between one run and the next that nobody made are not in these intervals; several runs of each, or ab, know of them")
	case opts.Paired:
		report.Method, report.Count = Pairs, [2]int{len(old), len(new)}
		figures = byRuns(old, new, opts, paired, pairedFailures)
	default:
		report.Method, report.Count = Sets, [2]int{len(old), len(new)}
		figures = byRuns(old, new, opts, unpaired, unpairedFailures)
		markWeakSets(figures, len(old), len(new), opts.Gate)
	}
	report.finish(figures, opts)
	if !report.regressed(Errors) {
		if err := mostlyFailedRun(new, len(old)); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// mostlyFailedRun refuses the first run of which more than half failed: how long it took to fail
// is not what there is to compare. The runs are called by their numbers behind so many others.
func mostlyFailedRun(runs []*results.Run, before int) error {
	for i, run := range runs {
		failed, most, mostly := uint64(0), uint64(0), ""
		for _, kind := range slices.Sorted(maps.Keys(run.Total[""].Errors)) {
			n := run.Total[""].Errors[kind]
			if failed += n; n > most {
				most, mostly = n, kind
			}
		}
		if err := mostlyFailed(failed, run.Total[""].Count, mostly); err != nil {
			return fmt.Errorf("%s: %w; make it again where most requests succeed", nameOf(run, before+i), err)
		}
	}
	return nil
}

// differencesOf compares every run with the first of the old ones.
func differencesOf(old, new []*results.Run) ([]string, error) {
	var differences []string
	all := append(append([]*results.Run{}, old...), new...)
	known := map[string]int{}
	for i, run := range all {
		if first, twice := known[run.Header.ID]; twice && run.Header.ID != "" {
			return nil, fmt.Errorf("%s and %s are the same run: what is counted twice is no more certain, and equals itself", nameOf(all[first], first), nameOf(run, i))
		}
		known[run.Header.ID] = i
		if len(run.End.Invalid) > 0 {
			return nil, &InvalidError{Run: nameOf(run, i), Reasons: run.End.Invalid}
		}
		if all := run.Total[""]; all == nil || all.Count == 0 {
			return nil, fmt.Errorf("%s has no requests after its warm-up: there is nothing to compare", nameOf(run, i))
		}
		for _, difference := range unlike(old[0], run) {
			if len(all) > 2 {
				difference = nameOf(run, i) + ": " + difference
			}
			differences = append(differences, difference)
		}
	}
	return differences, nil
}

// machineNotes are what a reader should know of the machine, and is no reason to refuse.
func machineNotes(old, new []*results.Run) []string {
	var notes []string
	for i, run := range append(append([]*results.Run{}, old...), new...) {
		env := run.Header.Environment
		if env.CPUs > 0 && env.Load > float64(env.CPUs)/2 {
			notes = append(notes, fmt.Sprintf("%s: the machine had a load of %.1f on %d CPUs before the run", nameOf(run, i), env.Load, env.CPUs))
		}
		if run.Header.Model == "closed" {
			notes = append(notes, nameOf(run, i)+": a closed run omits what did not arrive while it waited")
		}
	}
	return notes
}

func nameOf(run *results.Run, i int) string {
	if run.Header.Name != "" {
		return fmt.Sprintf("run %d (%s)", i+1, run.Header.Name)
	}
	return fmt.Sprintf("run %d", i+1)
}

func names(runs []*results.Run) []string {
	var all []string
	for _, run := range runs {
		all = append(all, run.Header.Name)
	}
	return all
}

// bySeconds draws the seconds of two runs again and again.
func bySeconds(old, new []second, opts Options) []measured {
	a, b := newFiguresOf(old), newFiguresOf(new)
	var figures []measured
	for _, figure := range OfRuns {
		x, y := a.of(figure, a.once()), b.of(figure, b.once())
		if isMeasured(x) && isMeasured(y) {
			m := measured{figure: figure, old: a.shown(figure), new: b.shown(figure), requests: sumOf(b.failures).requests}
			m.ratio = quotient(y, x)
			figures = append(figures, m)
		}
	}
	drawn := make([][]float64, len(figures))
	random := rand.New(rand.NewPCG(opts.Seed, uint64(len(old))<<32|uint64(len(new))))
	weightsOld, weightsNew := a.once(), b.once()
	for range resamples {
		a.draw(weightsOld, random)
		b.draw(weightsNew, random)
		for i, m := range figures {
			if x := quotient(b.of(m.figure, weightsNew), a.of(m.figure, weightsOld)); !math.IsNaN(x) {
				drawn[i] = append(drawn[i], x)
			}
		}
	}
	for i := range figures {
		m := &figures[i]
		if len(drawn[i]) < resamples/2 || min(len(old), len(new)) < fewest {
			m.weak = true
		}
		if len(drawn[i]) > 0 {
			weak := m.weak
			m.estimate = fromResamples(m.ratio, drawn[i]).widened(drawn[i], a.certaintyOf(m.figure).with(b.certaintyOf(m.figure)))
			m.weak = weak
		}
	}
	return figures
}

// byRuns takes every run as one value of each figure, and as one block of failures.
func byRuns(old, new []*results.Run, opts Options, compare func(old, new []float64, seed uint64) estimate, compareShares func(old, new []failures, seed uint64) estimate) []measured {
	a, b := valuesOf(old), valuesOf(new)
	var figures []measured
	for _, figure := range OfRuns {
		x, y := a.of[figure], b.of[figure]
		switch {
		case len(x) != len(old) || len(y) != len(new): // some did not measure it
		case figure == Errors:
			figures = append(figures, compareFailures(a.failures, b.failures, opts.Seed, compareShares))
		default:
			figures = append(figures, measured{figure: figure, old: gauge.Median(x), new: gauge.Median(y), estimate: compare(x, y, opts.Seed)})
		}
	}
	return figures
}

// values are figures of several runs, and what the runs add to a share of errors.
type values struct {
	of       map[Figure][]float64
	failures []failures
}

func valuesOf(runs []*results.Run) values {
	v := values{of: map[Figure][]float64{}}
	for _, run := range runs {
		f := newFiguresOf(secondsOf(run))
		for _, figure := range OfRuns {
			if x := f.shown(figure); isMeasured(x) {
				v.of[figure] = append(v.of[figure], x)
			}
		}
		v.failures = append(v.failures, sumOf(f.failures))
	}
	return v
}

func isMeasured(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// markWeakSets marks what the U-test could not find whatever there was: so few runs have no
// p-value that is small enough after Holm's correction.
func markWeakSets(figures []measured, old, new int, gate []Figure) {
	gated := 0
	for _, m := range figures {
		for _, f := range gate {
			if m.figure == f {
				gated++
			}
		}
	}
	for i := range figures {
		figures[i].weak = leastP(old, new)*float64(max(1, gated)) > alpha
	}
}
