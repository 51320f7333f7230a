package messages

import (
	"encoding"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values are parameters by name, for a query, a form or a JSON object. A nil
// value, or a nil pointer, is left out, and a number is written in plain
// decimals with all its digits, never in scientific notation.
//
// In a query or a form a slice repeats its name, and everything else is written
// as fmt.Sprint would. In a JSON object the rest is written as encoding/json
// would.
type Values map[string]any

// Form is a request body sent as application/x-www-form-urlencoded.
type Form Values

// Encode returns the parameters percent-encoded in the order of their names,
// so that what is signed is what is sent.
func (v Values) Encode() string {
	if len(v) == 0 {
		return ""
	}
	var b strings.Builder
	for _, name := range v.names() {
		appendValue(&b, url.QueryEscape(name), v[name])
	}
	return b.String()
}

// Encode returns the form's body.
func (f Form) Encode() string { return Values(f).Encode() }

func (v Values) names() []string {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func appendValue(b *strings.Builder, name string, value any) {
	if text, ok := plainText(value); ok {
		appendPair(b, name, text)
		return
	}
	rv := reflect.ValueOf(value)
	switch rv.Kind() {
	case reflect.Invalid: // nil
	case reflect.Pointer:
		if !rv.IsNil() {
			appendValue(b, name, rv.Elem().Interface())
		}
	case reflect.Slice, reflect.Array:
		for i := range rv.Len() {
			appendValue(b, name, rv.Index(i).Interface())
		}
	case reflect.String:
		appendPair(b, name, rv.String())
	default:
		text, ok := decimalOfKind(rv)
		if !ok {
			text = fmt.Sprint(value)
		}
		appendPair(b, name, text)
	}
}

func appendPair(b *strings.Builder, name, value string) {
	if b.Len() > 0 {
		b.WriteByte('&')
	}
	b.WriteString(name)
	b.WriteByte('=')
	b.WriteString(url.QueryEscape(value))
}

// plainText returns how a query writes a value whose type alone tells; ok is
// false if its kind has to be looked at.
func plainText(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case []byte:
		return string(v), true
	case time.Time:
		return v.Format(time.RFC3339Nano), true
	case *time.Time:
		if v != nil { // its String would write it otherwise than a time.Time
			return v.Format(time.RFC3339Nano), true
		}
	}
	if text, ok := decimal(value); ok {
		return text, true
	}
	if s, ok := value.(fmt.Stringer); ok && !isNilPointer(value) {
		return s.String(), true
	}
	return "", false
}

// JSON returns the values as a JSON object, in the order of their names. What is
// nested in a list or an object is written by encoding/json, numbers too. A
// number that JSON has no form for is an error that says its name.
func (v Values) JSON() ([]byte, error) {
	object := make(map[string]any, len(v))
	for _, name := range v.names() { // in order, so that it is always the same mistake that is told
		form := jsonForm(v[name])
		switch form {
		case nil:
			continue
		case json.Number("NaN"), json.Number("+Inf"), json.Number("-Inf"):
			return nil, fmt.Errorf("value %q: JSON has no form for %v", name, form)
		}
		object[name] = form
	}
	return json.Marshal(object)
}

// jsonForm returns what encoding/json is to write for a value: a json.Number,
// which it copies, for every number that does not say itself how it is written,
// and nil for what is left out.
func jsonForm(value any) any {
	if isNilPointer(value) {
		return nil
	}
	if text, ok := decimal(value); ok {
		return json.Number(text)
	}
	switch value.(type) {
	case json.Marshaler, encoding.TextMarshaler:
		return value
	}
	rv := reflect.ValueOf(value)
	if rv.Kind() == reflect.Pointer {
		// Only a number is taken out of its pointer: of anything else encoding/json
		// may need the address, to find the methods of its fields.
		switch inner := jsonForm(rv.Elem().Interface()).(type) {
		case nil, json.Number:
			return inner
		}
		return value
	}
	if text, ok := decimalOfKind(rv); ok {
		return json.Number(text)
	}
	return value
}

func isNilPointer(value any) bool {
	rv := reflect.ValueOf(value)
	return rv.Kind() == reflect.Pointer && rv.IsNil()
}
