package suites

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/bench/suites/carrier"
)

// Difference is a verdict that is not the baseline's.
type Difference struct {
	Suite, Package, Test, Mode string

	Want, Got Verdict // Got is empty if the test did not run
	Output    string  // what it printed
	Fate      Fate
	Reason    string // of Listed
	Repeated  int    // how often it was run alone
	Differed  int    // and differed
}

// Fate is what a difference means.
type Fate string

const (
	Unlisted Fate = "UNLISTED" // nobody has said why: a failure
	Listed   Fate = "listed"   // it is in Reasons
	Unsteady Fate = "unsteady" // it did not show again, run alone
	Gained   Fate = "gained"   // the baseline fails, and the engine passes
)

// Result is what became of a suite.
type Result struct {
	Suite       Suite
	Tests       int            // verdicts of the baseline, subtests included
	Baseline    int            // those that are Pass
	Passed      map[string]int // by mode
	Carried     map[string]int // requests, by mode
	Left        map[string]int // requests left to net/http, by reason
	Differences []Difference
	Dropped     []Dropped
	Needs       map[string]string // tests at the root, and what they use that only an http.Transport has
	Roots       Tally             // of the tests at the root
	Plain       Tally             // of those in Roots that Needs has not
	Failed      []string          // tests that fail in the baseline, for Stale
}

// Tally counts tests at the root that pass in the baseline.
type Tally struct {
	Baseline int
	Passed   map[string]int // of these, by mode
}

func newResult(s Suite) Result {
	by := func() map[string]int { return map[string]int{} }
	return Result{Suite: s, Passed: by(), Carried: by(), Left: by(), Roots: Tally{Passed: by()}, Plain: Tally{Passed: by()}}
}

// tally counts the tests at the root; the mode is empty for the baseline's own.
func (r *Result) tally(baseline, run Outcomes, mode string) {
	for test, verdict := range baseline.Verdicts {
		if verdict != Pass || run.Verdicts[test] != Pass || strings.Contains(test, "/") || test == TheWhole {
			continue
		}
		tallies := []*Tally{&r.Roots, &r.Plain}
		if r.Needs[test] != "" {
			tallies = tallies[:1]
		}
		for _, t := range tallies {
			if mode == "" {
				t.Baseline++
			} else {
				t.Passed[mode]++
			}
		}
	}
}

// Differ compares two runs. A test is left out if one of its subtests says it
// already, and a subtest that did not run if its test did: names may hold a port.
func Differ(baseline, run Outcomes) []Difference {
	var all []Difference
	for test, want := range baseline.Verdicts {
		got := run.Verdicts[test]
		switch {
		case want == got, want == Skip, got == "" && strings.Contains(test, "/"), got == "" && test == TheWhole:
		case want == Pass:
			all = append(all, Difference{Test: test, Want: want, Got: got, Output: run.Output[test]})
		case got == Pass:
			all = append(all, Difference{Test: test, Want: want, Got: got, Output: baseline.Output[test], Fate: Gained})
		}
	}
	all = slices.DeleteFunc(all, func(d Difference) bool {
		return slices.ContainsFunc(all, func(o Difference) bool { return strings.HasPrefix(o.Test, d.Test+"/") })
	})
	slices.SortFunc(all, func(a, b Difference) int { return cmp.Compare(a.Test, b.Test) })
	return all
}

// covers reports whether a reason is about this test in this mode.
func (r Reason) covers(suite, test, mode string) bool {
	return r.Suite == suite && (r.Mode == "" || r.Mode == mode) && (test == r.Test || strings.HasPrefix(test, r.Test+"/"))
}

// reason says why a test's verdict may differ, if that is listed.
func (cfg Config) reason(suite, test, mode string) (why string, listed bool) {
	for _, r := range cfg.Reasons {
		if r.covers(suite, test, mode) {
			return r.Why, true
		}
	}
	return "", false
}

