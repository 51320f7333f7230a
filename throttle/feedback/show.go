package feedback

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// String returns the status and the limit, without header and body, which may hold
// secrets.
func (a Answer) String() string {
	return fmt.Sprintf("status %d of %q (body of %d bytes)", a.Status, a.Limit, len(a.Body))
}

// Format prints what String returns for every verb and flag.
func (a Answer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue returns what String does.
func (a Answer) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalJSON writes what String returns.
func (a Answer) MarshalJSON() ([]byte, error) { return json.Marshal(a.String()) }
