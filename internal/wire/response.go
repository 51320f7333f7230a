package wire

import (
	"io"
	"math"

	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/messages"
)

const (
	// believed is how much is allocated on the word of a Content-Length.
	believed = 1 << 20
	// lentBody is the size up to which a decoded body is copied out of its
	// recycled buffer; a larger one takes the buffer along.
	lentBody = 64 << 10
)

// receive reads the response. sent is SentYes once its head was read, even if
// there is an error after that.
func (c *Conn) receive(method string) (resp *messages.Response, sent messages.Sent, err error) {
	h, err := c.readHead()
	if err != nil {
		return nil, c.sent(), err
	}
	resp = &messages.Response{StatusCode: h.status, Header: c.takeLines(&h)}
	bodiless := h.bodiless(method)
	if !bodiless {
		if resp.Body, err = c.readBody(&h); err != nil {
			return nil, messages.SentYes, err
		}
	}
	c.reusable = h.keeps(bodiless) && c.reader.Buffered() == 0 && len(c.source.prefix) == 0
	return resp, messages.SentYes, nil
}

// sent says what became of a request without an answer.
func (c *Conn) sent() messages.Sent {
	if c.socket.written == 0 {
		return messages.SentNo
	}
	return messages.SentMaybe
}

// readHead reads interim heads away and leaves the final one in the buffer.
func (c *Conn) readHead() (head, error) {
	for interim := 0; ; interim++ {
		h := newHead()
		err := c.scan(&h)
		switch {
		case err != nil:
			return h, err
		case h.status >= 200:
			return h, nil
		case h.status == 101:
			return h, errSwitching
		case interim >= c.limits.Interim:
			return h, errInterim
		}
		c.reader.Discard(h.end)
	}
}

// takeLines consumes the head and returns its field lines, without the empty
// line that ends it.
func (c *Conn) takeLines(h *head) messages.Header {
	buf, _ := c.reader.Peek(h.end)
	lines := string(buf[h.lines : h.end-len("\r\n")])
	c.reader.Discard(h.end)
	return messages.NewHeader(lines)
}

// scan reads until h is complete, which is then still in the buffer.
func (c *Conn) scan(h *head) error {
	for {
		buf, _ := c.reader.Peek(c.reader.Buffered())
		done, err := h.scan(buf)
		switch {
		case err != nil:
			return err
		case h.end > c.limits.Header || !done && len(buf) >= c.limits.Header:
			return messages.ErrHeaderTooLarge
		case done:
			return nil
		}
		if err := c.more(len(buf)); err != nil {
			return c.readError(errNoAnswer)
		}
	}
}

// more reads at least one byte behind the n that are buffered.
func (c *Conn) more(n int) error {
	if n == c.reader.Size() {
		wide, err := c.source.widen(c.reader, c.limits.Header)
		if err != nil {
			return err
		}
		c.reader = wide
	}
	_, err := c.reader.Peek(n + 1)
	return err
}

func (c *Conn) readBody(h *head) ([]byte, error) {
	switch {
	case h.length > c.limits.Body:
		return nil, messages.ErrBodyTooLarge
	case h.length == 0:
		return nil, nil
	case h.length > 0:
		return c.readCounted(int(h.length))
	case h.chunked:
		return c.readChunked()
	}
	return c.readToEnd()
}

func (c *Conn) readCounted(length int) ([]byte, error) {
	body := make([]byte, min(length, believed))
	for filled := 0; ; {
		n, err := io.ReadFull(c.reader, body[filled:])
		if err != nil {
			return nil, c.readError(errHalfBody)
		}
		if filled += n; filled == length {
			return body, nil
		}
		more := make([]byte, min(length, 2*len(body)))
		copy(more, body)
		body = more
	}
}

// readChunked also reads the trailer section and drops it. Chunk framing is
// bounded by a budget for the bytes on the wire: the decoder bounds only what it
// decodes, and a chunk extension has no end of its own.
func (c *Conn) readChunked() ([]byte, error) {
	c.source.budget = c.limits.wire()
	body, err := c.decode(-1)
	if err != nil {
		return nil, err
	}
	trailer := head{trailer: true}
	if err := c.scan(&trailer); err != nil {
		return nil, err
	}
	c.reader.Discard(trailer.end)
	return body, nil
}

// readToEnd reads a body that ends with the connection. Under TLS only a
// close_notify ends it; a bare end may be somebody's cutting it short.
func (c *Conn) readToEnd() ([]byte, error) {
	body, err := c.decode(-2)
	if err == nil && c.socket.sealed != nil && c.socket.ended {
		return nil, errHalfBody
	}
	return body, err
}

// decode reads a body with fasthttp's codec: chunked (-1) or until the end (-2).
// The body returned shares no memory with the codec.
func (c *Conn) decode(length int) ([]byte, error) {
	codec := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(codec)
	codec.Header.SetContentLength(length)
	err := codec.ReadBody(c.reader, int(min(c.limits.Body, math.MaxInt)))
	switch {
	case err == nil:
		return ownBody(codec), nil
	case c.source.err != nil:
		return nil, c.readError(errHalfBody)
	case err == fasthttp.ErrBodyTooLarge:
		return nil, messages.ErrBodyTooLarge
	}
	return nil, errChunk
}

func ownBody(codec *fasthttp.Response) []byte {
	body := codec.Body()
	switch {
	case len(body) == 0:
		return nil
	case len(body) > lentBody:
		return codec.SwapBody(nil)
	}
	return append(make([]byte, 0, len(body)), body...)
}

// readError returns the error that ended reading, or atEOF if it was the peer
// closing.
func (c *Conn) readError(atEOF error) error {
	if err := c.source.err; err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return c.socket.explain(err)
	}
	return atEOF
}
