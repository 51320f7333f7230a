package request

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/jsontext"
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
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		body, err = readBody(b.(io.Reader)) // from memory
		return body, "", err
	case io.Reader:
		body, err = r.readInTime(b)
		return body, "", err
	}
	if _, opens := asked.Body.(func() (io.Reader, error)); opens {
		return nil, "", fmt.Errorf("body: a %T is sent with Upload.Stream", asked.Body)
	}
	if labelledAsForm(asked.Header) {
		return nil, "", fmt.Errorf("its Content-Type says that it is a form, and a %T is none: use engine.Form", asked.Body)
	}
	if err := messages.Disclosed(asked.Body); err != nil {
		return nil, "", fmt.Errorf("body: %w", err)
	}
	if body, err = jsontext.Marshal(asked.Body); err != nil {
		return nil, "", fmt.Errorf("body: %w", err)
	}
	return body, jsonType, nil
}

func encodeForm(form messages.Form) ([]byte, string, error) {
	text, err := form.Encoded()
	return []byte(text), formType, err
}

// labelledAsForm reports whether a request says that its body is a form. Its
// header may be a map literal, with names in any case.
func labelledAsForm(header http.Header) bool {
	for name, values := range header {
		if strings.EqualFold(name, "Content-Type") && len(values) > 0 {
			return strings.HasPrefix(strings.ToLower(strings.TrimSpace(values[0])), formType)
		}
	}
	return false
}

// errReaderExited is the error of a reader that called runtime.Goexit.
var errReaderExited = errors.New("request body: its reader ended the goroutine")

// readInTime reads a body on a goroutine of its own, which may never end: a
// reader can block for as long as it likes, and its request ends in time all the
// same.
func (r *slot) readInTime(reader io.Reader) ([]byte, error) {
	type result struct {
		body []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		read := result{err: errReaderExited}
		defer func() {
			if v := recover(); v != nil {
				read.err = &messages.PanicError{Stage: messages.Preparing, Value: v, Stack: debug.Stack()}
			}
			done <- read
		}()
		read.body, read.err = readBody(reader)
	}()
	var late <-chan time.Time
	if !r.deadline.IsZero() {
		timer := time.NewTimer(time.Until(r.deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case read := <-done:
		return read.body, read.err
	case <-r.ctx.Done():
		return nil, messages.ContextError(r.ctx)
	case <-late:
		return nil, context.DeadlineExceeded
	case <-r.needs.Closing:
		return nil, messages.ErrClosed
	}
}

// readBody takes a reader's bytes. A seeker is put back to where it was, so
// that the same Request can be sent again.
func readBody(reader io.Reader) ([]byte, error) {
	seeker, rewinds := reader.(io.Seeker)
	var start int64
	if rewinds {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			return nil, fmt.Errorf("request body: %w", err)
		}
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(reader); err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	if rewinds {
		if _, err := seeker.Seek(start, io.SeekStart); err != nil {
			return nil, fmt.Errorf("request body: %w", err)
		}
	}
	return b.Bytes(), nil
}
