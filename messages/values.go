package messages

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values are query or form parameters by name. A nil value, or a nil pointer,
// is left out; a slice repeats its name; everything else is written as
// fmt.Sprint would, but floats never in scientific notation.
type Values map[string]any

// Form is a request body sent as application/x-www-form-urlencoded.
type Form Values

// Encode returns the parameters percent-encoded in the order of their names,
// so that what is signed is what is sent.
func (v Values) Encode() string {
	if len(v) == 0 {
		return ""
	}
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)

	var b strings.Builder
	for _, name := range names {
		appendValue(&b, url.QueryEscape(name), v[name])
	}
	return b.String()
}

// Encode returns the form's body.
func (f Form) Encode() string { return Values(f).Encode() }

func appendValue(b *strings.Builder, name string, value any) {
	text, ok := formatScalar(value)
	if ok {
		appendPair(b, name, text)
		return
	}
	rv := reflect.ValueOf(value)
	switch rv.Kind() {
	case reflect.Invalid:
		return
	case reflect.Pointer, reflect.Interface:
		if !rv.IsNil() {
			appendValue(b, name, rv.Elem().Interface())
		}
		return
	case reflect.Slice, reflect.Array:
		for i := range rv.Len() {
			appendValue(b, name, rv.Index(i).Interface())
		}
		return
	}
	appendPair(b, name, formatKind(rv))
}

func appendPair(b *strings.Builder, name, value string) {
	if b.Len() > 0 {
		b.WriteByte('&')
	}
	b.WriteString(name)
	b.WriteByte('=')
	b.WriteString(url.QueryEscape(value))
}

func formatScalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case []byte:
		return string(v), true
	case time.Time:
		return v.Format(time.RFC3339Nano), true
	case fmt.Stringer:
		if rv := reflect.ValueOf(value); rv.Kind() == reflect.Pointer && rv.IsNil() {
			return "", false
		}
		return v.String(), true
	}
	return "", false
}

func formatKind(rv reflect.Value) string {
	switch {
	case rv.CanFloat():
		return strconv.FormatFloat(rv.Float(), 'f', -1, rv.Type().Bits())
	case rv.Kind() == reflect.String:
		return rv.String()
	}
	return fmt.Sprint(rv.Interface())
}
