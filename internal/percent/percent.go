// Package percent knows which bytes a URL is percent-encoded for, and undoes it
// (RFC 3986, and for forms the URL standard's application/x-www-form-urlencoded).
package percent

import "strings"

// IsHex reports whether c is a hexadecimal digit of either case.
func IsHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// EscapeTarget encodes the bytes of a path and query that may stand in neither.
// Escapes that are valid already stay, so that escaping twice is escaping once.
func EscapeTarget(s string) string {
	for i := range len(s) {
		if !mayStand(s, i) {
			return escapeTarget(s, i)
		}
	}
	return s
}

// escapeTarget is EscapeTarget for a text that is clean up to the byte at from.
func escapeTarget(s string, from int) string {
	var b strings.Builder
	b.Grow(len(s) + 2*min(len(s)-from, 16))
	b.WriteString(s[:from])
	for i := from; i < len(s); i++ {
		if mayStand(s, i) {
			b.WriteByte(s[i])
		} else {
			b.Write([]byte{'%', upper[s[i]>>4], upper[s[i]&15]})
		}
	}
	return b.String()
}

// mayStand reports whether the i-th byte of s may stand in a path or a query as
// it is: pchar, "/" and "?" of RFC 3986, appendix A.
func mayStand(s string, i int) bool {
	c := s[i]
	if c == '%' {
		return startsEscape(s, i)
	}
	return isUnreserved(c) || strings.IndexByte("!$&'()*+,;=:@/?", c) >= 0
}

// AppendForm appends src to dst as the value of a form's field: unreserved bytes
// stay, a space becomes "+", and all others are encoded.
func AppendForm(dst, src []byte) []byte {
	for _, c := range src {
		switch {
		case isUnreserved(c):
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', upper[c>>4], upper[c&15])
		}
	}
	return dst
}

// AppendDecoded appends to dst what a form's reader makes of s. A "%" that no
// two hexadecimal digits follow stays as it is.
func AppendDecoded(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			dst = append(dst, ' ')
		case s[i] == '%' && startsEscape(s, i):
			dst = append(dst, digit(s[i+1])<<4|digit(s[i+2]))
			i += 2
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

const upper = "0123456789ABCDEF"

func startsEscape(s string, i int) bool {
	return i+2 < len(s) && IsHex(s[i+1]) && IsHex(s[i+2])
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// digit is the value of a hexadecimal digit.
func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10 // the bit is what tells 'a' from 'A'
}
