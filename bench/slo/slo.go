// Package slo reads objectives such as "p99<5ms", and says whether a run held them.
//
// An objective is a figure, a comparison (<, <=, > or >=) and a bound; "operation:" before
// it asks it of one operation alone. The reading order: slo.go (an objective), parse.go (how
// it is written), judge.go (what became of it).
package slo

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/bench/results"
)

// Objective is one condition on a run. The zero value is no objective and never holds; Parse
// makes one. It is a value, never changes, and is safe for concurrent use.
type Objective struct {
	text      string
	operation string // empty means all of them together
	figure    figure
	histogram string  // which, of a duration: response, service, lag, wait, success or connect
	quantile  float64 // above 0 to 1, of a quantile
	kind      string  // of errors; empty means all kinds
	compare   string  // <, <=, > or >=
	bound     float64 // nanoseconds, a share, a count, or so many a second
}

// figure is what an objective is about.
type figure int

const (
	none figure = iota
	quantile
	largest
	smallest
	mean
	errorShare
	errorCount
	achieved
	rate
	unfinished
	neverSent
)

// isDuration reports whether the bound is one.
func (f figure) isDuration() bool { return f >= quantile && f <= mean }

// isShare reports whether the bound is a share, written in percent.
func (f figure) isShare() bool { return f == errorShare || f == achieved }

// isOfTheWholeRun reports whether the figure is not known of one operation alone.
func (f figure) isOfTheWholeRun() bool { return f >= achieved }

// String returns the objective as it was written, without the spaces around it.
func (o Objective) String() string { return o.text }

// Operation returns which operation alone it is asked of; empty means all together.
func (o Objective) Operation() string { return o.operation }

// IsOfErrors reports whether the objective is about errors, of any kind.
func (o Objective) IsOfErrors() bool { return o.figure == errorShare || o.figure == errorCount }

// isOf reports whether the objective can be judged where operations have these names.
func (o Objective) isOf(operations []string) bool {
	return o.operation == "" || slices.Contains(operations, o.operation)
}

// CheckOperations refuses objectives of operations that are not among those of a run, before it
// has taken its time. The error has a line for each, which names those that there are.
func CheckOperations(objectives []Objective, operations []string) error {
	var mistakes []error
	for _, o := range objectives {
		if !o.isOf(operations) {
			mistakes = append(mistakes, mistake(o.text, "%s", noSuchOperation(o.operation, operations)))
		}
	}
	return errors.Join(mistakes...)
}

// mostNamed is how many operations a line has room for.
const mostNamed = 10

func noSuchOperation(name string, operations []string) string {
	var quoted []string
	for _, operation := range operations[:min(mostNamed, len(operations))] {
		quoted = append(quoted, fmt.Sprintf("%q", operation))
	}
	if more := len(operations) - len(quoted); more > 0 {
		quoted = append(quoted, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("there is no operation %q; there are %s", name, strings.Join(quoted, ", "))
}

// ParseAll reads several objectives, and the error has a line for each that is none.
func ParseAll(texts []string) ([]Objective, error) {
	var objectives []Objective
	var mistakes []error
	for _, text := range texts {
		o, err := Parse(text)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		objectives = append(objectives, o)
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return objectives, nil
}

// JudgeAll judges several objectives, and reports whether all of them held.
func JudgeAll(objectives []Objective, run *results.Run) (verdicts []results.Verdict, held bool) {
	held = true
	for _, o := range objectives {
		v := o.Judge(run)
		verdicts = append(verdicts, v)
		held = held && v.Held
	}
	return verdicts, held
}

// mistake is an objective that cannot be read.
func mistake(text, format string, args ...any) error {
	return fmt.Errorf("objective %q: %s", text, fmt.Sprintf(format, args...))
}
