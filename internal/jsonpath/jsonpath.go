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
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-engine/sluice/internal/percent"
)

// IsPath reports whether a text is names joined by dots. An empty name, as in "a..b", is a
// slip: nobody calls a field that.
func IsPath(text string) bool { return !slices.Contains(strings.Split(text, "."), "") }

// maxDepth is how deep values may be nested. encoding/json allows 10,000; no
// answer that is worth a look needs that much stack.
const maxDepth = 500

// MaxPaths is how many paths FindAll can look for at once.
const MaxPaths = 8

// Find returns the text of the value at path, as it stands in the document. It
// shares the document's memory.
func Find(document []byte, path string) (raw []byte, found bool) {
	var s scanner
	if !s.scan(document, path) {
		return nil, false
	}
	raw = s.value(0)
	return raw, raw != nil
}

// FindAll passes over the document once, sets values[i] to the value at paths[i], or to nil if
// there is none, and reports whether the document is JSON. If it is not, values holds what was
// found before it ceased to be: that is of use for a document of which only the beginning is at
// hand. A number that this ends in is not found, for it may go on. Paths beyond MaxPaths are
// not looked for.
func FindAll(document []byte, paths []string, values [][]byte) (whole bool) {
	var s scanner
	whole = s.scan(document, paths...)
	clear(values)
	for i := range min(len(paths), MaxPaths) {
		values[i] = s.value(i)
	}
	return whole
}

// FindFirst is FindAll for a document that is believed to be JSON, and costs as
// little as can be: it reads no further than the paths need, and never more than
// its first most bytes; and what the document ends with, often the time that it was
// written at, is found from its end. Of fields that share a name it takes the first
// or the last: whether there is another could be known only after reading all of
// them. If the document is none, values holds what was found before it ceased to be.
func FindFirst(document []byte, most int, paths []string, values [][]byte) {
	n := min(len(paths), MaxPaths)
	s := scanner{text: document, hasty: true, open: 1<<n - 1}
	copy(s.paths[:], paths)
	if s.tail(); s.open != 0 {
		s.text = document[:max(0, min(most, len(document)))]
		s.leaveOut()
	}
	if s.open != 0 {
		s.skipSpace()
		s.pass(s.open, 0) // what is known when it ends is in found, whatever ended it
		s.text = document // where the values lie that were found from its end
	}
	clear(values)
	for i := range n {
		values[i] = s.value(i)
	}
}

// leaveOut gives up the paths whose last name is nowhere in the text. To look for a
// name costs a tenth of passing over what may have it.
func (s *scanner) leaveOut() {
	if bytes.IndexByte(s.text, '\\') >= 0 {
		return // a name may be spelt with escapes
	}
	var quoted [maxSought + 2]byte
	for i, path := range &s.paths {
		name := path[strings.LastIndexByte(path, '.')+1:]
		if !s.open.has(i) || len(name) > maxSought || index(name) >= 0 { // an element of a list has no name
			continue
		}
		n := 1 + copy(quoted[1:], name)
		quoted[0], quoted[n] = '"', '"'
		if !bytes.Contains(s.text, quoted[:n+1]) {
			s.open &^= 1 << i
		}
	}
}

// maxSought is how long a name may be that leaveOut looks for.
const maxSought = 30

// Scalar returns what the value at path says: a string's text, or the literal
// of a number or a boolean. An object, a list and a null say nothing.
func Scalar(document []byte, path string) (text string, found bool) {
	raw, _ := Find(document, path)
	says, found := Text(raw)
	return string(says), found
}

