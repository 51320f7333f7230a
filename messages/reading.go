package messages

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

// mostEmptyReads is how often in a row a reader may return nothing, not even an
// error.
const mostEmptyReads = 100

// errEndedReading is what a reader says of whom nothing is wanted any more.
var errEndedReading = errors.New("request body: its request has ended")

// CheckedReader reads from a reader of the caller's, which may return anything: a
// count of bytes that cannot be, which would be a panic in whatever reads it, on a
// goroutine that may be somebody else's; or nothing, for ever; or bytes without end
// for a request that has ended. Each is an error. One goroutine reads, and any may
// call End.
type CheckedReader struct {
	io.Reader
	empty int // reads in a row that returned nothing
	ended atomic.Bool
}

// Read is part of io.Reader.
func (c *CheckedReader) Read(p []byte) (int, error) {
	if c.ended.Load() {
		return 0, errEndedReading
	}
	n, err := c.Reader.Read(p)
	switch {
	case n < 0 || n > len(p):
		return 0, fmt.Errorf("%w: its body's reader says that it read %d bytes into room for %d", ErrInvalidRequest, n, len(p))
	case n > 0 || err != nil || len(p) == 0:
		c.empty = 0
	default:
		if c.empty++; c.empty >= mostEmptyReads {
			return 0, io.ErrNoProgress
		}
	}
	return n, err
}

// String tells nothing of the body.
func (c *CheckedReader) String() string { return "request body" }

// Format prints what String returns for every verb and flag.
func (c *CheckedReader) Format(f fmt.State, verb rune) { show(f, verb, c.String()) }

// LogValue returns what String does.
func (c *CheckedReader) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON writes what String returns.
func (c *CheckedReader) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// End has every Read from now on fail.
func (c *CheckedReader) End() { c.ended.Store(true) }
