package wire

import (
	"bytes"
	"io"

	"github.com/sluice-engine/sluice/messages"
)

// stream is a response body that is read by the Conn's owner, as it arrives.
// The exchange lasts until the body ended or the stream is closed.
type stream struct {
	conn    *Conn
	decoded *Decoder // nil if the body is not coded
	resp    *messages.Response
	err     error // final; io.EOF when the body was complete
}

// stream leaves the body in the connection. It has no cap, but for what its
// coding may make of it.
func (c *Conn) stream(h *head, call *messages.Call, resp *messages.Response) {
	c.payload.room = 1<<63 - 1
	decoded := c.decoder(h, call, resp)
	if decoded == nil {
		c.payload.begin(h) // with a decoder, it has begun
	}
	resp.Stream = &stream{conn: c, decoded: decoded, resp: resp}
}

// Read is part of io.Reader.
func (s *stream) Read(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	returned := false
	defer s.contain(&returned, &err)
	if s.decoded != nil {
		n, err = s.decoded.Read(p)
	} else {
		n, err = s.conn.payload.Read(p)
	}
	if err != nil {
		s.end(err)
	}
	returned = true
	return n, err
}

// contain ends a stream that did not return, because of code of the caller's.
func (s *stream) contain(returned *bool, err *error) {
	if *returned {
		return
	}
	*err = Panicked(messages.Exchanging, recover()) // nothing to recover is runtime.Goexit, which goes on
	s.err = *err
	s.conn.reusable = false
	_ = Guard(messages.Exchanging, s.conn.end)
	_ = s.conn.Close() // nobody else may come to do it
}

// Close ends the exchange. The Conn is reusable if the body has ended, or its
// end has already arrived.
func (s *stream) Close() (err error) {
	if s.err != nil {
		return nil // closed before, or ended by itself
	}
	returned := false
	defer s.contain(&returned, &err)
	if s.decoded == nil { // how much of a coded body is left cannot be told from the buffer
		s.skip()
	}
	s.end(ErrStreamClosed)
	returned = true
	return nil
}

// skip reads the end of the body away if it needs no waiting: what is left is
// in the buffer.
func (s *stream) skip() {
	b, r := &s.conn.payload, s.conn.reader
	buffered, _ := r.Peek(r.Buffered()) // does not read, so it cannot fail
	switch {
	case b.framing == counted && b.left <= int64(len(buffered)):
	case b.framing == chunked && b.endsIn(buffered):
	default:
		return
	}
	var waste [512]byte
	for b.err == nil && (r.Buffered() > 0 || b.left == 0 && b.framing == counted) {
		_, _ = b.Read(waste[:]) // b keeps the error
	}
}

// endsIn reports whether a body in chunks ends in what is buffered. It walks from
// chunk to chunk, for what looks like the last one may be data.
func (b *payload) endsIn(buffered []byte) bool {
	left, inside := b.left, b.inside
	for {
		if inside {
			left += int64(len("\r\n")) // whether they are is for reading to say
		}
		if left > int64(len(buffered)) {
			return false
		}
		buffered = buffered[left:]
		line, rest, whole := bytes.Cut(buffered, []byte("\r\n"))
		size, err := chunkSize(line)
		switch {
		case !whole || err != nil:
			return false
		case size == 0:
			return bytes.HasPrefix(rest, []byte("\r\n")) || bytes.Contains(rest, []byte("\r\n\r\n"))
		}
		buffered, left, inside = rest, size, true
	}
}

func (s *stream) end(err error) {
	s.err = err
	c := s.conn
	if s.decoded != nil {
		s.decoded.Release()
		s.decoded = nil // it may be somebody else's at once
	}
	// A decoder may have failed at the very end of a payload that was complete.
	if c.payload.err == io.EOF && (err == io.EOF || err == ErrStreamClosed) {
		if err == io.EOF {
			s.resp.Trailer = c.payload.trailer
		}
		c.finish()
	}
	c.end()
}
