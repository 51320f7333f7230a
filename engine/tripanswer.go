package engine

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// The engine's answer as net/http's Transport would give it.

// answer turns the engine's answer into net/http's.
func (t *trip) answer(response *Response) *http.Response {
	answer := &t.answered
	t.response = response
	if answer.Status = response.Status; answer.Status == "" {
		answer.Status = strconv.Itoa(response.StatusCode) + " " + http.StatusText(response.StatusCode)
	}
	answer.StatusCode, answer.Proto = response.StatusCode, response.Proto()
	answer.ProtoMajor, answer.ProtoMinor = int(response.ProtoMajor), int(response.ProtoMinor)
	answer.Header, answer.Uncompressed, answer.TLS, answer.Request = response.Header.HTTP(), response.Uncompressed, response.TLS, t.req
	takeFraming(answer)
	takeClose(answer, response)
	takePragma(answer)
	answer.ContentLength = t.length(answer, response)
	switch {
	case response.Stream != nil && response.Stream != http.NoBody:
		stream := &tripStream{ReadCloser: response.Stream, trip: t}
		answer.Body = stream
		if w, both := response.Stream.(io.Writer); both && answer.StatusCode == http.StatusSwitchingProtocols {
			answer.Body = &tripSwitched{stream, w}
		}
	case len(response.Body) == 0:
		addTrailer(answer, response)
		answer.Body = http.NoBody
	default:
		t.left = response.Body
		answer.Body = (*memoryBody)(t)
	}
	return answer
}

// takePragma says in words of today what an answer of HTTP/1 says in those of
// HTTP/1.0 (RFC 9111, section 5.4).
func takePragma(answer *http.Response) {
	pragma := answer.Header["Pragma"]
	if answer.ProtoMajor != 1 || len(pragma) == 0 || pragma[0] != "no-cache" {
		return
	}
	if _, has := answer.Header["Cache-Control"]; !has {
		answer.Header["Cache-Control"] = []string{"no-cache"}
	}
}

// takeClose moves what an answer says of its connection's end to where net/http
// has it. In HTTP/1.0 the end is the rule.
func takeClose(answer *http.Response, response *Response) {
	answer.Close = response.Close
	switch {
	case answer.ProtoMajor != 1:
	case answer.ProtoMinor == 0:
		answer.Close = answer.Close || !hasOption(answer.Header, "keep-alive")
	case hasOption(answer.Header, "close"):
		delete(answer.Header, "Connection")
	}
}

// hasOption reports whether a header's Connection names an option.
func hasOption(header http.Header, name string) bool {
	for list := range valuesOf(header, "Connection") {
		for option := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(option), name) {
				return true
			}
		}
	}
	return false
}

// length is how long the body is, as far as the head tells; -1 if it does not.
func (t *trip) length(answer *http.Response, response *Response) int64 {
	declared := int64(-1)
	if values := answer.Header["Content-Length"]; len(values) > 0 {
		if n, err := strconv.ParseUint(values[0], 10, 63); err == nil {
			declared = int64(n)
		}
	}
	status := answer.StatusCode
	bodiless := status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
	none := len(response.Body) == 0 && (response.Stream == nil || response.Stream == http.NoBody)
	switch {
	case t.req.Method == http.MethodHead:
		return declared
	case answer.ProtoMajor == 1 && bodiless:
		return 0
	case none && answer.ProtoMajor == 2 && !answer.Uncompressed:
		return max(0, declared) // the stream ended with the head
	case declared >= 0 && response.Stream == nil:
		return int64(len(response.Body)) // which a post-processor may have changed
	}
	return declared
}

// takeFraming moves what an answer that may have trailers says of its framing
// from the header to where net/http has it. The trailers announced are known by
// name until the body has ended.
func takeFraming(answer *http.Response) {
	if answer.Header["Transfer-Encoding"] != nil {
		delete(answer.Header, "Transfer-Encoding")
		answer.TransferEncoding = []string{"chunked"}
	} else if answer.ProtoMajor == 1 {
		return // only chunks have trailers in HTTP/1.1; in HTTP/2 any answer may
	}
	for _, list := range answer.Header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if answer.Trailer == nil {
				answer.Trailer = make(http.Header)
			}
			answer.Trailer[http.CanonicalHeaderKey(name)] = nil // announced; addTrailer has the value
		}
	}
	delete(answer.Header, "Trailer")
}

// addTrailer fills in the trailers that have come, in the same map.
func addTrailer(answer *http.Response, response *Response) {
	if response.Trailer == (messages.Header{}) {
		return
	}
	if answer.Trailer == nil {
		answer.Trailer = make(http.Header)
	}
	maps.Copy(answer.Trailer, response.Trailer.HTTP())
}

// errReadOnClosed is net/http's word for it.
var errReadOnClosed = errors.New("http: read on closed response body")

// memoryBody is a trip whose answer's body is in memory. It fills in the trailers where
// net/http does: until its end a proxy knows those alone that were announced.
type memoryBody trip

// Read is part of io.Reader.
func (b *memoryBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, errReadOnClosed
	}
	if len(b.left) == 0 {
		addTrailer(&b.answered, b.response)
		return 0, io.EOF
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

// WriteTo is part of io.WriterTo.
func (b *memoryBody) WriteTo(w io.Writer) (int64, error) {
	if b.closed.Load() {
		return 0, errReadOnClosed
	}
	left := bytes.NewReader(b.left)
	n, err := left.WriteTo(w)
	b.left = b.left[n:]
	if err == nil {
		addTrailer(&b.answered, b.response)
	}
	return n, err
}

// Close is part of io.Closer.
func (b *memoryBody) Close() error {
	b.closed.Store(true)
	return nil
}

// tripStream is a body that is read as it arrives. It fills in the trailers where
// net/http does: at its end.
type tripStream struct {
	io.ReadCloser
	trip *trip
}

// Read is part of io.Reader.
func (s *tripStream) Read(p []byte) (int, error) {
	if s.trip.closed.Load() {
		return 0, errReadOnClosed
	}
	n, err := s.ReadCloser.Read(p)
	switch {
	case err == nil:
	case err == io.EOF:
		addTrailer(&s.trip.answered, s.trip.response)
	case s.trip.closed.Load(): // meanwhile
		err = errReadOnClosed
	default:
		err = s.trip.bodyFailure(err)
	}
	return n, err
}

// Close is part of io.Closer.
func (s *tripStream) Close() error {
	s.trip.closed.Store(true)
	return s.ReadCloser.Close()
}

// tripSwitched is the connection behind a 101: what it reads and writes is another
// protocol's.
type tripSwitched struct {
	*tripStream
	io.Writer
}

// CloseWrite ends what is written, as that of net/http's does; what the server still
// says can be read.
func (s *tripSwitched) CloseWrite() error {
	if half, ok := s.Writer.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
