package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Method is how a comparison was made; see the package.
type Method string

// The methods.
const (
	Seconds Method = "seconds"
	Pairs   Method = "pairs"
	Sets    Method = "sets"
)

// Report is what a comparison found.
type Report struct {
	Method Method `json:"method"`
	// Count is how many seconds, pairs or runs there were of the old and of the new.
	Count [2]int `json:"count"`
	// Old and New are the names of the runs, or the settings of the sides.
	Old  []string `json:"old"`
	New  []string `json:"new"`
	Seed uint64   `json:"seed"`
	// Differences are why these should not have been compared, and were all the same.
	Differences []string `json:"differences,omitempty"`
	Effects     []Effect `json:"effects"`
	Notes       []string `json:"notes,omitempty"`
	// Alpha is the share of comparisons of equal things in which anything is found.
	Alpha float64 `json:"alpha"`
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// finish judges the figures.
func (r *Report) finish(figures []measured, opts Options) {
	r.Alpha = alpha
	r.Effects = judge(figures, opts.Gate, opts.Threshold)
	found := map[Figure]bool{}
	weak := false
	for _, m := range figures {
		found[m.figure] = true
		weak = weak || m.weak
	}
	for _, f := range opts.Gate {
		if !found[f] {
			r.note("%s is gated and was not measured on both sides, so nothing can be found in it", f)
		}
	}
	if weak {
		switch r.Method {
		case Sets:
			r.note("%d and %d runs are too few for the U-test to find anything in what is gated: whatever is below is no proof of anything", r.Count[0], r.Count[1])
		default:
			r.note("%d and %d %s are too few to find anything: at least %d are needed", r.Count[0], r.Count[1], r.Method, fewest)
		}
	}
}

// Regressions are the figures that became worse, certainly and by more than their thresholds.
func (r *Report) Regressions() []Effect {
	var all []Effect
	for _, e := range r.Effects {
		if e.Regression {
			all = append(all, e)
		}
	}
	return all
}

// regressed reports whether a figure is among them.
func (r *Report) regressed(f Figure) bool {
	return slices.ContainsFunc(r.Effects, func(e Effect) bool { return e.Figure == f && e.Regression })
}

// Blind are the gated figures of which there is too little data to find a regression in them.
func (r *Report) Blind() []string {
	var all []string
	for _, e := range r.Effects {
		if e.Gated && !e.Regression && e.Findable == 0 {
			all = append(all, string(e.Figure))
		}
	}
	return all
}

// Sees reports whether a regression could have been found in anything that is gated, or was.
func (r *Report) Sees() bool {
	return slices.ContainsFunc(r.Effects, func(e Effect) bool { return e.Gated && (e.Regression || e.Findable > 0) })
}

// Needs says how much there must be of each side for anything to be found in what is gated.
func (r *Report) Needs() string {
	switch {
	case r.Method == Sets && min(r.Count[0], r.Count[1]) < leastRuns(r.gated()):
		return fmt.Sprintf("%d runs of each side are needed", leastRuns(r.gated()))
	case r.Method == Sets || min(r.Count[0], r.Count[1]) >= fewest:
		return "more requests are needed, of which fewer fail"
	case r.Method == Pairs:
		return fmt.Sprintf("%d pairs are needed", fewest)
	}
	return fmt.Sprintf("%d seconds of each side are needed", fewest)
}

func (r *Report) gated() (n int) {
	for _, e := range r.Effects {
		if e.Gated {
			n++
		}
	}
	return n
}

// leastRuns is how many runs of each side the U-test finds anything of, in one of so many figures.
func leastRuns(gated int) int {
	n := 1
	for leastP(n, n)*float64(max(1, gated)) > alpha {
		n++
	}
	return n
}

// Conclusion says in one line what was found.
func (r *Report) Conclusion() string {
	var worse []string
	for _, e := range r.Regressions() {
		worse = append(worse, fmt.Sprintf("%s %s", e.Figure, e.change()))
	}
	blind := r.Blind()
	switch {
	case len(worse) > 0:
		return "REGRESSION: " + strings.Join(worse, ", ")
	case len(blind) > 0:
		return "no regression found, and none could have been in " + strings.Join(blind, ", ")
	}
	return "no regression found"
}

// WriteJSON writes the report as one indented object.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		*Report
		Conclusion string `json:"conclusion"`
	}{r, r.Conclusion()})
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, difference := range r.Differences {
		fmt.Fprintf(&b, "NOT ALIKE: %s\n", difference)
	}
	fmt.Fprintf(&b, "%s\n\n", r.method())
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "figure\told\tnew\tchange\t95 % interval\tp\tgate\twould have been found")
	for _, e := range r.Effects {
		certainty := "-\t-"
		if e.Findable > 0 {
			certainty = fmt.Sprintf("%s\t%.3f", e.interval(), e.Corrected)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			e.Figure, e.Figure.format(e.Old), e.Figure.format(e.New), e.change(), certainty, e.verdict(), e.power())
	}
	_ = table.Flush() // into memory
	b.WriteByte('\n')
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	fmt.Fprintf(&b, "%s\n", r.Conclusion())
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) method() string {
	how := map[Method]string{
		Seconds: "%d seconds of one run with %d of another, drawn again in blocks",
		Pairs:   "%d old and %d new side by side: the median ratio of pairs",
		Sets:    "%d runs with %d, which are no pairs: the ratio of medians, and the U-test",
	}[r.Method]
	return fmt.Sprintf(how, r.Count[0], r.Count[1]) +
		fmt.Sprintf("; bootstrap of %d, seed %d; p by Holm over what is gated, which is silent on equal things in %.0f %% of comparisons", resamples, r.Seed, 100*(1-alpha))
}

func (e Effect) verdict() string {
	switch {
	case e.Regression:
		return "REGRESSION"
	case !e.Gated && e.Improvement:
		return "better, not gated"
	case !e.Gated:
		return "not gated"
	case e.Improvement:
		return "better"
	case e.Findable == 0:
		return "too little data"
	}
	return "held"
}

// power says what the gate of a figure would have seen.
func (e Effect) power() string {
	switch {
	case e.Findable == 0:
		return "nothing"
	case e.Figure == Errors:
		return fmt.Sprintf("%s, %.0f times in 100", points(e.Findable), 100*power)
	case e.Findable > 10:
		return "only more than tenfold"
	case e.Findable >= 0.1:
		return fmt.Sprintf("%.0f %% worse, %.0f times in 100", 100*e.Findable, 100*power)
	}
	return fmt.Sprintf("%.1f %% worse, %.0f times in 100", 100*e.Findable, 100*power)
}

func change(ratio float64) string {
	switch {
	case ratio >= 1e6:
		return "over a millionfold"
	case ratio > 100:
		return fmt.Sprintf("×%.0f", ratio)
	}
	return fmt.Sprintf("%+.1f %%", 100*(ratio-1))
}

// points writes a difference of shares in hundredths.
func points(difference float64) string { return fmt.Sprintf("%+.3g points", 100*difference) }

func (e Effect) change() string {
	if e.Figure == Errors {
		return points(e.Difference)
	}
	return change(e.Ratio)
}

func (e Effect) interval() string {
	if e.Figure == Errors {
		return fmt.Sprintf("[%s, %s]", points(e.CI.Low), points(e.CI.High))
	}
	return fmt.Sprintf("[%s, %s]", change(e.CI.Low), change(e.CI.High))
}
