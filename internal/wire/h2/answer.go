package h2

import (
	"cmp"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/loan"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// headerOf returns the header as the peer sent it.
func headerOf(resp *http.Response) messages.Header {
	if len(resp.Trailer) > 0 { // net/http has taken the announcement out
		resp.Header["Trailer"] = []string{strings.Join(slices.Sorted(maps.Keys(resp.Trailer)), ", ")}
	}
	return rawLines(resp.Header)
}

// answer reads the response's body into answer, or leaves it in a stream.
func (s *Stream) answer(call *messages.Call, resp *http.Response, answer *messages.Response) (err error) {
	body := &body{stream: s, answer: answer, resp: resp}
	if bodiless(call.Method, resp) {
		if call.Method != http.MethodHead && !s.conn.frames.open.endedByHead(s) {
			body.awaitEnd()
		}
		body.abandon() // what of a stream is still to come is none of the answer's
		return nil
	}
	s.decode(call, body)
	if call.Stream {
		answer.Stream = body
		return nil
	}
	if call.OnHead != nil && !s.conn.frames.open.isHere(s) {
		call.OnHead(answer)
	}
	var l loan.Loan
	answer.Body, l, err = s.readBody(body)
	answer.Lend(l)
	return err
}

// bodiless reports whether an answer has no body, by the rules of HTTP/1.1. A
// trailer that was announced is waited for.
func bodiless(method string, resp *http.Response) bool {
	switch {
	case method == http.MethodHead, resp.StatusCode == http.StatusNoContent, resp.StatusCode == http.StatusNotModified:
		return true
	}
	return resp.ContentLength == 0 && len(resp.Trailer) == 0
}

// endWithin is how long an answer without a body waits for the end of its stream: as long as a
// peer takes from one frame to the next.
const endWithin = 30 * time.Millisecond

// awaitEnd waits a moment for the end of a stream that has nothing else to come: the peer may say it
// in a frame of its own, and one that guards itself against rapid resets counts every stream that
// is reset before. Whoever calls it abandons the body next, which ends the reading.
func (b *body) awaitEnd() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var more [1]byte
		_, _ = b.resp.Body.Read(more[:]) // the end, an error, or what does not belong there
	}()
	patience := time.NewTimer(endWithin)
	defer patience.Stop()
	select {
	case <-ended:
	case <-patience.C:
	}
}

func (s *Stream) readBody(body *body) ([]byte, loan.Loan, error) {
	switch length := body.resp.ContentLength; {
	case s.limits.Refuses(length, body.decoded != nil):
		return nil, loan.Loan{}, messages.ErrBodyTooLarge
	case body.decoded == nil && length > 0:
		return body.readCounted(int(length))
	}
	return wire.ReadAll(body, s.limits.Body)
}

func (s *Stream) decode(call *messages.Call, body *body) {
	var coding messages.Codings
	for _, value := range body.resp.Header["Content-Encoding"] {
		coding = wire.AddCoding(coding, []byte(value))
	}
	if coding&call.Codings == 0 {
		return
	}
	body.decoded = s.limits.Decoders.Lend(coding, (*coded)(body), s.limits)
	body.answer.Header = body.answer.Header.Without("Content-Encoding", "Content-Length")
	body.answer.Uncompressed = true
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
	slices.Sort(names) // a map has lost the order they came in
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

// lineOverhead is what HTTP/2 counts for a line beside name and value (RFC 9113,
// section 10.5.1).
const lineOverhead = 32

// listSize is the size of a header as HTTP/2 counts it.
func listSize(header http.Header) (size int) {
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + lineOverhead
		}
	}
	return size
}

// body is the body of a response. It ends the exchange when it ends.
type body struct {
	stream  *Stream
	answer  *messages.Response
	resp    *http.Response
	decoded *wire.Decoder
	taken   int64 // bytes of the body as it came
	rawErr  error // final, of the body as it came
	err     error // final, of what is handed on
}

// coded is the body in its coding.
type coded body

// Read is part of io.Reader.
func (p *coded) Read(b []byte) (int, error) {
	if p.rawErr != nil {
		return 0, p.rawErr
	}
	n, err := p.resp.Body.Read(b)
	p.taken += int64(n)
	// A deadline or an abort shows here as a cancelled context.
	if err != nil && err != io.EOF {
		err = p.stream.explainBody(err)
	}
	p.rawErr = err
	return n, err
}

// Progress is part of wire.CodedBody.
func (p *coded) Progress() (int64, error) { return p.taken, p.rawErr }

// Read is part of io.Reader.
func (b *body) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.decoded != nil {
		n, err = b.decoded.Read(p)
	} else {
		n, err = (*coded)(b).Read(p)
	}
	if err == io.EOF && listSize(b.resp.Trailer) >= b.stream.limits.Header {
		err = messages.ErrHeaderTooLarge // net/http leaves out what is too much, and says nothing
	}
	if err != nil {
		b.finish(err)
	}
	return n, err
}

// readCounted reads a whole body that is as long as its header says.
func (b *body) readCounted(length int) ([]byte, loan.Loan, error) {
	content, l, err := wire.ReadCounted(b, length)
	if err != nil {
		return content, l, err
	}
	var more [1]byte // the body is whole once a read behind it has met its end
	if n, err := io.ReadFull(b, more[:]); n > 0 || err != io.EOF {
		return content, l, cmp.Or(err, messages.ErrTruncated)
	}
	return content, l, nil
}

// Close is part of io.Closer. A body that has not ended is cancelled, and its
// stream reset; the connection is as good as before, and so is the place.
func (b *body) Close() error {
	if b.err == nil {
		b.abandon()
	}
	return nil
}

// abandon ends the exchange before its body has ended.
func (b *body) abandon() {
	b.end(wire.ErrStreamClosed)
	b.stream.letGo() // so that nobody waits for the request's body
	_ = b.resp.Body.Close()
	b.stream.spent = b.stream.ctx.Err() != nil
	b.stream.end()
}

func (b *body) end(err error) {
	b.err = err
	if b.decoded != nil {
		b.decoded.Release()
		b.decoded = nil
	}
}

func (b *body) finish(err error) {
	b.end(err)
	// net/http waits here until the stream is over, which one is not whose request
	// has still a body: that need not end before its answer.
	b.stream.letGo()
	_ = b.resp.Body.Close() // it never fails, and what was read is known
	if err != io.EOF {
		if b.answer.Stream != nil { // without one, Exchange ends the exchange on the error
			b.stream.end()
		}
		return
	}
	if len(b.resp.Trailer) > 0 {
		b.answer.Trailer = rawLines(b.resp.Trailer)
	}
	b.stream.spent = false // before end, which spends the place again if the alarm rang
	b.stream.end()
}
