package suites

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/suites/carrier"
)

// Suite is one project's tests.
type Suite struct {
	Name     string
	Module   string   // its path; empty for a package of the toolchain's own
	Version  string   // the module's
	Std      string   // the package of the toolchain, if it is none of a module
	Packages []string // patterns from the module's root; nil means all of them
	Require  []string // module@version, beside what its go.mod says, if it has one
	Excluded []Exclusion
	Fast     bool          // one of the subset
	Patience time.Duration // for one package; zero means patience
	Ends     bool          // its tests look for goroutines that stay behind
	Repeats  bool          // its tests are of what the transport repeats by itself
}

// Exclusion is a test that neither run can pass here.
type Exclusion struct {
	Test   string // "TestX" or "TestX/sub"
	Reason string
}

// Reason is why a verdict may differ from the baseline's.
type Reason struct {
	Suite string
	Test  string // its subtests are meant as well
	Mode  string // carrier.Streamed or carrier.Read; empty means both
	Why   string
	// Pace says that it differs on a slow or busy machine alone: that it does not is no
	// news.
	Pace bool
}

// patience bounds one package's tests in one run.
const patience = 2 * time.Minute

func (s Suite) patience() time.Duration { return cmp.Or(s.Patience, patience) }

// version is what the table calls it.
func (s Suite) version() string {
	if s.Std != "" {
		return "toolchain"
	}
	return s.Version
}

// Modes are those a suite can be run in beside the baseline.
var Modes = []string{carrier.Streamed, carrier.Read}

// Choose returns the suites of these names, or all if none is named; only those of
// the subset if that is asked.
func Choose(names []string, subset bool) ([]Suite, error) {
	var mistakes []error
	var known []string
	for _, s := range All {
		known = append(known, s.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			mistakes = append(mistakes, fmt.Errorf("there is no suite %q: there are %s", name, strings.Join(known, ", ")))
		}
	}
	var chosen []Suite
	for _, s := range All {
		if (len(names) == 0 || slices.Contains(names, s.Name)) && (s.Fast || !subset) {
			chosen = append(chosen, s)
		}
	}
	return chosen, errors.Join(mistakes...)
}
