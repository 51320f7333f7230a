package request

import (
	"fmt"
	"runtime"
	"strings"
)

// mostCallers is how many of the caller's functions are told of a stream: whoever
// wraps the engine stands between it and whoever forgot.
const mostCallers = 8

// inner are the beginnings of the names of functions that are the engine's.
var inner = []string{
	"github.com/sluice-engine/sluice/engine.", "github.com/sluice-engine/sluice/actors", "github.com/sluice-engine/sluice/internal/",
	"github.com/asynkron/protoactor-go/", "runtime.",
}

// callers names the functions that the engine was called from, the innermost
// first. A request is run by its caller's own goroutine.
func callers() string {
	var counters [64]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(2, counters[:])])
	var told []string
	for more := true; more && len(told) < mostCallers; {
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
