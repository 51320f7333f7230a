package auth

import (
	"maps"
	"slices"
	"strings"
)

// lookup returns the still encoded value of the first parameter of that name.
// Only plain names are found: those of the schemes need no encoding.
func lookup(params, name string) (value string, ok bool) {
	if !strings.Contains(params, name) {
		return "", false
	}
	for params != "" {
		var pair string
		pair, params, _ = strings.Cut(params, "&")
		key, value, _ := strings.Cut(pair, "=")
		if key == name {
			return value, true
		}
	}
	return "", false
}

// sorted joins parameters in the order of their names, "name=value" with "&"
// between, nothing encoded.
func sorted(params map[string]string) string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(params)) {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name)
		b.WriteByte('=')
		b.WriteString(params[name])
	}
	return b.String()
}
