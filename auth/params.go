package auth

import (
	"maps"
	"slices"
	"strings"
)

// appendEscaped percent-encodes src as a form does (RFC 3986 unreserved bytes
// stay, a space becomes "+") and appends it to dst.
func appendEscaped(dst, src []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range src {
		switch {
		case unreserved(c):
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}

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

// appendUnescaped undoes percent-encoding as a form's reader does. A "%" that
// no two hex digits follow stays as it is.
func appendUnescaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			dst = append(dst, ' ')
		case s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			dst = append(dst, fromHex(s[i+1])<<4|fromHex(s[i+2]))
			i += 2
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
