package messages

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/jsontext"
)

// Values are parameters by name, for a query, a form or a JSON object. A nil
// value, or a nil pointer, is left out, and a number is written in plain
// decimals with all its digits, never in scientific notation. A request with a
// number that has none (NaN, infinity, a third), or with an auth.Secret, which
// would be sent as "***", is refused, and the error says the name.
//
// In a query or a form a slice repeats its name; a text, a boolean, a time (RFC
// 3339), and whatever has a String or MarshalText method is written as its text.
// Maps, structs and the like have none: AsJSON sends one as JSON, and without it
// the request is refused. In a JSON object the rest is written as encoding/json
// would.
type Values map[string]any

// Form is a request body sent as application/x-www-form-urlencoded.
type Form Values

// AsJSON is a value that is written as JSON where a query or a form wants a text:
// the filter or the list of orders that some APIs take as one parameter.
type AsJSON struct{ Value any }

// MarshalJSON writes the value.
func (j AsJSON) MarshalJSON() ([]byte, error) {
	if err := Disclosed(j.Value); err != nil {
		return nil, err
	}
	return jsontext.Marshal(j.Value)
}

// Encode returns the parameters percent-encoded in the order of their names,
// so that what is signed is what is sent. What cannot be sent is left out; Encoded
// says what that is.
func (v Values) Encode() string {
	text, _ := v.Encoded()
	return text
}

// Encoded is Encode, and an error that names the first parameter that cannot be
// sent.
func (v Values) Encoded() (text string, err error) {
	if len(v) == 0 {
		return "", nil
	}
	var b strings.Builder
	for _, name := range v.names() {
		if wrong := appendValue(&b, url.QueryEscape(name), v[name], 0); wrong != nil && err == nil {
			err = fmt.Errorf("parameter %q: %w", name, wrong)
		}
	}
	return b.String(), err
}

// Encode returns the form's body.
func (f Form) Encode() string { return Values(f).Encode() }

// Encoded is Encode, and an error that names the first parameter that cannot be
// sent.
func (f Form) Encoded() (string, error) { return Values(f).Encoded() }

