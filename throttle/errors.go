package throttle

import (
	"errors"
	"fmt"
)

// Reasons why a request is not admitted. They arrive wrapped in a LimitError.
var (
	ErrUnknownLimit = errors.New("no such limit")
	ErrUnknownScope = errors.New("no such scope")
	ErrWeight       = errors.New("weight can never fit")
	ErrRouteWeight  = errors.New("a route without a quota of its own takes no weight")
	ErrQueueFull    = errors.New("queue is full")
	ErrDeadline     = errors.New("no room before the deadline")
	ErrSpent        = errors.New("lifetime budget is spent")
	ErrPermitInUse  = errors.New("permit is queued or granted already")
)

// LimitError says which limit a request was refused for, and why. The reason
// is reachable with errors.Is.
type LimitError struct {
	ID  string
	Err error
}

// Error is part of error.
func (e *LimitError) Error() string { return fmt.Sprintf("limit %q: %v", e.ID, e.Err) }

// Unwrap returns the reason.
func (e *LimitError) Unwrap() error { return e.Err }
