package messages

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

// What a request or an answer carries in query, header and body may be a key, a
// signature or somebody's balance, and whoever prints one wants to know which it was.
// Every type that can hold such a thing has one form for every verb, for slog and
// for encoding/json, by value as well as by pointer: bench/hostile/secrets looks for
// types that have not. Names are told, values are not.

// String returns the method and the place, without query, header and body.
func (r Request) String() string {
	method, place := r.place()
	return oneLine(method + " " + place)
}

// WithoutQuotes is what an error says, but for what it quotes, and for what looks like a
// URL: of an error about a URL or a header that may be the password in it.
func WithoutQuotes(err error) string { return unquoted(err.Error()) }

func unquoted(text string) string {
	parts := strings.Split(strings.ReplaceAll(text, `\"`, ""), `"`)
	var kept strings.Builder
	for i := 0; i < len(parts); i += 2 { // the others are between quotation marks
		if kept.WriteString(parts[i]); i+1 < len(parts) {
			kept.WriteString("…")
		}
	}
	words := strings.Fields(kept.String())
	suspect := func(word string) bool { return strings.ContainsAny(word, "@%") || strings.Contains(word, "://") }
	if first := slices.IndexFunc(words, suspect); first >= 0 {
		last := len(words) - 1
		for !suspect(words[last]) {
			last--
		}
		words = slices.Replace(words, first, last+1, "…") // a password may have blanks
	}
	return oneLine(strings.Join(words, " "))
}

// place is where the caller sends the request, in the caller's own words.
func (r *Request) place() (method, place string) {
	return cmp.Or(r.Method, http.MethodGet), withoutSecrets(cmp.Or(r.URL, r.Path))
}

// Format prints what String returns for every verb and flag.
func (r Request) Format(f fmt.State, verb rune) { show(f, verb, r.String()) }

// LogValue returns what String does.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalJSON writes what String returns: a request is no message to store.
func (r Request) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// String tells the length, and the names of the trailer.
func (u Upload) String() string {
	text := "upload"
	if u.Length > 0 {
		text += fmt.Sprintf(" of %d bytes", u.Length)
	}
	if len(u.Trailer) > 0 {
		text += " with trailer " + strings.Join(slices.Sorted(maps.Keys(u.Trailer)), ", ")
	}
	return text
}

// Format prints what String returns for every verb and flag.
func (u Upload) Format(f fmt.State, verb rune) { show(f, verb, u.String()) }

// LogValue returns what String does.
func (u Upload) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalJSON writes what String returns.
func (u Upload) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// String returns the method and the place, without query, header and body.
func (c Call) String() string { return c.Method + " " + c.Origin.String() + withoutSecrets(c.Path) }

// Format prints what String returns for every verb and flag.
func (c Call) Format(f fmt.State, verb rune) { show(f, verb, c.String()) }

// LogValue returns what String does.
func (c Call) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON writes what String returns.
func (c Call) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// String returns the name, and *** for the value.
func (f Field) String() string { return f.Name + ": ***" }

// Format prints what String returns for every verb and flag.
func (f Field) Format(s fmt.State, verb rune) { show(s, verb, f.String()) }

// LogValue returns what String does.
func (f Field) LogValue() slog.Value { return slog.StringValue(f.String()) }

// MarshalJSON writes what String returns.
func (f Field) MarshalJSON() ([]byte, error) { return json.Marshal(f.String()) }

// String returns the names of the lines, in order.
func (h Header) String() string {
	var names []string
	for name := range h.All() {
		names = append(names, name)
	}
	return "[" + oneLine(strings.Join(names, " ")) + "]"
}

// Format prints what String returns for every verb and flag.
func (h Header) Format(f fmt.State, verb rune) { show(f, verb, h.String()) }

// LogValue returns what String does.
func (h Header) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalJSON writes what String returns. Header.HTTP has the lines themselves.
func (h Header) MarshalJSON() ([]byte, error) { return json.Marshal(h.String()) }

// String names the request and the status, as the errors about an answer do.
func (r Response) String() string { return r.Answer().String() }

// Format prints what String returns for every verb and flag.
func (r Response) Format(f fmt.State, verb rune) { show(f, verb, r.String()) }

// LogValue returns a group: method, url, status, bytes, attempts, sent,
// answered_at.
func (r Response) LogValue() slog.Value { return r.Answer().LogValue() }

// MarshalJSON writes an object of what LogValue returns.
func (r Response) MarshalJSON() ([]byte, error) { return r.Answer().MarshalJSON() }

// Values, Form and AsJSON have no String, which Values would send, and their JSON is
// what is sent: only what prints them is told names alone.

// Format prints the names for every verb and flag.
func (v Values) Format(f fmt.State, verb rune) { show(f, verb, v.shown()) }

// LogValue returns the names.
func (v Values) LogValue() slog.Value { return slog.StringValue(v.shown()) }

func (v Values) shown() string { return "[" + oneLine(strings.Join(v.names(), " ")) + "]" }

// Format prints the names for every verb and flag.
func (f Form) Format(s fmt.State, verb rune) { show(s, verb, Values(f).shown()) }

// LogValue returns the names.
func (f Form) LogValue() slog.Value { return Values(f).LogValue() }

// Format prints the type of the value for every verb and flag.
func (j AsJSON) Format(f fmt.State, verb rune) { show(f, verb, j.shown()) }

// LogValue returns the type of the value.
func (j AsJSON) LogValue() slog.Value { return slog.StringValue(j.shown()) }

func (j AsJSON) shown() string { return fmt.Sprintf("JSON of %T", j.Value) }

// withoutSecrets cuts what a URL may carry beside its place: user and password,
// query, fragment. It may be a URL that nobody can parse.
func withoutSecrets(place string) string {
	if i := strings.IndexAny(place, "?#"); i >= 0 {
		place = place[:i]
	}
	scheme, rest, isURL := strings.Cut(place, "://")
	switch {
	case isURL:
		scheme += "://"
	case strings.HasPrefix(place, "//"):
		scheme, rest = "//", place[2:]
	case strings.HasPrefix(place, "/"):
		return place
	default:
		scheme, rest = "", place
	}
	authority, path, more := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	if !isAuthority(authority) {
		return scheme + "***" // a user and the beginning of a password that is not escaped
	}
	if more || isURL {
		path = "/" + path
	}
	return scheme + authority + path
}

// isAuthority reports whether what follows the last colon, if there is one, is a
// port.
func isAuthority(text string) bool {
	i := strings.LastIndexByte(text, ':')
	return i < 0 || strings.HasSuffix(text, "]") || strings.Trim(text[i+1:], "0123456789") == ""
}

// oneLine makes a text fit for a line of a log: what was joined by line feeds is
// joined by semicolons, and no other control character is left.
func oneLine(text string) string {
	if strings.IndexFunc(text, unicode.IsControl) < 0 {
		return text
	}
	text = strings.ReplaceAll(strings.TrimRight(text, "\r\n"), "\n", "; ")
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
}
