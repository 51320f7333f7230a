package messages

import (
	"fmt"
	"strings"
)

// Code of the caller's, as a dialler, a body's reader, a processor or an authenticator, returns
// errors of its own, and those of net/url and of http.Client quote a URL as it is, with what it
// has of passwords and keys. So whatever tells of an error tells it by this rule.

// Discreet returns an error that reads as err, in one line, but for the URLs in it: they are
// told without user, query and fragment. errors.Is and errors.As find in it what they find in
// err. It is nil for nil. The text is put together by whoever asks for it.
func Discreet(err error) error {
	if err == nil {
		return nil
	}
	return &discreet{err}
}

type discreet struct{ cause error }

// Error is part of error.
func (d *discreet) Error() string { return discreetly(d.cause) }

// Unwrap returns the error itself.
func (d *discreet) Unwrap() error { return d.cause }

// discreetly is what an error says, by the rule of Discreet. One of net/url's about a URL that
// it could not read is told without all that it quotes, for that is a piece of it.
func discreetly(err error) string {
	text := fmt.Sprint(err) // which contains a panic of Error
	switch {
	case strings.Contains(text, `parse "`):
		return unquoted(text)
	case !strings.ContainsAny(text, "/@"):
		return oneLine(text)
	}
	parts := strings.Split(text, `"`)
	for i, part := range parts {
		at := schemeOf(part, strings.Index(part, "://"))
		if i%2 == 1 && i < len(parts)-1 && at == 0 { // a URL between quotation marks may have blanks
			parts[i] = placeAlone(part)
		} else {
			parts[i] = placesAlone(part)
		}
	}
	return oneLine(strings.Join(parts, `"`))
}

// schemeOf returns where the scheme begins that ends at an index of the text; -1 for none.
func schemeOf(text string, end int) int {
	if end < 0 {
		return -1
	}
	return 1 + strings.LastIndexFunc(text[:end], func(c rune) bool {
		return c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
}

// placesAlone leaves of each URL in a text its place.
func placesAlone(text string) string {
	var b strings.Builder
	for {
		at := schemeOf(text, strings.Index(text, "://"))
		if at < 0 {
			break
		}
		b.WriteString(withoutUsers(text[:at]))
		text = text[at:]
		end := endOfWord(text, 0)
		if authority, _, _ := strings.Cut(text[strings.Index(text, "://")+3:end], "/"); !isAuthority(authority) {
			end = endOfWord(text, max(end, strings.LastIndexByte(text, '@'))) // a password may have blanks
		}
		url := strings.TrimRight(text[:end], ":,;.)")
		b.WriteString(placeAlone(url))
		b.WriteString(text[len(url):end])
		text = text[end:]
	}
	b.WriteString(withoutUsers(text))
	return b.String()
}

func endOfWord(text string, from int) int {
	from = min(from, len(text))
	if i := strings.IndexAny(text[from:], " \t\r\n"); i >= 0 {
		return from + i
	}
	return len(text)
}

// placeAlone is withoutSecrets for a URL that has any, and the URL as it is otherwise.
func placeAlone(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	if authority, _, _ := strings.Cut(rest, "/"); !strings.ContainsAny(url, "@?#") && isAuthority(authority) {
		return url
	}
	return withoutSecrets(url)
}

// withoutUsers leaves out what stands for a user and a password ahead of a host, "u:p@h".
func withoutUsers(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	words := strings.SplitAfter(text, " ")
	for i, word := range words {
		if at := strings.LastIndexByte(word, '@'); at > 0 && strings.Contains(word[:at], ":") {
			words[i] = "***" + word[at:]
		}
	}
	return strings.Join(words, "")
}
