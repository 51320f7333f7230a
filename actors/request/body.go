package request

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

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
func encodeBody(asked *messages.Request) (body []byte, contentType string, err error) {
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
	case io.Reader:
		body, err = readBody(b)
		return body, "", err
	}
	if labelledAsForm(asked.Header) {
		return nil, "", fmt.Errorf("its Content-Type says that it is a form, and a %T is none: use engine.Form", asked.Body)
	}
	if err := messages.Disclosed(asked.Body); err != nil {
		return nil, "", fmt.Errorf("body: %w", err)
	}
	body, err = jsontext.Marshal(asked.Body)
	return body, jsonType, err
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
