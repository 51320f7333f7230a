package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// WithoutMark returns a document without its byte order mark.
func WithoutMark(document []byte) []byte { return bytes.TrimPrefix(document, byteOrderMark) }

// Unmarshal decodes a document into what into points to.
func Unmarshal(document []byte, into any) error {
	document = WithoutMark(document)
	if t := reflect.TypeOf(into); t != nil && holdsStruct(t) && ambiguous(document) && json.Valid(document) {
		document = exact(document, t)
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return nil
		}
	}
	if _, is := errors.AsType[*json.UnmarshalTypeError](err); !is {
		// A decoder's words for what is no JSON, or ends early, or goes on, are those
		// of a stream; these are those of a document.
		var whole json.RawMessage
		if wrong := json.Unmarshal(document, &whole); wrong != nil {
			return wrong
		}
	}
	return err
}

// IsNull reports whether a document is null.
func IsNull(document []byte) bool {
	return bytes.Equal(bytes.Trim(WithoutMark(document), " \t\r\n"), []byte("null"))
}
