package suites

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report says how much is told.
type Report struct {
	Modes   []string
	Verbose bool // with what differing tests printed, and every dropped test
}

// Write writes the table and the differences, and returns how many have no reason.
func (r Report) Write(w io.Writer, results []Result, stale []Reason) (unlisted int, err error) {
	var b strings.Builder
	r.table(&b, results)
	for _, result := range results {
		unlisted += r.differences(&b, result)
	}
	for _, s := range stale {
		fmt.Fprintf(&b, "stale     %s %s %s: nothing differs that it explains; take it out of bench/suites/reasons*.go\n", s.Suite, s.Test, s.Mode)
	}
	for _, result := range results {
		r.tallies(&b, result)
		r.dropped(&b, result)
	}
	fmt.Fprintf(&b, "%d differences without a reason\n", unlisted)
	_, err = io.WriteString(w, b.String())
	return unlisted, err
}

func (r Report) table(b *strings.Builder, results []Result) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "suite\tversion\ttests\tbaseline\t")
	for _, mode := range r.Modes {
		fmt.Fprintf(t, "%s\trequests\t", mode)
	}
	fmt.Fprintln(t, "listed\tunlisted\tunsteady\tgained\t")
	for _, result := range results {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t", result.Suite.Name, result.Suite.version(), result.Tests, result.Baseline)
		for _, mode := range r.Modes {
			fmt.Fprintf(t, "%d\t%d\t", result.Passed[mode], result.Carried[mode])
		}
		for _, fate := range []Fate{Listed, Unlisted, Unsteady, Gained} {
			fmt.Fprintf(t, "%d\t", result.fates(fate))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // a Builder takes everything
}

func (r Result) fates(f Fate) (n int) {
	for _, d := range r.Differences {
		if d.Fate == f {
			n++
		}
	}
	return n
}

func (r Report) differences(b *strings.Builder, result Result) (unlisted int) {
	for _, d := range result.Differences {
		fmt.Fprintf(b, "%-8s  %s %s %s in %s: %s -> %s", d.Fate, d.Mode, d.Suite, d.Test, d.Package, d.Want, cmp.Or(d.Got, "did not run"))
		switch d.Fate {
		case Listed:
			fmt.Fprintf(b, ": %s", d.Reason)
		case Unlisted, Unsteady:
			fmt.Fprintf(b, ", alone in %d of %d", d.Differed, d.Repeated)
		}
		b.WriteByte('\n')
		if d.Fate == Unlisted {
			unlisted++
		}
		if r.Verbose && d.Fate != Listed || d.Fate == Unlisted {
			for line := range strings.Lines(telling(d.Output, 12)) {
				fmt.Fprintf(b, "            %s\n", strings.TrimRight(line, "\n"))
			}
		}
	}
	for _, why := range slices.Sorted(maps.Keys(result.Left)) {
		fmt.Fprintf(b, "left      %s: %d requests went through net/http: %s\n", result.Suite.Name, result.Left[why], why)
	}
	return unlisted
}

// tallies tells of a suite some of whose tests need an http.Transport how many of its
// tests at the root pass, and how many of those that need no more than a RoundTripper.
func (r Report) tallies(b *strings.Builder, result Result) {
	if len(result.Needs) == 0 {
		return
	}
	for _, t := range []struct {
		of string
		Tally
	}{{"tests at the root pass in the baseline", result.Roots}, {"of them need no more than a RoundTripper", result.Plain}} {
		fmt.Fprintf(b, "root      %s: %d %s", result.Suite.Name, t.Baseline, t.of)
		for _, mode := range r.Modes {
			fmt.Fprintf(b, "; %s %d (%.1f %%)", mode, t.Passed[mode], 100*float64(t.Passed[mode])/float64(max(1, t.Baseline)))
		}
		b.WriteByte('\n')
	}
	by := map[string][]string{}
	for test, what := range result.Needs {
		by[what] = append(by[what], test)
	}
	fmt.Fprintf(b, "needs     %s: what the others use of an *http.Transport's own, dropped tests included\n", result.Suite.Name)
	r.grouped(b, by)
}

// telling is the first lines of a test's output that say something.
func telling(output string, lines int) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		if said := strings.TrimSpace(line); said != "" && !strings.HasPrefix(said, "===") && lines > 0 {
			b.WriteString(line)
			lines--
		}
	}
	return b.String()
}

// dropped tells which tests were not run, by reason.
func (r Report) dropped(b *strings.Builder, result Result) {
	for _, e := range result.Suite.Excluded {
		fmt.Fprintf(b, "excluded  %s %s: %s\n", result.Suite.Name, e.Test, e.Reason)
	}
	by := map[string][]string{}
	for _, d := range result.Dropped {
		by[d.Reason] = append(by[d.Reason], d.Test)
	}
	if len(by) > 0 {
		fmt.Fprintf(b, "dropped   %s: %d tests\n", result.Suite.Name, len(result.Dropped))
	}
	r.grouped(b, by)
}

// grouped tells how many tests there are of each kind.
func (r Report) grouped(b *strings.Builder, by map[string][]string) {
	for _, kind := range slices.Sorted(maps.Keys(by)) {
		fmt.Fprintf(b, "          %3d %s", len(by[kind]), kind)
		if r.Verbose {
			fmt.Fprintf(b, ": %s", strings.Join(slices.Sorted(slices.Values(by[kind])), " "))
		}
		b.WriteByte('\n')
	}
}
