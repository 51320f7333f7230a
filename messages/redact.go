package messages

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"unicode"
)

// A request's query, header and body may hold keys and signatures, and whoever
// prints it wants to know which request it was.

// String returns the method and the place, without query, header and body.
func (r Request) String() string {
	method, place := r.place()
	return method + " " + place
}

// place is where the caller sends the request, in the caller's own words.
func (r *Request) place() (method, place string) {
	return cmp.Or(r.Method, http.MethodGet), withoutSecrets(cmp.Or(r.URL, r.Path))
}

// Format prints what String returns for every verb and flag.
func (r Request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue returns what String does.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String returns the method and the place, without query, header and body.
func (c Call) String() string { return c.Method + " " + c.Origin.String() + withoutSecrets(c.Path) }

// Format prints what String returns for every verb and flag.
func (c Call) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue returns what String does.
func (c Call) LogValue() slog.Value { return slog.StringValue(c.String()) }

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
