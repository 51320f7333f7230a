package referee

import (
	"bytes"
	"runtime"
)

// others returns the stacks of the goroutines of this bubble, the caller's apart.
func others() (stacks []string) {
	bubble := bubbleOf(dump(false))
	for stack := range bytes.SplitSeq(dump(true), []byte("\n\n")) {
		// What began the bubble and what runs the test in it wait for this goroutine.
		ours := bytes.Contains(stack, []byte("referee.others(")) || bytes.Contains(stack, []byte("\ntesting/synctest."))
		if bytes.Equal(bubbleOf(stack), bubble) && !ours {
			stacks = append(stacks, string(stack))
		}
	}
	return stacks
}

// bubbleOf is what the first line of a stack says of its bubble.
func bubbleOf(stack []byte) []byte {
	line, _, _ := bytes.Cut(stack, []byte("\n"))
	_, bubble, _ := bytes.Cut(line, []byte("synctest bubble "))
	bubble, _, _ = bytes.Cut(bubble, []byte("]"))
	return bubble
}

func dump(all bool) []byte {
	for size := 1 << 16; ; size *= 2 {
		if p := make([]byte, size); true {
			if n := runtime.Stack(p, all); n < size {
				return p[:n]
			}
		}
	}
}
