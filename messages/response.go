package messages

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/sluice-engine/sluice/internal/jsontext"
	"github.com/sluice-engine/sluice/internal/loan"
)

// Header is the header of a response, kept as it was received: its lines are
// searched, not indexed, because most callers look at one or none.
// The zero value has no lines.
type Header struct{ lines string }

// NewHeader makes a Header of raw lines, each "Name: value\r\n".
func NewHeader(lines string) Header { return Header{lines} }

// Get returns the value of the first line of that name, or "". The name is
// compared without regard to case.
func (h Header) Get(name string) string {
	for rest := h.lines; rest != ""; {
		line := rest
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			line, rest = rest[:end], rest[end+1:]
		} else {
			rest = ""
		}
		if n := len(name); hasColonAt(line, n) && alike(line[:n], name) {
			return trimmed(line[n+1:])
		}
	}
	return ""
}

// Lookup returns what Get does for each of five names, in one pass over the lines. Where
// fewer are sought the other names are empty, and so are their values. It is a method of
// the pointer because it is called by way of an interface, where one of the value would
// have its result copied once more.
func (h *Header) Lookup(names *[5]string) (values [5]string) {
	var room [len(names)]int
	sought := room[:0] // the places of those that are not found yet
	for i := range names {
		if names[i] != "" {
			sought = append(sought, i)
		}
	}
	for rest := h.lines; rest != "" && len(sought) > 0; {
		line := rest
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			line, rest = rest[:end], rest[end+1:]
		} else {
			rest = ""
		}
		for k := len(sought) - 1; k >= 0; k-- { // from the end: what moves to k has been looked at
			i := sought[k]
			if n := len(names[i]); hasColonAt(line, n) && alike(line[:n], names[i]) {
				values[i] = trimmed(line[n+1:])
				last := len(sought) - 1
				sought[k], sought = sought[last], sought[:last]
			}
		}
	}
	return values
}

// hasColonAt rules out most lines that are of another name than one of n bytes: names are
// ASCII, so that one that is the same but for case is as long.
func hasColonAt(line string, n int) bool { return len(line) > n && line[n] == ':' }

// alike reports whether what stands before a colon is that name, but for case. Mostly it
// is spelt the same.
func alike(before, name string) bool {
	return (before == name || strings.EqualFold(before, name)) && strings.IndexByte(name, ':') < 0
}

// Values returns the values of all lines of that name, in order.
func (h Header) Values(name string) []string {
	var values []string
	for n, v := range h.All() {
		if strings.EqualFold(n, name) {
			values = append(values, v)
		}
	}
	return values
}

// All yields every line in the order received, names as the server wrote them.
func (h Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for rest := h.lines; rest != ""; {
			line := rest
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				line, rest = rest[:end], rest[end+1:]
			} else {
				rest = ""
			}
			if colon := strings.IndexByte(line, ':'); colon >= 0 && !yield(line[:colon], trimmed(line[colon+1:])) {
				return
			}
		}
	}
}

// trimmed is a value without the blanks around it, of which there are few: strings.Trim
// would lay out a set of what it cuts for every line.
func trimmed(value string) string {
	for len(value) > 0 && blank(value[0]) {
		value = value[1:]
	}
	for len(value) > 0 && blank(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	return value
}

func blank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' }

// Without returns the lines of other names than these.
func (h Header) Without(names ...string) Header {
	var kept strings.Builder
	for line := range strings.Lines(h.lines) {
		name, _, _ := strings.Cut(line, ":")
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			kept.WriteString(line)
		}
	}
	return Header{kept.String()}
}

// HTTP returns the lines as a new http.Header with canonical names.
func (h Header) HTTP() http.Header {
	n := strings.Count(h.lines, "\n")
	header := make(http.Header, n)
	values := make([]string, n) // shared by the names that have one
	var first [16]string        // the names so far: to compare a few is less than to look one up
	names := 0
	for name, v := range h.All() {
		name = canonical(name)
		if names == len(first) || slices.Contains(first[:names], name) {
			if have := header[name]; have != nil {
				header[name] = append(have, v)
				continue
			}
		} else {
			first[names] = name
			names++
		}
		values[0] = v
		header[name], values = values[:1:1], values[1:]
	}
	return header
}

// canonical is a name as http.Header has it. The names of nearly every answer are known
// as servers mostly write them, and told by a few comparisons.
func canonical(name string) string {
	switch name {
	case "Date", "Server", "Content-Type", "Content-Length", "Connection", "Vary", "Cache-Control", "Transfer-Encoding",
		"Set-Cookie", "Etag", "Expires", "Last-Modified", "Content-Encoding", "Strict-Transport-Security":
		return name
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

// Response is the one answer to a Request. Any status is a response. It owns
// its bytes, until Release if somebody calls that, and is safe for concurrent use as
// long as nobody changes it.
type Response struct {
	StatusCode int
	// Status is the code and, behind a blank, the server's own words for it, as in
	// "418 I'm a teapot"; in HTTP/2, which has no words, net/http's. It is empty in
	// an answer that came over no connection.
	Status string
	Method string
	// URL is what was asked, without anything an authenticator added.
	URL    string
	Header Header

	// Attempts counts how often the request was sent, this answer included.
	Attempts int
	// Sent is the worst of all attempts: SentMaybe if an earlier one may have been
	// carried out, so that this answer may be about what that one did: it was not
	// answered, or not to the end, or by a status that leaves it open. SentYes
	// otherwise.
	Sent Sent
	// BodySpent says that the request's body was read from a reader that can be read
	// once: another request needs another reader.
	BodySpent bool
	// SentAt and AnsweredAt bracket the exchange that brought this answer.
	SentAt, AnsweredAt time.Time
	// Timing is where the time went from the beginning of the request to this answer.
	Timing Timing

	Body []byte
	// Stream is the body instead, if Request.Stream asked for that. It holds a
	// connection until it is read to its end or closed; an end other than io.EOF
	// means that the body is not complete. One goroutine may read while others
	// close.
	Stream io.ReadCloser
	// Trailer has the lines behind a chunked body; with Stream once that ended.
	Trailer Header
	// Uncompressed says that the body came in a content coding the engine had
	// asked for, and that it has been undone. The header no longer tells of it.
	// A coding that the engine had not asked for is left alone.
	Uncompressed bool
	// Close says that the connection ends behind this answer: the server said so,
	// or its body has no other end.
	Close bool
	// ProtoMajor and ProtoMinor are the protocol's version: 1.0 or 1.1 as the
	// server said, or 2.0; from an origin that is read with Responses.Lenient, up to 1.9.
	ProtoMajor, ProtoMinor uint8
	// TLS describes the connection for https. It is shared, and not to be
	// changed.
	TLS *tls.ConnectionState

	loan loan.Loan // of Body's memory as it came; zero if nobody wants it back
}

// Proto returns the protocol's name and version, such as "HTTP/1.1".
func (r *Response) Proto() string {
	switch {
	case r.ProtoMajor == 2:
		return "HTTP/2.0"
	case r.ProtoMajor == 1 && r.ProtoMinor == 0:
		return "HTTP/1.0"
	case r.ProtoMajor == 1 && r.ProtoMinor > 1:
		return "HTTP/1." + strconv.Itoa(int(r.ProtoMinor))
	}
	return "HTTP/1.1"
}

// Bytes returns the body.
func (r *Response) Bytes() []byte { return r.Body }

// Text returns the body as a string in UTF-8, decoded from the charset that the
// Content-Type names. One that is not known is left as it is.
func (r *Response) Text() string {
	charset := charsetOf(r.Header.Get("Content-Type"))
	if charset == "" || strings.EqualFold(charset, "utf-8") {
		return string(r.Body)
	}
	coding, err := htmlindex.Get(charset)
	if err != nil {
		return string(r.Body)
	}
	text, err := coding.NewDecoder().Bytes(r.Body)
	if err != nil {
		return string(r.Body)
	}
	return string(text)
}

// JSON decodes the body into v, as Fetch does without Responses.Decode. The error,
// if any, is a *DecodeError.
func (r *Response) JSON(v any) error {
	err := errStreamed
	if r.Stream == nil {
		err = unmarshal(r.Body, v)
	}
	if err != nil {
		return &DecodeError{Answer: r.Answer(), Into: fmt.Sprintf("%T", v), Err: err}
	}
	return nil
}

// unmarshal calls what may be the caller's own code: a type may decode itself.
func unmarshal(body []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(Finishing, p)
		}
	}()
	return jsontext.Unmarshal(body, v)
}

var errStreamed = errors.New("the body is a stream, which Request.Stream asked for: read it from Response.Stream")
