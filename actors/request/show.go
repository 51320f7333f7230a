package request

import (
	"fmt"
	"io"
)

// A stream holds all of its request and of its connection, and fmt would print them,
// whose headers have keys in them.

// Format prints what it is, for every verb and flag.
func (s *Stream) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "streamed body of an answer") }

// MarshalJSON writes the same: a body is read, not encoded.
func (s *Stream) MarshalJSON() ([]byte, error) { return []byte(`"streamed body of an answer"`), nil }
