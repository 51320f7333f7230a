package engine

import (
	"iter"
	"reflect"
	"runtime"
	"strings"

	"github.com/sluice-engine/sluice/actors"
)

// The functions between which calls from inside are looked for: those of the
// rooms behind the door, and the caller's way through it.
var (
	module = strings.TrimSuffix(reflect.TypeFor[actors.System]().PkgPath(), "/actors")
	behind = []string{module + "/actors.", module + "/actors/", module + "/internal/"}
	// It calls the methods of values for whoever has them decoded or encoded, also where no request
	// waits for that; where one does, the frames below have it.
	codec      = module + "/internal/jsontext."
	doFunction = reflect.TypeFor[Engine]().PkgPath() + ".(*Engine).carry"
	// The same for a request that several callers share.
	flyFunction = reflect.TypeFor[Engine]().PkgPath() + ".(*Engine).fly"
	// The same for Submit.
	outFunction = reflect.TypeFor[Engine]().PkgPath() + ".(*Engine).setOut"
)

// calledFromInside reports whether the caller's caller is code that an engine
// called, and that this one, with so many requests on their journey, would wait
// for. All such code has the engine's own functions below it on its stack:
// processors, authenticators, jars and readers run under Do, dialers, hooks,
// sources of time and log handlers on goroutines of the engine's own.
//
// Whose Do it is, no stack tells. An engine without any request on its journey is
// no Do's: then it is another engine's, and may go on.
//
// While a panic or a runtime.Goexit runs deferred functions, those of callers that
// Do has returned to have its frames on the stack as well: nothing is known then.
func calledFromInside(inFlight int) bool {
	inside, under, unwinding := false, false, false
	for name := range functions() {
		switch {
		case name == doFunction, name == flyFunction, name == outFunction:
			under, inside = true, false // what was behind was this Do's
		case name == "runtime.Goexit" || name == "runtime.gopanic":
			unwinding = true
		case isBehind(name):
			inside = true
		}
	}
	if unwinding {
		return false
	}
	return inside || under && inFlight > 0
}

func isBehind(name string) bool {
	if strings.HasPrefix(name, codec) {
		return false
	}
	for _, prefix := range behind {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// functions yields the names of the functions on the stack, innermost first.
func functions() iter.Seq[string] {
	return func(yield func(string) bool) {
		pcs := make([]uintptr, 64)
		n := runtime.Callers(0, pcs)
		for n == len(pcs) { // there may be more
			pcs = make([]uintptr, 2*len(pcs))
			n = runtime.Callers(0, pcs)
		}
		frames := runtime.CallersFrames(pcs[:n])
		for {
			frame, more := frames.Next()
			if !yield(frame.Function) || !more {
				return
			}
		}
	}
}
