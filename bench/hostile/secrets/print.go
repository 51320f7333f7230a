package secrets

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Report is what a look found.
type Report struct {
	Types int // looked at
	Texts int // printed
	Leaks []string
	// Stale are entries of the table of what is public that stand for nothing.
	Stale []string
}

// Look prints every type in every way. It fails without the source.
func Look() (r Report, err error) {
	folder, err := root()
	if err != nil {
		return r, err
	}
	declared, err := Declared(folder)
	if err != nil {
		return r, err
	}
	for _, name := range Missing(declared) {
		r.Leaks = append(r.Leaks, name+" is declared, and nobody looks at it: add it to types.go")
	}
	for _, t := range types {
		r.Types++
		for _, v := range specimens(t) {
			r.look(v, nameOf(t), !sent[nameOf(t)])
		}
	}
	if err := r.lookAtLife(); err != nil {
		return r, err
	}
	for i, e := range errorsAbout() {
		if e == nil {
			r.Leaks = append(r.Leaks, fmt.Sprintf("error %d is nil: nothing was looked at", i))
			continue
		}
		r.look(e, fmt.Sprintf("%T %q", e, strings.ReplaceAll(e.Error(), marker, "MARKER")), true)
	}
	for name := range public {
		if !visited[name] {
			r.Stale = append(r.Stale, name)
		}
	}
	for name := range urls {
		if !visited[name] {
			r.Stale = append(r.Stale, name)
		}
	}
	slices.Sort(r.Stale)
	return r, nil
}

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%T", "%U", "%t", "%10v", "%#q"}

// look prints a value in every place.
func (r *Report) look(v any, name string, asJSON bool) {
	for _, held := range holders(v) {
		for _, verb := range verbs {
			r.text(name, verb, fmt.Sprintf(verb, held))
		}
		r.text(name, "slog text", logged(held, false))
		if asJSON {
			r.text(name, "slog JSON", logged(held, true))
			if raw, err := json.Marshal(held); err == nil {
				r.text(name, "JSON", string(raw))
			} else {
				r.text(name, "error of JSON", err.Error())
			}
		}
	}
	if e, ok := v.(error); ok {
		r.text(name, "Error", e.Error())
	}
}

// holders are a value, and others that hold it.
func holders(v any) []any {
	t := reflect.TypeOf(v)
	list := reflect.Append(reflect.MakeSlice(reflect.SliceOf(t), 0, 1), reflect.ValueOf(v))
	object := reflect.MakeMap(reflect.MapOf(reflect.TypeFor[string](), t))
	object.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf(v))
	field := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "V", Type: t}})).Elem()
	field.Field(0).Set(reflect.ValueOf(v))
	return []any{
		v, []any{v}, map[string]any{"key": v}, struct{ V any }{v}, &struct{ V any }{v}, []any{[]any{v}},
		list.Interface(), object.Interface(), field.Interface(), field.Addr().Interface(),
	}
}

func logged(v any, asJSON bool) string {
	var out bytes.Buffer
	var handler slog.Handler = slog.NewTextHandler(&out, nil)
	if asJSON {
		handler = slog.NewJSONHandler(&out, nil)
	}
	log := slog.New(handler)
	log.Info("x", "value", v)
	log.WithGroup("outer").With("value", v).Info("x", slog.Group("inner", slog.Any("value", v)))
	return out.String()
}

func (r *Report) text(name, how, text string) {
	r.Texts++
	for guise, secret := range guises {
		if strings.Contains(text, secret) && len(r.Leaks) < 400 {
			r.Leaks = append(r.Leaks, fmt.Sprintf("%s under %s, %s: %.160q", name, how, guise, text))
			return
		}
	}
}

// guises are how the secret may look.
var guises = func() map[string]string {
	bytes := []byte(marker)
	numbers := func(format, separator string) string {
		var all []string
		for _, b := range bytes {
			all = append(all, fmt.Sprintf(format, b))
		}
		return strings.Join(all, separator)
	}
	all := map[string]string{
		"as it is": marker, "in hex": hex.EncodeToString(bytes), "in HEX": strings.ToUpper(hex.EncodeToString(bytes)),
		"percent-encoded": url.QueryEscape(marker), "in a path": url.PathEscape(marker), "a part": "sesame", "a number": digits,
		"as decimals": numbers("%d", " "), "as Go bytes": numbers("0x%x", ", "), "in spaced hex": numbers("%02x", " "),
	}
	for shift := range 3 { // it may begin anywhere in a group of three
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			coded := encoding.EncodeToString(append(make([]byte, shift), bytes...))
			all[fmt.Sprintf("%s at %d", name, shift)] = coded[4 : len(coded)-4]
		}
	}
	return all
}()
