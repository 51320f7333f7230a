// Package jsonpath finds one value in a JSON document without decoding the rest.
//
// A path is names joined by dots: "error.code", "data.0.ts". A name is that of
// an object's field, however the document spells it ("\u0063ode" is "code"), or
// the plain decimal index of a list's element, counted from zero. What has a dot
// in its name cannot be named.
//
// The answer is that of encoding/json. A document that is not JSON from its
// first byte to its last has no values at all. Of fields that share a name the
// last counts: whoever decodes the same answer with encoding/json must come to
// the same value. So every byte is looked at, once, and nothing is allocated
// but for names on the way that are spelt with escapes.
package jsonpath

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/sluice-engine/sluice/internal/percent"
)

// maxDepth is how deep values may be nested. encoding/json allows 10,000; no
// answer that is worth a look needs that much stack.
const maxDepth = 500

// Find returns the text of the value at path, as it stands in the document. It
// shares the document's memory.
func Find(document []byte, path string) (raw []byte, found bool) {
	s := scanner{text: document}
	s.skipSpace()
	if !s.value(path, true, 0) {
		return nil, false
	}
	s.skipSpace()
	if s.at < len(document) {
		return nil, false // something follows the document
	}
	return s.found, s.found != nil
}

// Scalar returns what the value at path says: a string's text, or the literal
// of a number or a boolean. An object, a list and a null say nothing.
func Scalar(document []byte, path string) (text string, found bool) {
	raw, found := Find(document, path)
	if !found {
		return "", false
	}
	switch raw[0] {
	case '{', '[', 'n':
		return "", false
	case '"':
		return unquote(raw), true
	}
	return string(raw), true
}

// unquote returns what a valid JSON string says.
func unquote(quoted []byte) string {
	if inside := quoted[1 : len(quoted)-1]; isPlain(inside) {
		return string(inside)
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // the scanner has seen that it is valid
	return text
}

// isPlain reports whether the inside of a string stands for itself, byte for
// byte: it has no escapes, and nothing that is read as U+FFFD for not being UTF-8.
func isPlain(inside []byte) bool {
	return bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside)
}

// scanner passes over a document once, by the grammar of RFC 8259.
type scanner struct {
	text  []byte
	at    int    // the next byte to be looked at
	found []byte // the last value that lay at the end of the path
}

// value passes over one value, and reports false if there is none. If onWay, path
// leads from it to what is sought.
func (s *scanner) value(path string, onWay bool, depth int) bool {
	if s.at >= len(s.text) || depth > maxDepth {
		return false
	}
	switch s.text[s.at] {
	case '{':
		return s.object(path, onWay, depth)
	case '[':
		return s.list(path, onWay, depth)
	case '"':
		return s.str()
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

func (s *scanner) object(path string, onWay bool, depth int) bool {
	name, _, _ := strings.Cut(path, ".")
	s.at++
	s.skipSpace()
	if s.next('}') {
		return true
	}
	for {
		begin := s.at
		if !s.str() {
			return false
		}
		key := s.text[begin:s.at]
		s.skipSpace()
		if !s.next(':') || !s.member(path, onWay && spells(key, name), depth) {
			return false
		}
		if !s.next(',') {
			return s.next('}')
		}
		s.skipSpace()
	}
}

func (s *scanner) list(path string, onWay bool, depth int) bool {
	wanted := -1
	if onWay {
		name, _, _ := strings.Cut(path, ".")
		wanted = index(name)
	}
	s.at++
	s.skipSpace()
	if s.next(']') {
		return true
	}
	for i := 0; ; i++ {
		if !s.member(path, i == wanted, depth) {
			return false
		}
		if !s.next(',') {
			return s.next(']')
		}
	}
}

// member passes over a value inside another, and the spaces around it. If onWay,
// it is the one that path names first.
func (s *scanner) member(path string, onWay bool, depth int) bool {
	s.skipSpace()
	if !onWay {
		ok := s.value("", false, depth+1)
		s.skipSpace()
		return ok
	}
	// What was found in an earlier field of the same name no longer counts, even
	// if the path ends nowhere in this one.
	s.found = nil
	begin := s.at
	_, rest, more := strings.Cut(path, ".")
	ok := s.value(rest, more, depth+1)
	if !more {
		s.found = s.text[begin:s.at:s.at] // whoever appends to it must not write on
	}
	s.skipSpace()
	return ok
}

// spells reports whether quoted, a valid JSON string, says name.
func spells(quoted []byte, name string) bool {
	inside := quoted[1 : len(quoted)-1]
	if isPlain(inside) {
		return string(inside) == name
	}
	return unquote(quoted) == name
}

// index returns the number that a name is, or -1: "0" and "12" are plain
// decimals, "+1" and "01" are names.
func index(name string) int {
	if name == "" || len(name) > 9 || name[0] == '0' && len(name) > 1 {
		return -1
	}
	n := 0
	for _, c := range []byte(name) {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// str passes over a string.
func (s *scanner) str() bool {
	if !s.next('"') {
		return false
	}
	for i := s.at; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			return true
		case c < ' ':
			return false
		case c == '\\':
			s.at = i
			if !s.escape() {
				return false
			}
			i = s.at - 1 // the loop takes the next step itself
		}
	}
	return false
}

func (s *scanner) escape() bool {
	s.at++
	if s.at >= len(s.text) {
		return false
	}
	c := s.text[s.at]
	s.at++
	if c != 'u' {
		return strings.IndexByte(`"\/bfnrt`, c) >= 0
	}
	for range 4 {
		if s.at >= len(s.text) || !percent.IsHex(s.text[s.at]) {
			return false
		}
		s.at++
	}
	return true
}

// number passes over a number, whose parts are the integer, the fraction and
// the exponent.
func (s *scanner) number() bool {
	s.next('-')
	if !s.next('0') && !s.digits() { // no digit may follow a leading zero
		return false
	}
	if s.next('.') && !s.digits() {
		return false
	}
	if s.next('e') || s.next('E') {
		if !s.next('+') {
			s.next('-')
		}
		return s.digits()
	}
	return true
}

// digits passes over one digit or more.
func (s *scanner) digits() bool {
	begin := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > begin
}

func (s *scanner) literal(want string) bool {
	end := s.at + len(want)
	if end > len(s.text) || string(s.text[s.at:end]) != want {
		return false
	}
	s.at = end
	return true
}

// next passes over c if it is the next byte.
func (s *scanner) next(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) skipSpace() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}
