// Package strictjson reads files that people write as JSON: a name that is not known, a name
// given twice and a value of the wrong kind are mistakes, all of which are named together, each
// by its path and its line, as far as they are few.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong.
type Mistake struct {
	File string
	Line int    // from 1
	Path string // such as "steps[2].url"; empty for the whole document
	Why  string
}

// String is "file:line: path: why".
func (m Mistake) String() string {
	if m.Path == "" {
		return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Why)
	}
	return fmt.Sprintf("%s:%d: %s: %s", m.File, m.Line, m.Path, m.Why)
}

// Error is all that is wrong with a file.
type Error struct{ Mistakes []Mistake }

// Error names every mistake, in one line.
func (e *Error) Error() string {
	texts := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		texts[i] = m.String()
	}
	return strings.Join(texts, "; ")
}

// mostMistakes is how many are told of one file one by one; of the others, that there are so many.
const mostMistakes = 20

// Decode reads text, which is the content of the file called name, into what into points to, as
// json.Unmarshal does, but strictly. The fields of structs, also within slices, maps and
// pointers, must have names by json tags, which count exactly as they are spelt; a type with
// an UnmarshalJSON reads itself. A null leaves what it is for as it is, and is a mistake in a list,
// where it is for nothing; a json.RawMessage has it there. The error is an *Error. No text of the
// file is in it but names, and what a type's UnmarshalJSON quotes. A Mark at the beginning is passed
// over, as RFC 8259, section 8.1, allows.
func Decode(name string, text []byte, into any) error {
	return (&reader{name: name, text: text}).decode(into)
}

// DecodePart is Decode for a document of somebody else's, of which into has the part that matters:
// a name that is not known may be there, and be given twice. One that is known and spelt with
// other letters, small or capital, is a mistake still.
func DecodePart(name string, text []byte, into any) error {
	return (&reader{name: name, text: text, part: true}).decode(into)
}

// Mark is the byte order mark, which some editors put before a text in UTF-8.
const Mark = "\ufeff"

// isUTF16 reports whether a text begins with a byte order mark of UTF-16.
func isUTF16(text []byte) bool {
	return bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))
}

func (r *reader) decode(into any) error {
	if isUTF16(r.text) {
		r.add(0, "", "it is written in UTF-16: save it as UTF-8")
		return r.err()
	}
	r.text = bytes.TrimPrefix(r.text, []byte(Mark))
	text := r.text
	var whole json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&whole); err != nil {
		r.add(syntaxOffset(err, len(text)), "", "it is not JSON: %v", plain(err))
		return r.err()
	}
	begin := int(decoder.InputOffset()) - len(whole)
	if rest := text[decoder.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		r.add(int(decoder.InputOffset())+len(rest)-len(bytes.TrimLeft(rest, " \t\r\n")), "", "something follows the document")
	}
	r.value(whole, begin, reflect.ValueOf(into).Elem(), "")
	return r.err()
}

type reader struct {
	name     string
	text     []byte
	part     bool // of DecodePart
	mistakes []Mistake
	more     int // mistakes behind those, the first of which is at moreAt
	moreAt   int
}

func (r *reader) add(offset int, path, format string, args ...any) {
	if len(r.mistakes) < mostMistakes {
		r.mistakes = append(r.mistakes, Mistake{r.name, LineAt(r.text, offset), path, fmt.Sprintf(format, args...)})
		return
	}
	if r.more++; r.more == 1 {
		r.moreAt = offset
	}
}

func (r *reader) err() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	if r.more > 0 { // told as one, so that whoever lists them all tells of it
		r.mistakes = append(r.mistakes, Mistake{r.name, LineAt(r.text, r.moreAt), "", fmt.Sprintf("and %d more", r.more)})
	}
	return &Error{r.mistakes}
}

// LineAt is the number of the line that the byte at offset is in, from 1.
func LineAt(text []byte, offset int) int {
	return 1 + bytes.Count(text[:min(max(offset, 0), len(text))], []byte("\n"))
}

func syntaxOffset(err error, length int) int {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return int(syntax.Offset) - 1
	}
	return length
}

func plain(err error) string { return strings.TrimPrefix(err.Error(), "json: ") }

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	rawMessage  = reflect.TypeFor[json.RawMessage]()
)

