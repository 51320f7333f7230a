package request

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/jsontext"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// encodeBody returns the bytes to send and the media type they are of; the
// type is empty where only the caller can know it. What has no kind of its own is
// laid out as the request's Content-Type says, and as JSON without one.
func (r *slot) encodeBody() (body []byte, contentType string, err error) {
	asked := r.asked
	switch b := asked.Body.(type) {
	case nil:
		return nil, "", nil
	case []byte:
		return b, "", nil
	case string:
		return []byte(b), "", nil
	case messages.Form:
		return encodeForm(b)
	case url.Values:
		return []byte(b.Encode()), formType, nil
	case messages.Values:
		if labelledAsForm(asked.Header) {
			return encodeForm(messages.Form(b))
		}
		body, err = b.JSON()
		return body, jsonType, err
	case map[string]any:
		if labelledAsForm(asked.Header) {
			return encodeForm(b)
		}
	case messages.Multipart:
		return r.encodeParts(b)
	case io.Reader:
		body, err = r.readBody(b)
		return body, "", err
	}
	if _, opens := asked.Body.(func() (io.Reader, error)); opens {
		return nil, "", fmt.Errorf("body: a %T is sent with Upload.Stream", asked.Body)
	}
	if labelledAsForm(asked.Header) {
		return nil, "", fmt.Errorf("its Content-Type says that it is a form, and a %T is none: use engine.Form", asked.Body)
	}
	return encodeJSON(asked.Body)
}

func encodeJSON(value any) ([]byte, string, error) {
	if err := messages.Disclosed(value); err != nil {
		return nil, "", fmt.Errorf("body: %w", err)
	}
	body, err := jsontext.Marshal(value)
	if err != nil {
		return nil, "", fmt.Errorf("body: %w", err)
	}
	return body, jsonType, nil
}

func (r *slot) encodeParts(body messages.Multipart) ([]byte, string, error) {
	parts, err := body.Lay()
	if err != nil {
		return nil, "", fmt.Errorf("body: %w", err)
	}
	r.borrowed = parts
	var checked messages.CheckedReader
	defer checked.End() // whoever reads on when the request has ended stops
	whole, err := inTime(r, func() ([]byte, error) { return parts.ReadAll(&checked) }, func([]byte) {})
	return whole, parts.ContentType, err
}

func encodeForm(form messages.Form) ([]byte, string, error) {
	text, err := form.Encoded()
	return []byte(text), formType, err
}

// labelledAsForm reports whether a request says that its body is a form.
func labelledAsForm(header http.Header) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(contentTypeIn(header))), formType)
}

func hasContentType(header http.Header) bool { return contentTypeIn(header) != "" }

// contentTypeIn is the Content-Type in a header that may be a map literal, with
// names in any case.
func contentTypeIn(header http.Header) string {
	for name, values := range header {
		if strings.EqualFold(name, "Content-Type") && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// HasLine reports whether a header that may be a map literal, with names in any case, has a
// line of that name, be it empty.
func HasLine(header http.Header, name string) bool {
	for have := range header {
		if strings.EqualFold(have, name) {
			return true
		}
	}
	return false
}

// errReaderExited is the error of a reader that called runtime.Goexit.
var errReaderExited = errors.New("request body: its reader ended the goroutine")

// borrowed are readers of the caller's, which are the request's alone until they are
// given back.
type borrowed interface {
	End()
	Spent() bool // one of them was read from, and cannot be read again
}

func (r *slot) borrow(reader io.Reader) (*messages.Source, error) {
	from, err := messages.NewSource(reader)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	r.borrowed = from
	return from, nil
}

// returnBody gives the caller's readers back once nobody reads them: an answer that is
// a stream may come before the body has been sent.
func (r *slot) returnBody() {
	switch {
	case r.borrowed == nil:
	case r.lent != nil:
		r.lent.OnEnd(r.borrowed.End)
	default:
		r.borrowed.End()
	}
}

// spent reports whether the body is one that another request would not find.
func (r *slot) spent() bool {
	return r.borrowed != nil && !r.terms.ReaderAsHTTP && r.borrowed.Spent()
}

// reads reads what was borrowed.
func (r *slot) reads(from *messages.Source) io.Reader {
	if r.terms.ReaderAsHTTP {
		return from.Open()
	}
	return from.NotEmpty()
}

// readBody reads a body into memory.
func (r *slot) readBody(reader io.Reader) ([]byte, error) {
	from, err := r.borrow(reader)
	if err != nil {
		return nil, err
	}
	checked := &messages.CheckedReader{Reader: r.reads(from)}
	if from.Size() >= 0 { // it is in memory already
		return readAll(checked)
	}
	defer checked.End() // whoever reads on when the request has ended stops
	return inTime(r, func() ([]byte, error) {
		defer from.End()
		return readAll(checked)
	}, func([]byte) {})
}

// inTime calls f, code of the caller's that may block for as long as it likes, on a
// goroutine of its own, which may never end: the request ends in time all the same.
// What comes too late is discarded.
func inTime[T any](r *slot, f func() (T, error), discard func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var over atomic.Bool // one of the two sides has ended
	done, stage := make(chan result, 1), r.stage
	r.Outside.Enter()
	go func() {
		defer r.Outside.Leave()
		got := result{err: errReaderExited}
		defer func() {
			if v := recover(); v != nil {
				got.err = wire.Panicked(stage, v)
			}
			if over.Swap(true) && got.err == nil {
				discard(got.value)
			}
			done <- got
		}()
		got.value, got.err = f()
	}()
	got, err := await(r, done)
	if err != nil {
		if !over.Swap(true) {
			return got.value, err
		}
		got = <-done // it came at the same instant
	}
	return got.value, got.err
}

// await receives something, unless the request's time is up before.
func await[T any](r *slot, from <-chan T) (got T, err error) { return awaitUnless(r, from, nil) }

// awaitUnless is await that ends without an error as well when unless is closed.
func awaitUnless[T any](r *slot, from <-chan T, unless <-chan struct{}) (got T, err error) {
	var late <-chan time.Time
	if !r.deadline.IsZero() {
		timer := time.NewTimer(time.Until(r.deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case got = <-from:
		return got, nil
	case <-unless:
		return got, nil
	case <-r.own.Done():
		return got, messages.ContextError(&r.own)
	case <-late:
		return got, context.DeadlineExceeded
	case <-r.needs.Closing:
		return got, messages.ErrClosed
	}
}

func readAll(reader io.Reader) ([]byte, error) {
	var b bytes.Buffer
	if _, err := b.ReadFrom(reader); err != nil {
		return nil, &wire.BodyError{Err: err}
	}
	return b.Bytes(), nil
}

// reads reports whether a body is read while its request is prepared, and by code that may
// take its time.
func reads(body any) bool {
	switch b := body.(type) {
	case *bytes.Buffer, *bytes.Reader, *strings.Reader:
		return false
	case messages.Multipart:
		return len(b.Files) > 0
	case io.Reader:
		return true
	}
	return false
}