func (v Values) names() []string {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var (
	errNoText    = errors.New("it has no text: give a String method, or send it as engine.AsJSON")
	errNoDecimal = errors.New("it has no form in decimals")
	errTooDeep   = errors.New("it is nested too deep")
)

// mostNested is how deep lists may be nested in each other.
const mostNested = 100

func appendValue(b *strings.Builder, name string, value any, depth int) error {
	if depth > mostNested {
		return errTooDeep
	}
	text, ok, err := plainText(value)
	switch {
	case err != nil:
		return err
	case ok:
		appendPair(b, name, text)
		return nil
	}
	rv := reflect.ValueOf(value)
	switch rv.Kind() {
	case reflect.Invalid: // nil
	case reflect.Pointer:
		if !rv.IsNil() {
			return appendValue(b, name, rv.Elem().Interface(), depth+1)
		}
	case reflect.Slice, reflect.Array:
		for i := range rv.Len() {
			if err := appendValue(b, name, rv.Index(i).Interface(), depth+1); err != nil {
				return err
			}
		}
	case reflect.String:
		appendPair(b, name, rv.String())
	case reflect.Bool:
		appendPair(b, name, strconv.FormatBool(rv.Bool()))
	default:
		text, ok := decimalOfKind(rv)
		if !ok {
			return fmt.Errorf("a %T: %w", value, errNoText)
		}
		if !isDecimal(text) {
			return errNoDecimal
		}
		appendPair(b, name, text)
	}
	return nil
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
func plainText(value any) (text string, ok bool, err error) {
	switch v := value.(type) {
	case string:
		return v, true, nil
	case bool:
		return strconv.FormatBool(v), true, nil
	case []byte:
		return string(v), true, nil
	case time.Time:
		return v.Format(time.RFC3339Nano), true, nil
	case *time.Time:
		if v != nil { // its String would write it otherwise than a time.Time
			return v.Format(time.RFC3339Nano), true, nil
		}
	case json.Number:
		return jsontext.Plain(string(v)), true, nil
	case undisclosed:
		return "", false, errUndisclosed
	case AsJSON:
		raw, err := v.MarshalJSON()
		return string(raw), true, err
	}
	if text, ok := decimal(value); ok {
		if !isDecimal(text) {
			return "", false, errNoDecimal
		}
		return text, true, nil
	}
	return ownText(value)
}

// ownText is what a value says of itself.
func ownText(value any) (text string, ok bool, err error) {
	if isNilPointer(value) {
		return "", false, nil
	}
	switch v := value.(type) {
	case fmt.Stringer:
		return v.String(), true, nil
	case encoding.TextMarshaler:
		raw, err := v.MarshalText()
		return string(raw), true, err
	}
	return "", false, nil
}

// JSON returns the values as a JSON object, in the order of their names. Numbers
// have no exponent, however deep they are nested. What cannot be sent is an error
// that says its name.
func (v Values) JSON() ([]byte, error) {
	object := make(map[string]any, len(v))
	for _, name := range v.names() { // in order, so that it is always the same mistake that is told
		if err := Disclosed(v[name]); err != nil {
			return nil, fmt.Errorf("value %q: %w", name, err)
		}
		form, err := jsonForm(v[name], 0)
		if err != nil {
			return nil, fmt.Errorf("value %q: %w", name, err)
		}
		if form != nil {
			object[name] = form
		}
	}
	return jsontext.Marshal(object)
}

// jsonForm returns what encoding/json is to write for a value: a json.Number,
// which it copies, for every number that does not say itself how it is written,
// in lists and objects too, and nil for what is left out.
func jsonForm(value any, depth int) (any, error) {
	if isNilPointer(value) {
		return nil, nil
	}
	if text, ok := decimal(value); ok {
		return asNumber(text)
	}
	switch value.(type) {
	case json.Marshaler, encoding.TextMarshaler:
		return value, nil
	}
	rv := reflect.ValueOf(value)
	switch rv.Kind() {
	case reflect.Pointer:
		// Only a number is taken out of its pointer: of anything else encoding/json
		// may need the address, to find the methods of its fields.
		switch inner, err := jsonForm(rv.Elem().Interface(), depth+1); inner.(type) {
		case nil, json.Number:
			return inner, err
		}
		return value, nil
	case reflect.Slice, reflect.Array, reflect.Map:
		if depth < mostNested && mayHoldNumbers(rv.Type()) {
			return jsonForms(rv, depth)
		}
		return value, nil // encoding/json has a word for what is nested without end
	}
	if text, ok := decimalOfKind(rv); ok {
		return asNumber(text)
	}
	return value, nil
}

// mayHoldNumbers reports whether a list or an object is looked through: one of
// texts is not, nor bytes, which are written as a text.
func mayHoldNumbers(t reflect.Type) bool {
	if t.Kind() == reflect.Map && t.Key().Kind() != reflect.String {
		return false
	}
	switch t.Elem().Kind() {
	case reflect.String, reflect.Bool, reflect.Struct, reflect.Uint8:
		return false
	}
	// Of a list's elements encoding/json finds such methods by their address.
	pointer := reflect.PointerTo(t.Elem())
	return !pointer.Implements(reflect.TypeFor[json.Marshaler]()) && !pointer.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// jsonForms are those of a list's or an object's elements.
func jsonForms(rv reflect.Value, depth int) (any, error) {
	if rv.Kind() != reflect.Array && rv.IsNil() {
		return rv.Interface(), nil
	}
	if rv.Kind() == reflect.Map {
		object := make(map[string]any, rv.Len())
		for _, key := range rv.MapKeys() {
			form, err := jsonForm(rv.MapIndex(key).Interface(), depth+1)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", key.String(), err)
			}
			object[key.String()] = form
		}
		return object, nil
	}
	list := make([]any, rv.Len())
	for i := range list {
		form, err := jsonForm(rv.Index(i).Interface(), depth+1)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		list[i] = form
	}
	return list, nil
}

func asNumber(text string) (any, error) {
	if !isDecimal(text) {
		return nil, errNoDecimal
	}
	return json.Number(text), nil
}

func isNilPointer(value any) bool {
	rv := reflect.ValueOf(value)
	return rv.Kind() == reflect.Pointer && rv.IsNil()
}

// HoldsNil reports whether a value of an interface type, which is not nil itself,
// holds a nil pointer or a nil function: whoever calls a method of it mostly panics.
func HoldsNil(value any) bool {
	rv := reflect.ValueOf(value)
	return (rv.Kind() == reflect.Pointer || rv.Kind() == reflect.Func) && rv.IsNil()
}
