// Package callsite names the code outside of the engine that called into it.
package callsite

import (
	"fmt"
	"runtime"
	"strings"
)

// most is how many of the caller's functions are told: whoever wraps the engine stands
// between it and whoever forgot.
const most = 8

// inner are the beginnings of the names of functions that are the engine's.
var inner = []string{
	"github.com/sluice-engine/sluice/engine.", "github.com/sluice-engine/sluice/actors", "github.com/sluice-engine/sluice/internal/",
	"github.com/asynkron/protoactor-go/", "runtime.",
}

// Here names the functions that the engine was called from, the innermost first. It
// is asked on the goroutine of whoever called.
func Here() string {
	var counters [64]uintptr
	return Of(counters[:runtime.Callers(2, counters[:])])
}

// Of names those of a stack that runtime.Callers has noted.
func Of(stack []uintptr) string {
	frames := runtime.CallersFrames(stack)
	var told []string
	for more := true; more && len(told) < most; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if frame.Function != "" && !isInner(frame.Function) {
			told = append(told, fmt.Sprintf("%s (%s:%d)", frame.Function, frame.File, frame.Line))
		}
	}
	return strings.Join(told, " < ")
}

func isInner(function string) bool {
	for _, prefix := range inner {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
