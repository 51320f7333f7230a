package jsonpath

import "bytes"

// mostTail is how many fields at the end of a document are looked at.
const mostTail = 8

// tail looks for paths of one name among the last fields of the object that the
// document is, from its end on. It goes on as long as fields have plain texts,
// numbers or literals. Nothing of what it passes over can lie inside a string: what
// ends a document that is JSON stands outside of all strings, and a string without
// an escape begins at the quotation mark before the one that ends it.
func (s *scanner) tail() {
	var single onWay
	for i, path := range &s.paths {
		if s.open.has(i) && isLast(path, 0) {
			single |= 1 << i
		}
	}
	b := backwards{s.text}
	b.skipSpace()
	if single == 0 || !b.next('}') {
		return
	}
	for range mostTail {
		value, name, ok := b.field()
		if !ok {
			return
		}
		for i, path := range &s.paths {
			if (single & s.open).has(i) && string(name) == path {
				s.found[i] = value
				s.open &^= 1 << i
			}
		}
		b.skipSpace()
		if single&s.open == 0 || !b.next(',') {
			return
		}
	}
}

// backwards is what lies before a place in a document.
type backwards struct{ text []byte }

func (b *backwards) skipSpace() { b.text = bytes.TrimRight(b.text, " \t\r\n") }

// next goes back over c if it is the byte before.
func (b *backwards) next(c byte) bool {
	n := len(b.text) - 1
	if n < 0 || b.text[n] != c {
		return false
	}
	b.text = b.text[:n]
	return true
}

// field goes back over a name and a value that is neither an object nor a list.
func (b *backwards) field() (value span, name []byte, ok bool) {
	b.skipSpace()
	value.end = len(b.text)
	if !b.scalar() {
		return span{}, nil, false
	}
	value.begin = len(b.text)
	b.skipSpace()
	if !b.next(':') {
		return span{}, nil, false
	}
	b.skipSpace()
	end := len(b.text)
	if !b.str() {
		return span{}, nil, false
	}
	return value, b.text[len(b.text):end][1 : end-len(b.text)-1], true
}

func (b *backwards) scalar() bool {
	if n := len(b.text); n > 0 && b.text[n-1] == '"' {
		return b.str()
	}
	end := len(b.text)
	b.text = bytes.TrimRightFunc(b.text, isOfNumberOrLiteral)
	s := scanner{text: b.text[:end], at: len(b.text)}
	return s.at < end && s.pass(0, maxDepth) && s.at == end
}

func isOfNumberOrLiteral(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == 'E' || c == '+' || c == '-' || c == '.'
}

// str goes back over a string without escapes.
func (b *backwards) str() bool {
	if !b.next('"') {
		return false
	}
	begin := bytes.LastIndexByte(b.text, '"')
	if begin < 0 {
		return false
	}
	inside := b.text[begin+1:]
	if !isPlain(inside) || bytes.ContainsFunc(inside, func(c rune) bool { return c < ' ' }) || begin > 0 && b.text[begin-1] == '\\' {
		return false
	}
	b.text = b.text[:begin]
	return true
}
