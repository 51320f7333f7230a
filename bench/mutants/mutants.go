// Package mutants proves that every rule for safe connections is tested, and those
// that queue, pool and throttler rest on: it takes each rule out of the source, a
// part at a time, and has the tests fail.
//
// Nothing on disk is changed: the go command is given the altered file as an
// overlay. A mutant whose test still passes has survived, and marks a rule that
// could be broken without anyone noticing.
package mutants

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Rules are those for safe connections, 1 to 8, that of the queue, and that of pool
// and throttler, by number.
var Rules = [...]string{
	1: "a stray byte never becomes the next answer",
	2: "framing that can be read in two ways is an error, and its connection is closed",
	3: "nothing in an answer is unbounded",
	4: "a cancelled exchange loses its connection, and its slot comes back",
	5: "what was sent is known, and only what does no harm is repeated",
	6: "redirects stay within their origin, and are signed anew",
	7: "what a caller says stays in its place",
	8: "secrets are never printed",
	9: "a waiting head keeps its room",

	10: "a pool and a throttler forget nobody",
}

// Mutant is the source without a part of a rule.
type Mutant struct {
	Rule    int
	Without string // what is left out
	File    string // from the module's root
	Old     string // a text that File holds exactly once
	New     string // what stands there instead
	Test    string // the test that must fail
	Package string // where Test is, from the module's root; "" means beside File
}

// String names what the mutant lacks.
func (m Mutant) String() string { return fmt.Sprintf("rule %d without %s", m.Rule, m.Without) }

func (m Mutant) testPackage() string {
	if m.Package != "" {
		return m.Package
	}
	return filepath.ToSlash(filepath.Dir(m.File))
}

// source is the altered text of the mutant's file.
func (m Mutant) source(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), m.Old); n != 1 {
		return nil, fmt.Errorf("%s holds %d times, not once:\n%s", m.File, n, m.Old)
	}
	return []byte(strings.Replace(string(text), m.Old, m.New, 1)), nil
}

// Choose returns the mutants of these rules, or of all if none is named; of each
// rule no more than sample, evenly spaced, unless that is zero.
func Choose(rules []int, sample int) ([]Mutant, error) {
	var mistakes []error
	for _, rule := range rules {
		if rule < 1 || rule >= len(Rules) {
			mistakes = append(mistakes, fmt.Errorf("rule %d: there are 1 to %d", rule, len(Rules)-1))
		}
	}
	var chosen []Mutant
	for rule := range Rules {
		if len(rules) == 0 || slices.Contains(rules, rule) {
			chosen = append(chosen, spaced(ofRule(rule), sample)...)
		}
	}
	return chosen, errors.Join(mistakes...)
}

func ofRule(rule int) []Mutant {
	return slices.DeleteFunc(slices.Clone(All), func(m Mutant) bool { return m.Rule != rule })
}

func spaced(all []Mutant, n int) []Mutant {
	if n <= 0 || n >= len(all) {
		return all
	}
	some := make([]Mutant, n)
	for i := range some {
		some[i] = all[i*len(all)/n]
	}
	return some
}

// Outcome is what became of a mutant.
type Outcome struct {
	Mutant Mutant
	Fate   Fate
	Reason error // why it is neither killed nor survived
}

// Fate is how a mutant ended.
type Fate string

const (
	Killed   Fate = "killed"   // its test failed, as it should
	Survived Fate = "SURVIVED" // its test passed
	Unproven Fate = "UNPROVEN" // it could not be built, or ended otherwise
)

// WriteTable writes the fates by rule, and returns how many mutants were not
// killed.
func WriteTable(w io.Writer, outcomes []Outcome) (failures int, err error) {
	var b strings.Builder
	for rule, text := range Rules {
		first := true
		for _, o := range outcomes {
			if o.Mutant.Rule != rule {
				continue
			}
			if first {
				fmt.Fprintf(&b, "%-2d %s\n", rule, text)
				first = false
			}
			fmt.Fprintf(&b, "   %-8s  without %-58s %s %s\n", o.Fate, o.Mutant.Without, o.Mutant.testPackage(), o.Mutant.Test)
			if o.Reason != nil {
				fmt.Fprintf(&b, "             %v\n", o.Reason)
			}
			if o.Fate != Killed {
				failures++
			}
		}
	}
	fmt.Fprintf(&b, "%d of %d mutants killed\n", len(outcomes)-failures, len(outcomes))
	_, err = io.WriteString(w, b.String())
	return failures, err
}
