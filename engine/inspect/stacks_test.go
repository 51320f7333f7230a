package inspect_test

import "runtime"

// stacks are those of all goroutines.
func stacks() string {
	room := make([]byte, 1<<20)
	return string(room[:runtime.Stack(room, true)])
}
