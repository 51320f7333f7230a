package auth

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// The cause of an Error may have anything in its fields: it is told by its text, for
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

// A Secret hides itself, but package fmt does not always ask it: of a pointer that a
// verb does not suit, as in %s of a list of pointers, it prints what is pointed to
// without asking anything in it. So every scheme that has secrets has a form of its
// own, the same for every verb: the fields with their names.

func show(f fmt.State, name string, fields any) {
	_, _ = fmt.Fprintf(f, "auth.%s%+v", name, fields)
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (a APIKey) Format(f fmt.State, _ rune) {
	type fields APIKey
	show(f, "APIKey", fields(a))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (b Basic) Format(f fmt.State, _ rune) {
	type fields Basic
	show(f, "Basic", fields(b))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (b Bearer) Format(f fmt.State, _ rune) {
	type fields Bearer
	show(f, "Bearer", fields(b))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (c Chain) Format(f fmt.State, _ rune) {
	type fields Chain
	show(f, "Chain", fields(c))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (h HMAC) Format(f fmt.State, _ rune) {
	type fields HMAC
	show(f, "HMAC", fields(h))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (h HMACQuery) Format(f fmt.State, _ rune) {
	type fields HMACQuery
	show(f, "HMACQuery", fields(h))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (h HTTPSignature) Format(f fmt.State, _ rune) {
	type fields HTTPSignature
	show(f, "HTTPSignature", fields(h))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (h HTX) Format(f fmt.State, _ rune) {
	type fields HTX
	show(f, "HTX", fields(h))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (h Header) Format(f fmt.State, _ rune) {
	type fields Header
	show(f, "Header", fields(h))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (j JWT) Format(f fmt.State, _ rune) {
	type fields JWT
	show(f, "JWT", fields(j))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (k Kraken) Format(f fmt.State, _ rune) {
	type fields Kraken
	show(f, "Kraken", fields(k))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (p Payload) Format(f fmt.State, _ rune) {
	type fields Payload
	show(f, "Payload", fields(p))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (s SigV4) Format(f fmt.State, _ rune) {
	type fields SigV4
	show(f, "SigV4", fields(s))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (s SignedQuery) Format(f fmt.State, _ rune) {
	type fields SignedQuery
	show(f, "SignedQuery", fields(s))
}

// Format prints the fields, secrets as ***, for every verb and flag.
func (w WithoutBody) Format(f fmt.State, _ rune) {
	type fields WithoutBody
	show(f, "WithoutBody", fields(w))
}
