package engine

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// with returns a copy of a request that has a value in a query parameter, or in a field of
// its body, in the place of what it had there. Maps on the way are copied, and nothing of
// the request's is changed.
func with(asked *Request, param, field string, value any) (*Request, error) {
	next := *asked
	if field != "" {
		body, err := withField(asked.Body, field, value)
		next.Body = body
		return &next, err
	}
	next.URL, next.Path = withoutParam(asked.URL, param), withoutParam(asked.Path, param)
	next.Query = maps.Clone(asked.Query)
	if next.Query == nil {
		next.Query = Values{}
	}
	next.Query[param] = value
	return &next, nil
}

// withoutParam takes a parameter out of the query of a URL or a path. The rest is left as
// it is spelt.
func withoutParam(target, param string) string {
	target, fragment, marked := strings.Cut(target, "#")
	place, query, asks := strings.Cut(target, "?")
	if !asks {
		return strings.TrimSuffix(target+"#"+fragment, "#")
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		if !isParam(pair, param) {
			kept = append(kept, pair)
		}
	}
	if rest := strings.Join(kept, "&"); rest != "" {
		place += "?" + rest
	}
	if marked {
		place += "#" + fragment
	}
	return place
}

func isParam(pair, param string) bool {
	name, _, _ := strings.Cut(pair, "=")
	plain, err := url.QueryUnescape(name)
	return err == nil && plain == param
}

// paramOf is what a request says in a query parameter; empty if it does not have it.
func paramOf(asked *Request, param string) string {
	if value, has := asked.Query[param]; has && value != nil {
		text, err := Values{param: value}.Encoded()
		_, text, _ = strings.Cut(text, "=")
		if plain, bad := url.QueryUnescape(text); err == nil && bad == nil {
			return plain
		}
	}
	for _, target := range []string{asked.URL, asked.Path} {
		target, _, _ = strings.Cut(target, "#")
		_, query, _ := strings.Cut(target, "?")
		for pair := range strings.SplitSeq(query, "&") {
			if _, text, _ := strings.Cut(pair, "="); isParam(pair, param) {
				plain, _ := url.QueryUnescape(text)
				return plain
			}
		}
	}
	return ""
}

// inBody is what a body has in a field; nil if it does not have it.
func inBody(body any, field string) (any, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case url.Values:
		if b.Has(field) {
			return b.Get(field), nil
		}
		return nil, nil
	}
	object, _, ok := objectOf(body)
	if !ok {
		return nil, notAField(body, field)
	}
	name, rest, deeper := strings.Cut(field, ".")
	if !deeper || object[name] == nil {
		return object[name], nil
	}
	return inBody(object[name], rest)
}

// withField returns a copy of a body with a value in a field.
func withField(body any, field string, value any) (any, error) {
	if form, ok := body.(url.Values); ok {
		form = url.Values(http.Header(form).Clone())
		if form == nil {
			form = url.Values{}
		}
		form.Set(field, fmt.Sprint(value))
		return form, nil
	}
	if body == nil {
		body = Values{}
	}
	object, again, ok := objectOf(body)
	if !ok {
		return nil, notAField(body, field)
	}
	object = maps.Clone(object)
	if object == nil {
		object = map[string]any{}
	}
	name, rest, deeper := strings.Cut(field, ".")
	if deeper {
		inner := object[name]
		if inner == nil {
			inner = map[string]any{}
		}
		var err error
		if value, err = withField(inner, rest, value); err != nil {
			return nil, err
		}
	}
	object[name] = value
	return again(object), nil
}

// objectOf is a body by the names of its fields, and what makes such a body of them.
func objectOf(body any) (object map[string]any, again func(map[string]any) any, ok bool) {
	switch b := body.(type) {
	case Values:
		return b, func(m map[string]any) any { return Values(m) }, true
	case Form:
		return b, func(m map[string]any) any { return Form(m) }, true
	case map[string]any:
		return b, func(m map[string]any) any { return m }, true
	}
	return nil, nil, false
}

func notAField(body any, field string) error {
	return fmt.Errorf("%w: a %T, in which the field %q is to be set, is neither Values, a Form, url.Values nor a map[string]any", errPager, body, field)
}

// print is what tells requests of pages apart.
type print [sha256.Size]byte

// printOf tells a request from all others that would be sent otherwise. It reports false if it
// cannot: what a reader in its body will say is not known before it is read. That tells nothing
// apart if all requests have the same body, as with every Pager but one with a Next.
//
// It is not called under wire.Guard, for the reason that byNext has: values may have methods of
// their own.
func printOf(asked *Request, sameBody bool) (p print, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false // whoever sends it has a word for that
		}
	}()
	h := sha256.New()
	writeAsked(h, asked, asked.Query.Encode())
	ok = writeBody(h, asked.Body, sameBody)
	h.Sum(p[:0])
	return p, ok
}

func writeBody(h hash.Hash, body any, same bool) bool {
	var text []byte
	var err error
	switch body := body.(type) {
	case nil:
		return true
	case []byte:
		text = body
	case string:
		text = []byte(body)
	case url.Values:
		text = []byte(body.Encode())
	case Form:
		text = []byte(body.Encode())
	case Values:
		text, err = body.JSON()
	case Multipart:
		return writeMultipart(h, body, same)
	case io.Reader, func() (io.Reader, error):
		return same
	default:
		text, err = json.Marshal(body)
	}
	writePart(h, fmt.Sprintf("%T", body))
	writePart(h, string(text))
	return err == nil
}

func writeMultipart(h hash.Hash, body Multipart, same bool) bool {
	fields, err := body.Fields.Encoded()
	writePart(h, fields)
	for i := range body.Files {
		file := &body.Files[i]
		for _, text := range []string{file.Field, file.Name, file.ContentType} {
			writePart(h, text)
		}
		if !writeBody(h, file.Content, same) {
			return false
		}
	}
	return err == nil
}