// compare runs the package in every mode, and adds what it finds to result.
func (p *project) compare(ctx context.Context, cfg Config, result *Result) error {
	place := cmp.Or(p.tested.path, ".")
	p.told(fmt.Sprintf("      %s: baseline", place))
	baseline, err := p.once(ctx, "", some{})
	if err != nil {
		return err
	}
	if !baseline.Ended || len(baseline.Verdicts) == 0 && !baseline.Passed {
		return fmt.Errorf("%s: the baseline did not run:\n%s", place, tail([]byte(baseline.Rest), 30))
	}
	baseline.judgeWhole()
	result.Tests += len(baseline.Verdicts)
	result.Baseline += count(baseline, Pass)
	result.tally(baseline, baseline, "")
	for test, verdict := range baseline.Verdicts {
		if verdict != Pass && verdict != Skip {
			result.Failed = append(result.Failed, test)
		}
	}
	for _, mode := range cfg.Modes {
		p.told(fmt.Sprintf("      %s: %s", place, mode))
		if err := os.RemoveAll(p.log(mode)); err != nil {
			return err
		}
		run, err := p.whole(ctx, cfg, mode, baseline)
		if err != nil {
			return err
		}
		result.Passed[mode] += count(run, Pass)
		result.tally(baseline, run, mode)
		p.countRequests(mode, result)
		for _, d := range Differ(baseline, run) {
			d.Suite, d.Package, d.Mode = p.suite.Name, place, mode
			if err := p.judge(ctx, cfg, baseline, &d); err != nil {
				return err
			}
			result.Differences = append(result.Differences, d)
		}
	}
	return nil
}

func count(o Outcomes, v Verdict) (n int) {
	for _, verdict := range o.Verdicts {
		if verdict == v {
			n++
		}
	}
	return n
}

func (p *project) countRequests(mode string, result *Result) {
	text, err := os.ReadFile(p.log(mode))
	if err != nil {
		return // no request was made
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == carrier.Carried {
			result.Carried[mode]++
		} else {
			result.Left[line]++
		}
	}
}

// judge finds the difference's reason, or has its test run again alone.
func (p *project) judge(ctx context.Context, cfg Config, known Outcomes, d *Difference) error {
	if d.Fate == Gained {
		return nil
	}
	if why, listed := cfg.reason(d.Suite, d.Test, d.Mode); listed {
		d.Fate, d.Reason = Listed, why
		return nil
	}
	only := some{only: []string{top(d.Test)}}
	if d.Test == TheWhole {
		only = some{without: cfg.listed(d.Suite, d.Mode, known)}
	}
	for d.Repeated < repeats && 2*d.Differed <= repeats {
		again, err := p.once(ctx, d.Mode, only)
		if err != nil {
			return err
		}
		again.judgeWhole()
		d.Repeated++
		if got := again.Verdicts[d.Test]; got != d.Want {
			d.Differed++
			d.Output = cmp.Or(again.Output[d.Test], d.Output)
			if got == Unended {
				d.Output += again.Rest
			}
		}
	}
	d.Fate = Unlisted
	if 2*d.Differed < d.Repeated {
		d.Fate = Unsteady
	}
	p.told(fmt.Sprintf("      %s: %s: %s differs in %d of %d", d.Mode, d.Fate, d.Test, d.Differed, d.Repeated))
	return nil
}

// Stale are the reasons that explain nothing: their tests ran in their modes, and did
// not differ in one of them, or there are none of their name. Of a test that fails in
// the baseline nothing is known.
func Stale(reasons []Reason, results []Result, modes []string) []Reason {
	var stale []Reason
	for _, r := range reasons {
		for _, mode := range modes {
			if !r.Pace && (r.Mode == "" || r.Mode == mode) && slices.ContainsFunc(results, func(result Result) bool { return result.refutes(r, mode) }) {
				stale = append(stale, Reason{Suite: r.Suite, Test: r.Test, Mode: mode, Why: r.Why})
			}
		}
	}
	return stale
}

// refutes reports whether nothing differs in a mode that the reason explains.
func (r Result) refutes(reason Reason, mode string) bool {
	about := func(test string) bool { return reason.covers(r.Suite.Name, test, mode) }
	return r.Suite.Name == reason.Suite && !slices.ContainsFunc(r.Failed, about) &&
		!slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.Mode == mode && about(d.Test) })
}
