package engine

import (
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// A caller's http.Header may be a map literal, with names in any case: each is a line of its own.
// Its methods know but the canonical spelling, and so nothing here is theirs alone.

// hasHeader reports whether a header has a value of that name, whatever the case
// it is written in: a map literal may have any.
func hasHeader(header http.Header, name string) bool { return headerOf(header, name) != "" }

// headerOf returns the first value of a line, whatever the case of its name; "" if there is none.
func headerOf(header http.Header, name string) string {
	if own := header.Get(name); own != "" { // mostly
		return own
	}
	for _, have := range slices.Sorted(maps.Keys(header)) {
		if values := header[have]; strings.EqualFold(have, name) && len(values) > 0 && values[0] != "" {
			return values[0]
		}
	}
	return ""
}

// valuesOf yields the values of all lines of a name, whatever the case it is written in.
func valuesOf(header http.Header, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for have, values := range header {
			if !strings.EqualFold(have, name) {
				continue
			}
			for _, value := range values {
				if !yield(value) {
					return
				}
			}
		}
	}
}

// setHeader sets a line, in the place of every line of that name, whatever the case it is
// written in: http.Header.Set leaves what is spelt otherwise, and the server gets both.
func setHeader(header http.Header, name, value string) {
	delHeader(header, name)
	header.Set(name, value)
}

// delHeader takes every line of that name out, whatever the case it is written in.
func delHeader(header http.Header, name string) {
	maps.DeleteFunc(header, func(have string, _ []string) bool { return strings.EqualFold(have, name) })
}
