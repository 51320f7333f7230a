package messages

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Answer is what the server answered, as every error about an answer carries it.
// Header and body may hold secrets: no text has them.
type Answer struct {
	Method     string
	URL        string // what was asked, without anything an authenticator added
	StatusCode int
	Header     Header
	// Body is what was read of the body: all of it, or of a streamed one what came
	// within a second, the first 64 KiB at most.
	Body []byte
	// Attempts counts how often the request was sent, this answer included.
	Attempts int
	// Sent is the worst of all attempts: SentMaybe says that an earlier one may
	// have been carried out, so that this answer may be about what that one did.
	// It is SentYes otherwise.
	Sent       Sent
	BodySpent  bool      // the request's body was read from a reader that can be read once
	AnsweredAt time.Time // when the answer had come; zero if that is not known
}

// summary names the request and the status.
func (a *Answer) summary() string {
	doubt := ""
	switch {
	case a.Sent == SentMaybe:
		doubt = fmt.Sprintf(", attempt %d, an earlier one may have arrived", a.Attempts)
	case a.Attempts > 1:
		doubt = fmt.Sprintf(", attempt %d", a.Attempts)
	}
	return fmt.Sprintf("%s %s: status %d (body of %d bytes%s)", a.Method, withoutSecrets(a.URL), a.StatusCode, len(a.Body), doubt)
}

// StatusError is an answer of another status than 2xx. Its text has no part of
// query, header or body, which may hold secrets; read them from the fields.
type StatusError struct{ Answer }

// Error is part of error.
func (e *StatusError) Error() string { return oneLine(e.summary()) }

// ContentTypeError is an answer of another media type than required.
type ContentTypeError struct {
	Answer
	Got, Want string
}

// Error is part of error.
func (e *ContentTypeError) Error() string {
	return oneLine(fmt.Sprintf("%s: content type %q, want %q", e.summary(), e.Got, e.Want))
}

// DecodeError is an answer whose body could not be decoded into what the caller
// wants. Its text has the place and the type, and nothing of the body: what a type says
// that decodes itself, or Responses.Decode, may quote the body, and is found in Err.
type DecodeError struct {
	Answer
	Into string // the Go type
	Err  error  // why
}

// Error is part of error.
func (e *DecodeError) Error() string {
	return oneLine(fmt.Sprintf("%s: decode into %s: %s", e.summary(), e.Into, e.why()))
}

// why tells of the cause what is not of the body.
func (e *DecodeError) why() string {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	var panicked *PanicError
	var target *json.InvalidUnmarshalError
	switch {
	case e.Err == nil:
		return "no cause"
	case errors.As(e.Err, &panicked):
		return panicked.Error()
	case errors.As(e.Err, &mismatch):
		kind, _, _ := strings.Cut(mismatch.Value, " ") // behind a blank stands the number itself
		if mismatch.Field == "" {
			return fmt.Sprintf("%s is no %v (at byte %d)", kind, mismatch.Type, mismatch.Offset)
		}
		return fmt.Sprintf("%s is no %v, as field %s is (at byte %d)", kind, mismatch.Type, mismatch.Field, mismatch.Offset)
	case errors.As(e.Err, &syntax):
		if syntax.Error() == endOfJSON {
			return endOfJSON
		}
		return fmt.Sprintf("invalid JSON at byte %d", syntax.Offset)
	case errors.As(e.Err, &target):
		return target.Error() // of the Go type alone
	}
	for _, plain := range plainCauses {
		if errors.Is(e.Err, plain) {
			return plain.Error()
		}
	}
	if t := fmt.Sprintf("%T", e.Err); !strings.HasPrefix(t, "*errors.") && !strings.HasPrefix(t, "*fmt.") {
		return fmt.Sprintf("a %s, whose text may quote the body: see DecodeError.Err", t)
	}
	return "an error of the type itself, or of its decoder, whose text may quote the body: see DecodeError.Err"
}

const endOfJSON = "unexpected end of JSON input"

// ErrNull is the cause of a DecodeError of an answer that is null.
var ErrNull = errors.New("the answer is null, and that is no value of this type: use a pointer")

// plainCauses are causes whose texts are the same for every body.
var plainCauses = []error{ErrNull, errStreamed, io.ErrUnexpectedEOF, io.EOF, io.ErrNoProgress}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// Answer returns what errors about the response carry. It has the response's Body,
// which Release leaves alone from now on.
func (r *Response) Answer() Answer {
	r.loan.Keep()
	return Answer{
		Method: r.Method, URL: r.URL, StatusCode: r.StatusCode, Header: r.Header, Body: r.Body,
		Attempts: max(1, r.Attempts), Sent: r.Sent.Worst(SentYes), BodySpent: r.BodySpent, AnsweredAt: r.AnsweredAt,
	}
}

// Is has errors.Is find ErrBodyRead in an error about the answer, if BodySpent.
func (a *Answer) Is(target error) bool { return a.BodySpent && target == ErrBodyRead }

// Err returns nil for a status below 400, and a *StatusError otherwise.
func (r *Response) Err() error {
	if r.StatusCode < 400 {
		return nil
	}
	return &StatusError{r.Answer()}
}

// Require returns an error unless the body is of the given media type. A
// "+json" suffix type satisfies "application/json" (RFC 6839).
func (r *Response) Require(mediaType string) error {
	got := mediaTypeOf(r.Header.Get("Content-Type"))
	if strings.EqualFold(got, mediaType) || mediaType == "application/json" && strings.HasSuffix(got, "+json") {
		return nil
	}
	return &ContentTypeError{Answer: r.Answer(), Got: got, Want: mediaType}
}

// mediaTypeOf is what a Content-Type names, in lower case and without parameters.
// Servers are found that write a parameter without a value, or the type twice; what
// they mean is clear.
func mediaTypeOf(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType, _, _ = strings.Cut(mediaType, ",")
	return strings.ToLower(strings.TrimSpace(mediaType))
}

// charsetOf is the charset that a Content-Type names, or "".
func charsetOf(contentType string) string {
	_, parameters, _ := strings.Cut(contentType, ";")
	for parameter := range strings.FieldsFuncSeq(parameters, func(c rune) bool { return c == ';' || c == ',' }) {
		name, value, _ := strings.Cut(parameter, "=")
		if strings.EqualFold(strings.TrimSpace(name), "charset") {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}
