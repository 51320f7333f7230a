package auth

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "***"

// Secret is a string that prints as *** through fmt (every verb), log/slog,
// encoding/json and any encoder of text. Convert it to string to read it.
//
// Package fmt cannot call methods on unexported fields, so a Secret should live
// in an exported one, as it does in all schemes here.
type Secret string

// String returns "***", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString returns what String does, quoted.
func (s Secret) GoString() string { return `auth.Secret("` + s.String() + `")` }

// Format prints "***" for every verb and flag.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, s.GoString())
		return
	}
	_, _ = io.WriteString(f, s.String())
}

// MarshalText returns "***". There is deliberately no way back.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON returns "***" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// LogValue returns "***".
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
