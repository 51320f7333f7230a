package targets

import (
	"fmt"
	"strings"
)

// PlanError is all that is wrong with a Plan.
type PlanError struct {
	Mistakes []string // each begins with the path of what it is about, as "chains[0].steps[1].url"
}

// Error names every mistake, in one line.
func (e *PlanError) Error() string { return "targets: " + strings.Join(e.Mistakes, "; ") }

// FileError says where in a file something is wrong.
type FileError struct {
	File string
	Line int // from 1; 0 if it is about the whole file
	Err  error
}

// Error is "file:line: what is wrong".
func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// SaveError says that an answer has not what a later step needs.
type SaveError struct {
	Operation string // of the step whose answer it is
	Number    int    // of the step in its chain, from 0
	Name      string // that was to be saved
	From      string // where it was looked for
	Status    int    // of the answer
}

// Error is one line, without anything of the answer.
func (e *SaveError) Error() string {
	return fmt.Sprintf("step %d (%s): the answer with status %d has no %s to save as %q", e.Number+1, e.Operation, e.Status, e.From, e.Name)
}

// FillError says that a value cannot be where a template wants it.
type FillError struct {
	Operation string
	Number    int    // of the step in its chain, from 0
	Where     string // "URL", "header X-Id"
	Name      string // of the value
	Why       string
}

// Error is one line, without the value, which may be a secret.
func (e *FillError) Error() string {
	return fmt.Sprintf("step %d (%s): the value of {{%s}} cannot be in the %s: %s", e.Number+1, e.Operation, e.Name, e.Where, e.Why)
}
