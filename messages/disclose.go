package messages

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
)

// undisclosed is a value that does not print as it is: auth.Secret. To send one as
// it prints is always a mistake, and a bad one, for the server is told that the
// key is "***".
type undisclosed interface{ Undisclosed() }

var errUndisclosed = errors.New(`it is a secret, and would be sent as "***": convert it to string if it is meant to be sent`)

// Disclosed returns an error that says where in a value, which is to be sent as
// JSON, an auth.Secret is; nil if it holds none.
func Disclosed(value any) error {
	if value == nil || !mayHide(reflect.TypeOf(value)) {
		return nil
	}
	return disclosed(reflect.ValueOf(value), 0)
}

// disclosed looks through a value. What is nested without end is an error of
// encoding/json's.
func disclosed(rv reflect.Value, depth int) error {
	if depth > mostNested || !rv.IsValid() || !mayHide(rv.Type()) {
		return nil
	}
	if rv.Type().Implements(undisclosedType) && !(rv.Kind() == reflect.Pointer && rv.IsNil()) {
		return errUndisclosed
	}
	switch rv.Kind() {
	case reflect.Pointer, reflect.Interface:
		return disclosed(rv.Elem(), depth+1)
	case reflect.Struct:
		for i := range rv.NumField() {
			field := rv.Type().Field(i)
			if !field.IsExported() || field.Tag.Get("json") == "-" {
				continue // it is not sent
			}
			if err := disclosed(rv.Field(i), depth+1); err != nil {
				return at(field.Name, err)
			}
		}
	case reflect.Map:
		for entries := rv.MapRange(); entries.Next(); {
			if err := disclosed(entries.Value(), depth+1); err != nil {
				return at(fmt.Sprint(entries.Key()), err)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range rv.Len() {
			if err := disclosed(rv.Index(i), depth+1); err != nil {
				return at(strconv.Itoa(i), err)
			}
		}
	}
	return nil
}

func at(place string, err error) error { return fmt.Errorf("%s: %w", place, err) }

var (
	undisclosedType = reflect.TypeFor[undisclosed]()
	hiding          sync.Map // reflect.Type to bool
)

// mayHide reports whether a secret may be found in values of a type: mostly not,
// and then they are not looked through.
func mayHide(t reflect.Type) bool {
	if known, ok := hiding.Load(t); ok {
		return known.(bool)
	}
	may := hides(t, map[reflect.Type]bool{})
	hiding.Store(t, may)
	return may
}

// hides looks through a type; seen are those that are being looked through.
func hides(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if t.Implements(undisclosedType) {
		return true
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Array:
		return hides(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() && hides(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}