// Text returns what a value that was found says, as Scalar does. It shares the
// value's memory unless the value is spelt with escapes.
func Text(raw []byte) (text []byte, found bool) {
	if len(raw) == 0 {
		return nil, false
	}
	switch raw[0] {
	case '{', '[', 'n':
		return nil, false
	case '"':
		if inside := raw[1 : len(raw)-1]; isPlain(inside) {
			return inside, true
		}
		return []byte(unquote(raw)), true
	}
	return raw, true
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

// onWay is the set of the paths that lead on from a value, by their places among
// those that are sought.
type onWay uint

func (w onWay) has(i int) bool { return w&(1<<i) != 0 }

// scanner passes over a document once, by the grammar of RFC 8259. It holds no
// slices but the document: then nothing of it leaves the stack.
type scanner struct {
	text  []byte
	at    int              // the next byte to be looked at
	paths [MaxPaths]string // what is sought
	found [MaxPaths]span   // the value that lies at the end of each path, as far as is known

	// hasty takes the first value of each path and ends with the last of them: then
	// open is 0, and whatever passes over something reports false.
	hasty bool
	open  onWay // the paths of which nothing is known yet, if hasty
}

// span is a part of the document. No value begins where it ends.
type span struct{ begin, end int }

// scan reports whether a document is JSON, and takes note of where the paths
// lead to.
func (s *scanner) scan(document []byte, paths ...string) bool {
	s.text = document
	n := copy(s.paths[:], paths)
	s.skipSpace()
	if !s.pass(1<<n-1, 0) {
		return false
	}
	s.skipSpace()
	return s.at == len(document) // nothing follows the document
}

// value returns what was found at the end of a path. Whoever appends to it must
// not write on into the document, hence its capacity.
func (s *scanner) value(i int) []byte {
	if at := s.found[i]; at.begin < at.end {
		return s.text[at.begin:at.end:at.end]
	}
	return nil
}

// pass passes over one value, and reports false if there is none.
func (s *scanner) pass(way onWay, depth int) bool {
	if s.at >= len(s.text) || depth > maxDepth {
		return false
	}
	switch s.text[s.at] {
	case '{':
		return s.object(way, depth)
	case '[':
		return s.list(way, depth)
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

func (s *scanner) object(way onWay, depth int) bool {
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
		if !s.next(':') || !s.member(s.called(key, way, depth), depth) {
			return false
		}
		if !s.next(',') {
			return s.next('}')
		}
		s.skipSpace()
	}
}

// called are the paths that go on by way of the field that quoted, a valid JSON
// string, is the name of.
func (s *scanner) called(quoted []byte, way onWay, depth int) onWay {
	if way == 0 {
		return 0
	}
	name := quoted[1 : len(quoted)-1]
	if !isPlain(name) {
		name = []byte(unquote(quoted))
	}
	var on onWay
	for i, path := range &s.paths {
		if way.has(i) && string(name) == nameAt(path, depth) {
			on |= 1 << i
		}
	}
	return on
}

func (s *scanner) list(way onWay, depth int) bool {
	last := -1 // the last element that is on the way to anything
	for i, path := range &s.paths {
		if way.has(i) {
			last = max(last, index(nameAt(path, depth)))
		}
	}
	s.at++
	s.skipSpace()
	if s.next(']') {
		return true
	}
	for i := 0; ; i++ {
		var on onWay
		if i <= last {
			on = s.numbered(i, way, depth)
		}
		if !s.member(on, depth) {
			return false
		}
		if !s.next(',') {
			return s.next(']')
		}
	}
}

// numbered are the paths that go on by way of a list's element.
func (s *scanner) numbered(element int, way onWay, depth int) onWay {
	var on onWay
	for i, path := range &s.paths {
		if way.has(i) && index(nameAt(path, depth)) == element {
			on |= 1 << i
		}
	}
	return on
}

// member passes over a value inside another, and the spaces around it. Paths that
// lead to it go on inside, or end here.
func (s *scanner) member(way onWay, depth int) bool {
	s.skipSpace()
	if s.hasty {
		way &= s.open
	}
	if way == 0 {
		ok := s.pass(0, depth+1)
		s.skipSpace()
		return ok
	}
	begin, ends := s.at, onWay(0)
	for i, path := range &s.paths {
		if way.has(i) {
			// What was found in an earlier field of the same name no longer counts,
			// even if the path ends nowhere in this one.
			s.found[i] = span{}
			if isLast(path, depth) {
				ends |= 1 << i
			}
		}
	}
	if !s.pass(way&^ends, depth+1) {
		return false
	}
	end := s.at
	s.skipSpace()
	if end == len(s.text) && isDigit(s.text[end-1]) {
		return false // it may go on in what is cut off: 12 is the beginning of 123
	}
	for i := range &s.paths {
		if ends.has(i) {
			s.found[i] = span{begin, end}
		}
	}
	if s.hasty {
		s.open &^= way // wherever they lead, it was in here
		return s.open != 0
	}
	return true
}

// nameAt is the name that a path goes by at a depth, counted from zero.
func nameAt(path string, depth int) string {
	for range depth {
		_, path, _ = strings.Cut(path, ".")
	}
	name, _, _ := strings.Cut(path, ".")
	return name
}

// isLast reports whether the name that a path goes by at a depth is its last.
func isLast(path string, depth int) bool { return strings.Count(path, ".") == depth }

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
	for s.at < len(s.text) && isDigit(s.text[s.at]) {
		s.at++
	}
	return s.at > begin
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

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