// value reads raw, which begins at the offset begin, into v.
func (r *reader) value(raw []byte, begin int, v reflect.Value, path string) {
	if string(raw) == "null" {
		return
	}
	if reflect.PointerTo(v.Type()).Implements(unmarshaler) {
		r.whole(raw, begin, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		r.value(raw, begin, v.Elem(), path)
	case reflect.Struct:
		r.fields(raw, begin, v, path)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		r.object(raw, begin, path, everyName, func(name string, raw []byte, at int) {
			element := reflect.New(v.Type().Elem()).Elem()
			r.value(raw, at, element, join(path, name))
			v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), element)
		})
	case reflect.Slice:
		r.list(raw, begin, v, path)
	default:
		r.whole(raw, begin, v, path)
	}
}

// fields reads an object into the fields of v that its names are the names of.
func (r *reader) fields(raw []byte, begin int, v reflect.Value, path string) {
	names := namesOf(v.Type())
	matters := func(name string) bool { return !r.part || slices.Contains(names, name) }
	r.object(raw, begin, path, matters, func(name string, raw []byte, at int) {
		if field, found := fieldOf(v, name); found {
			r.value(raw, at, field, join(path, name))
			return
		}
		alike := func(known string) bool { return strings.EqualFold(known, name) }
		if i := slices.IndexFunc(names, alike); r.part && i >= 0 {
			r.add(at, join(path, name), "it is spelt %s", names[i])
		} else if !r.part {
			r.add(at, join(path, name), "unknown name; want one of %s", strings.Join(names, ", "))
		}
	})
}

// whole leaves a value to encoding/json.
func (r *reader) whole(raw []byte, begin int, v reflect.Value, path string) {
	err := json.Unmarshal(raw, v.Addr().Interface())
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		r.add(begin, path, "%s where %s is wanted", wrong.Value, kindName(wrong.Type))
	case err != nil:
		r.add(begin, path, "%v", plain(err))
	}
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.Float64:
		return "a number"
	case reflect.Uint64, reflect.Uint, reflect.Uint32:
		return "a whole number that is not below zero"
	}
	return "a whole number"
}

// everyName is for a map, of whose names each matters.
func everyName(string) bool { return true }

// object has each of its members read once. A name that matters is not to be given twice.
func (r *reader) object(raw []byte, begin int, path string, matters func(name string) bool, member func(name string, raw []byte, at int)) {
	if raw[0] != '{' {
		r.add(begin, path, "want an object")
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, _ = decoder.Token()
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			return // the document has been read before: it is JSON
		}
		at := begin + int(decoder.InputOffset()) - len(value)
		if seen[name] && matters(name) {
			r.add(at, join(path, name), "it is given twice")
			continue
		}
		seen[name] = true
		member(name, value, at)
	}
}

func (r *reader) list(raw []byte, begin int, v reflect.Value, path string) {
	if raw[0] != '[' {
		r.add(begin, path, "want a list")
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, _ = decoder.Token()
	list := reflect.MakeSlice(v.Type(), 0, 4)
	for i := 0; decoder.More(); i++ {
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return
		}
		element := reflect.New(v.Type().Elem()).Elem()
		r.element(value, begin+int(decoder.InputOffset())-len(value), element, fmt.Sprintf("%s[%d]", path, i))
		list = reflect.Append(list, element)
	}
	v.Set(list)
}

// element reads what stands in a list, where a null would be read as something that nobody wrote.
func (r *reader) element(raw []byte, begin int, v reflect.Value, path string) {
	switch {
	case string(raw) != "null":
		r.value(raw, begin, v, path)
	case v.Type() == rawMessage:
		v.SetBytes(raw)
	default:
		r.add(begin, path, "null stands for nothing in a list")
	}
}

func join(path, name string) string {
	if strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) >= 0 || name == "" {
		name = fmt.Sprintf("%.40q", name) // it would be read as something else
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func tagOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if embedded(field) {
			if found, ok := fieldOf(v.Field(i), name); ok {
				return found, true
			}
		} else if tag := tagOf(field); tag == name && tag != "" && tag != "-" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func namesOf(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		field := t.Field(i)
		if embedded(field) {
			names = append(names, namesOf(field.Type)...)
		} else if tag := tagOf(field); tag != "" && tag != "-" {
			names = append(names, tag)
		}
	}
	return names
}

// embedded says whether a field is a struct whose names are those of the one that it is in.
func embedded(field reflect.StructField) bool {
	return field.Anonymous && field.Type.Kind() == reflect.Struct && tagOf(field) == ""
}
