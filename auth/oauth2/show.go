package oauth2

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// The cause of an Error has the answer of the token endpoint: it is told without, for
// every verb, for slog and for encoding/json.

// Format prints what Error returns for every verb and flag; %q quotes it.
func (e Error) Format(f fmt.State, verb rune) {
	text := e.Error()
	if verb == 'q' {
		text = strconv.Quote(text)
	}
	_, _ = io.WriteString(f, text)
}

// LogValue returns what Error does.
func (e Error) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// MarshalJSON writes what Error returns.
func (e Error) MarshalJSON() ([]byte, error) { return json.Marshal(e.Error()) }

// String returns the type's name: what it holds is nobody's to print.
func (t *Tokens) String() string { return "oauth2.Tokens" }

// Format prints what String returns for every verb and flag.
func (t *Tokens) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue returns what String does.
func (t *Tokens) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON writes what String returns.
func (t *Tokens) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }
