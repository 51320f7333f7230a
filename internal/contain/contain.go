// Package contain calls code that is not ours: it may panic, or end the goroutine that it is
// called on, and neither goes any further.
package contain

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
)

// Cut is code that did not return.
type Cut struct {
	Value any    // what was panicked with, or ErrGoexit
	Stack []byte // as it was there
}

// ErrGoexit is the value of a Cut that was no panic: a goroutine was ended by runtime.Goexit, which is
// what t.FailNow does.
var ErrGoexit = errors.New("runtime.Goexit was called")

// NewCut is for a deferred function of what did not return, on whose goroutine it is called;
// recovered is what recover said there, which is nil for runtime.Goexit.
func NewCut(recovered any) *Cut {
	if recovered == nil {
		recovered = ErrGoexit
	}
	return &Cut{Value: recovered, Stack: debug.Stack()}
}

// Apart calls f on a goroutine of its own and waits for it. It returns nil if f did.
func Apart(f func()) *Cut {
	ended := make(chan *Cut, 1)
	go func() {
		var cut *Cut
		returned := false
		defer func() {
			if !returned {
				cut = NewCut(recover())
			}
			ended <- cut
		}()
		f()
		returned = true
	}()
	return <-ended
}

// Said is what may be told of a panic's value, which may be anything that the code had in hand: what
// the language says of itself, as of an index out of range, and of anything else the type. It
// reports whether that is all.
func Said(value any) (text string, all bool) {
	if err, ok := value.(runtime.Error); ok {
		if text, all = quoted(err); all {
			return text, true
		}
	}
	return fmt.Sprintf("a %T", value), false
}

// quoted is the text of an error that is the language's, and not of another that has
// the method; nor of one that was made by hand, a nil pointer or an empty value, whose
// Error panics.
func quoted(err runtime.Error) (text string, ok bool) {
	of := reflect.Indirect(reflect.ValueOf(err))
	if !of.IsValid() || of.Type().PkgPath() != "runtime" {
		return "", false
	}
	defer func() { ok = recover() == nil }()
	return err.Error(), true
}

// Place is the function that panicked, as it stands in the stack: behind the last call of panic, and
// what the language calls for it. It is empty if that is not known.
func Place(stack []byte) string {
	_, below, found := bytes.Cut(stack, []byte("\npanic("))
	for lines := bytes.Split(below, []byte("\n")); found && len(lines) > 3; lines = lines[2:] {
		function := string(lines[2])
		if strings.HasPrefix(function, "runtime.") {
			continue
		}
		if end := strings.LastIndexByte(function, '('); end > 0 {
			function = function[:end] // without its arguments
		}
		file, _, _ := strings.Cut(strings.TrimSpace(string(lines[3])), " ")
		return function + " (" + filepath.Base(file) + ")"
	}
	return ""
}
