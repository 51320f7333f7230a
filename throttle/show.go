package throttle

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// The cause of a LimitError may be anybody's, with anything in its fields: it is
// told by its text, for every verb, for slog and for encoding/json.

// Format prints what Error returns for every verb and flag; %q quotes it.
func (e LimitError) Format(f fmt.State, verb rune) {
	text := e.Error()
	if verb == 'q' {
		text = strconv.Quote(text)
	}
	_, _ = io.WriteString(f, text)
}

// LogValue returns what Error does.
func (e LimitError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// MarshalJSON writes what Error returns.
func (e LimitError) MarshalJSON() ([]byte, error) { return json.Marshal(e.Error()) }
