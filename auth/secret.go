package auth

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

const redacted = "***"

// CheckSecret returns an error that says what is odd about a key, a secret or a passphrase, without a
// character of it: blanks or line feeds around it, quotes, a control character. It
// would be signed with as it stands, and every signature would be wrong. Bytes
// that are no text are never odd, and neither is nothing.
func CheckSecret(s Secret) error {
	odd := ""
	switch text := string(s); {
	case !utf8.ValidString(text):
		return nil
	case strings.ContainsAny(text, "\r\n"):
		odd = "it has a line feed"
	case strings.TrimSpace(text) != text:
		odd = "it begins or ends with a blank"
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\ufeff' || r == '\u200b' }):
		odd = "it has a character that cannot be seen"
	case len(text) > 1 && strings.IndexByte("\"'`", text[0]) >= 0 && text[len(text)-1] == text[0]:
		odd = "it stands in quotes"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrOdd, odd)
}

// Secret is a string that prints as *** through fmt (every verb), log/slog,
// encoding/json and any encoder of text. Convert it to string to read it.
//
// Package fmt cannot call methods on unexported fields, so a Secret should live
// in an exported one, as it does in all schemes here. Nor does it call any within what
// a pointer points to if the verb does not suit pointers, as in %s of a list of
// pointers: a struct of one's own that has a Secret is best given a Format method,
// which all schemes here have.
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
