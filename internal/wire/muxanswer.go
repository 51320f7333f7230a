package wire

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// answer reads the response, or leaves its body in a stream.
func (s *muxStream) answer(call *messages.Call, resp *http.Response) (*messages.Response, error) {
	if len(resp.Trailer) > 0 { // net/http has taken the announcement out
		resp.Header["Trailer"] = []string{strings.Join(fieldNames(resp.Trailer), ", ")}
	}
	answer := &messages.Response{StatusCode: resp.StatusCode, Header: rawLines(resp.Header), ProtoMajor: 2, TLS: s.conn.tls}
	body := &muxBody{stream: s, answer: answer, resp: resp}
	if err := s.decode(call, body); err != nil {
		return nil, err
	}
	if call.Stream && resp.Body != http.NoBody {
		answer.Stream = body
		return answer, nil
	}
	content, err := s.readBody(call, body)
	if err != nil {
		return nil, err
	}
	answer.Body = content
	return answer, nil
}

func (s *muxStream) readBody(call *messages.Call, body *muxBody) ([]byte, error) {
	switch length := body.resp.ContentLength; {
	case length > s.limits.Body && call.Method != http.MethodHead:
		return nil, messages.ErrBodyTooLarge
	case body.decoded == nil && 0 < length && length <= believed && body.resp.Body != http.NoBody:
		return body.readCounted(int(length))
	}
	return readAll(body, s.limits.Body)
}

func (s *muxStream) decode(call *messages.Call, body *muxBody) (err error) {
	h := newHead()
	for _, value := range body.resp.Header["Content-Encoding"] {
		h.contentCoding([]byte(value))
	}
	if h.coding&call.Codings == 0 || body.resp.Body == http.NoBody || call.Method == http.MethodHead {
		return nil
	}
	if body.decoded, err = newDecoder(h.coding, (*muxPayload)(body), &s.limits, &s.zstd); err != nil {
		return err
	}
	body.answer.Header = body.answer.Header.Without("Content-Encoding", "Content-Length")
	body.answer.Uncompressed = true
	return nil
}

// rawLines lays a header out as HTTP/1.1 would, in the order of the names.
func rawLines(header http.Header) messages.Header {
	var few [16]string
	names, size := few[:0], 0
	for name, values := range header {
		names = append(names, name)
		for _, value := range values {
			size += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	slices.Sort(names)
	var lines strings.Builder
	lines.Grow(size)
	for _, name := range names {
		for _, value := range header[name] {
			lines.WriteString(name)
			lines.WriteString(": ")
			lines.WriteString(value)
			lines.WriteString("\r\n")
		}
	}
	return messages.NewHeader(lines.String())
}

func fieldNames(header http.Header) []string { return slices.Sorted(maps.Keys(header)) }

// muxBody is the body of a response. It ends the exchange when it ends.
type muxBody struct {
	stream  *muxStream
	answer  *messages.Response
	resp    *http.Response
	decoded *decoder
	taken   int64 // bytes of the body as it came
	rawErr  error
	err     error
}

// muxPayload is the body in its coding.
type muxPayload muxBody

// Read is part of io.Reader.
func (p *muxPayload) Read(b []byte) (int, error) {
	if p.rawErr != nil {
		return 0, p.rawErr
	}
	n, err := p.resp.Body.Read(b)
	p.taken += int64(n)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", errHalfBody, cmp.Or(p.stream.cause(err), err))
	}
	p.rawErr = err
	return n, err
}

func (p *muxPayload) progress() (int64, error) { return p.taken, p.rawErr }

// Read is part of io.Reader.
func (b *muxBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.decoded != nil {
		n, err = b.decoded.Read(p)
	} else {
		n, err = (*muxPayload)(b).Read(p)
	}
	if err != nil {
		b.finish(err)
	}
	return n, err
}

// readCounted reads a whole body that is as long as its header says.
func (b *muxBody) readCounted(length int) ([]byte, error) {
	content := make([]byte, length+1) // so that the last read meets the end
	n, err := io.ReadFull(b, content)
	if n == length && err == io.ErrUnexpectedEOF {
		return content[:length:length], nil
	}
	return nil, cmp.Or(err, errHalfBody)
}

// Close is part of io.Closer. A body that has not ended is cancelled.
func (b *muxBody) Close() error {
	if b.err == nil {
		b.finish(errStreamClosed)
	}
	return nil
}

func (b *muxBody) finish(err error) {
	b.err = err
	if b.decoded != nil {
		b.decoded.release()
		b.decoded = nil
	}
	_ = b.resp.Body.Close()
	if err != io.EOF {
		if b.answer.Stream != nil {
			b.stream.end()
		}
		return
	}
	if len(b.resp.Trailer) > 0 {
		b.answer.Trailer = rawLines(b.resp.Trailer)
	}
	b.stream.spent = false
	b.stream.end()
}
