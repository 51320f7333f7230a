package jsontext

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// ambiguous reports whether an object of the document has two names that differ
// in nothing but the case of ASCII letters. It may say so of what is no JSON, and of names whose
// hashes collide.
func ambiguous(document []byte) bool {
	s := nameScanner{seed: maphash.MakeSeed()}
	for at := 0; at < len(document); at++ {
		switch document[at] {
		case '{':
			s.open()
		case '}':
			s.close()
		case '"':
			end := endOfString(document, at)
			if next := skipSpace(document, end); next < len(document) && document[next] == ':' && s.meets(document[at:end]) {
				return true
			}
			at = end - 1
		}
	}
	return false
}

// nameScanner knows the names of the objects that are open, by their hashes.
type nameScanner struct {
	seed    maphash.Seed
	lower   []byte   // scratch
	names   []hashed // of all that are open, one object's behind the other's
	objects []object // the innermost last
}

type object struct {
	start int               // where its names begin
	many  map[uint64]uint64 // them by what they are in lower case; nil while there are few
}

// hashed is a name as it is, and in lower case.
type hashed struct{ exact, folded uint64 }

// manyNames is from how many names on they are looked up rather than compared.
const manyNames = 32

func (s *nameScanner) open() { s.objects = append(s.objects, object{start: len(s.names)}) }

func (s *nameScanner) close() {
	if n := len(s.objects); n > 0 {
		s.names, s.objects = s.names[:s.objects[n-1].start], s.objects[:n-1]
	}
}

// meets reports whether the object has another name that differs in case only.
func (s *nameScanner) meets(name []byte) bool {
	if len(s.objects) == 0 {
		return false
	}
	o := &s.objects[len(s.objects)-1]
	mine, met := s.names[o.start:], s.hash(name)
	s.names = append(s.names, met)
	if len(mine) < manyNames {
		for _, have := range mine {
			if have.folded == met.folded && have.exact != met.exact {
				return true
			}
		}
		return false
	}
	if o.many == nil {
		o.many = make(map[uint64]uint64, 2*manyNames)
		for _, have := range mine {
			o.many[have.folded] = have.exact
		}
	}
	exact, have := o.many[met.folded]
	o.many[met.folded] = met.exact
	return have && exact != met.exact
}

func (s *nameScanner) hash(name []byte) hashed {
	if bytes.IndexByte(name, '\\') >= 0 {
		var text string
		_ = json.Unmarshal(name, &text) // what is no JSON is told by whoever decodes it
		name = strconv.AppendQuote(nil, text)
	}
	s.lower = s.lower[:0]
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		s.lower = append(s.lower, c)
	}
	return hashed{maphash.Bytes(s.seed, name), maphash.Bytes(s.seed, s.lower)}
}

// endOfString returns where a string that begins at at has ended.
func endOfString(document []byte, at int) int {
	for at++; at < len(document); at++ {
		switch document[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return len(document)
}

func skipSpace(document []byte, at int) int {
	for at < len(document) && (document[at] == ' ' || document[at] == '\n' || document[at] == '\r' || document[at] == '\t') {
		at++
	}
	return at
}

// exact returns a valid document without the members that encoding/json would
// take for a field of a struct although the field's own name is there as well.
func exact(document []byte, t reflect.Type) []byte {
	w := rewriter{from: document}
	w.value(t)
	return w.to.Bytes()
}

// rewriter copies a valid document, value by value.
type rewriter struct {
	from []byte
	at   int
	to   bytes.Buffer
}

func (w *rewriter) space() { w.at = skipSpace(w.from, w.at) }

// take copies one byte, behind white space.
func (w *rewriter) take() byte {
	w.space()
	c := w.from[w.at]
	w.at++
	w.to.WriteByte(c)
	return c
}

func (w *rewriter) peek() byte { w.space(); return w.from[w.at] }

// value copies one value that goes into a t; nil is anything that has no fields.
func (w *rewriter) value(t reflect.Type) {
	t = inner(t)
	switch w.peek() {
	case '{':
		w.object(t)
	case '[':
		var element reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			element = t.Elem()
		}
		w.take()
		for w.peek() != ']' {
			if w.from[w.at] == ',' {
				w.take()
			}
			w.value(element)
		}
		w.take()
	case '"':
		end := endOfString(w.from, w.at)
		w.to.Write(w.from[w.at:end])
		w.at = end
	default:
		end := w.at + bytes.IndexAny(append(w.from[w.at:len(w.from):len(w.from)], ' '), " \t\r\n,]}")
		w.to.Write(w.from[w.at:end])
		w.at = end
	}
}

// object copies an object's members, but for those whose place another has.
func (w *rewriter) object(t reflect.Type) {
	fields := fieldsOf(t)
	exactly := map[string]bool{} // the names of fields that the object has
	if fields != nil {
		probe := rewriter{from: w.from, at: w.at}
		probe.members(func(name string) reflect.Type {
			exactly[name] = fields.types[name] != nil
			return nil
		}, nil)
	}
	w.members(func(name string) reflect.Type {
		switch {
		case t != nil && t.Kind() == reflect.Map:
			return t.Elem()
		case fields == nil:
			return nil
		case fields.types[name] != nil:
			return fields.types[name]
		}
		return fields.types[fields.folded[strings.ToLower(name)]]
	}, func(name string) bool {
		return fields == nil || fields.types[name] != nil || !exactly[fields.folded[strings.ToLower(name)]]
	})
}

// members copies those that are kept, each as what it goes into.
func (w *rewriter) members(into func(name string) reflect.Type, keeps func(name string) bool) {
	w.take()
	first := true
	for w.peek() != '}' {
		if w.from[w.at] == ',' {
			w.at++
		}
		w.space()
		end, before := endOfString(w.from, w.at), w.to.Len()
		var name string
		_ = json.Unmarshal(w.from[w.at:end], &name) // it is valid
		if !first {
			w.to.WriteByte(',')
		}
		w.to.Write(w.from[w.at:end])
		w.at = end
		w.take() // the colon
		w.value(into(name))
		if keeps != nil && !keeps(name) {
			w.to.Truncate(before)
			continue
		}
		first = false
	}
	w.take()
}

// inner is what a value that goes into a t is decoded into in the end; nil if
// that is nothing with fields, or decodes itself.
func inner(t reflect.Type) reflect.Type {
	for t != nil {
		if t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) {
			return nil
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
	return nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// fields are a struct's, by the names that a document has for them.
type fields struct {
	types  map[string]reflect.Type
	folded map[string]string // the name, by itself in lower case
}

var knownFields sync.Map // reflect.Type to *fields

// fieldsOf is nil for what is no struct.
func fieldsOf(t reflect.Type) *fields {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	if known, ok := knownFields.Load(t); ok {
		return known.(*fields)
	}
	all := &fields{types: map[string]reflect.Type{}, folded: map[string]string{}}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" || field.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		all.types[name] = field.Type
		all.folded[strings.ToLower(name)] = name
	}
	knownFields.Store(t, all)
	return all
}

var structHolders sync.Map // reflect.Type to bool

// holdsStruct reports whether a struct may be found in a t, along its type.
func holdsStruct(t reflect.Type) bool {
	if known, ok := structHolders.Load(t); ok {
		return known.(bool)
	}
	holds := false
	for inside := inner(t); inside != nil; inside = inner(inside.Elem()) {
		if inside.Kind() == reflect.Struct {
			holds = true
			break
		}
		if k := inside.Kind(); k != reflect.Slice && k != reflect.Array && k != reflect.Map {
			break
		}
	}
	structHolders.Store(t, holds)
	return holds
}
