package wire

import (
	"io"
	"time"

	"github.com/sluice-engine/sluice/internal/loan"
	"github.com/sluice-engine/sluice/messages"
)

// receive reads the response, or its head alone if its body is to be streamed.
// From its head on it is c.answer, whatever becomes of its body.
func (c *Conn) receive(call *messages.Call, sentAt time.Time) error {
	if err := c.readHead(&c.head, call); err != nil {
		return err
	}
	return c.accept(&c.head, call, sentAt)
}

// accept is receive from the head on. The room it takes is not there yet while a head
// is waited for.
func (c *Conn) accept(h *head, call *messages.Call, sentAt time.Time) error {
	resp := c.takeLines(h, h.joined(call))
	resp.StatusCode, resp.ProtoMajor, resp.ProtoMinor, resp.TLS = h.status, 1, h.minor(), c.tls
	resp.Timing.FirstByte = time.Since(sentAt)
	resp.SentAt, resp.AnsweredAt = sentAt, sentAt.Add(resp.Timing.FirstByte) // one look at the clock instead of the two of time.Now
	reads := c.source.reads
	c.answer = resp
	bodiless := h.bodiless(call.Method)
	resp.Close = h.close || !bodiless && !h.chunked && h.length < 0 && h.status != 101
	// Without a length left is -1, until begin knows what is meant.
	c.payload = payload{conn: c, keeps: c.heed(h) && h.keeps(bodiless) && !call.Close, left: h.length, room: c.limits.Body}
	switch {
	case h.upgraded(call):
		resp.Stream = &switched{conn: c} // without finish, and so no exchange follows
		return nil
	case bodiless || h.length == 0: // nothing to decode, whatever coding it names
		c.finish()
		return nil
	case call.Stream:
		c.stream(h, call, resp)
		return nil
	}
	if call.OnHead != nil && !c.isHere(h) {
		call.OnHead(resp)
	}
	err := c.readBody(h, call, resp)
	if c.source.reads > reads && err == nil { // mostly the body has come with the head
		now := time.Now()
		resp.AnsweredAt, resp.Timing.Body = now, now.Sub(resp.AnsweredAt)
	}
	return err
}

// isHere reports whether all of a body has come with its head. Of one that ends with the connection
// nobody knows before that is read once more, which may wait.
func (c *Conn) isHere(h *head) bool {
	if h.chunked {
		come, _ := c.reader.Peek(c.reader.Buffered()) // all of it is there, so this cannot fail
		return holdsLastChunk(come)
	}
	return h.length >= 0 && int64(c.reader.Buffered()) >= h.length
}

// finish decides, at the end of a response, whether the connection is kept.
func (c *Conn) finish() {
	c.socket.carried = true
	// What is buffered or still in the prefix came unasked: it must not become the
	// next answer. over comes last, for it waits a moment.
	c.reusable = c.payload.keeps && !c.socket.blind && !c.loose &&
		c.reader.Buffered() == 0 && len(c.source.prefix) == 0 && c.source.upload.over()
}

// sent says what is known of the request at this instant.
func (c *Conn) sent() messages.Sent {
	switch {
	case c.answer != nil:
		return messages.SentYes
	case c.socket.written.Load() == 0:
		return messages.SentNo
	}
	return messages.SentMaybe
}

// readHead reads interim heads away and leaves the final one in the buffer. A
// request body that waits for leave is sent when that comes, and never behind a
// final head.
func (c *Conn) readHead(h *head, call *messages.Call) error {
	for interim := 0; ; {
		*h = newHead()
		err := c.scan(h)
		interim += h.end
		switch {
		case err != nil:
			return err
		case h.status >= 200, h.upgraded(call):
			c.source.upload.headCame()
			return nil
		case h.status == 101:
			return errSwitching
		case interim > c.limits.Header: // in bytes: a server may tell of its progress for long
			return messages.ErrHeaderTooLarge
		}
		if h.status == 100 {
			c.source.upload.start() // a second 100 changes nothing
		}
		if err := c.tellInterim(h); err != nil {
			return err
		}
		c.reader.Discard(h.end) // it is in the buffer, so this cannot fail
	}
}

func (c *Conn) tellInterim(h *head) error {
	if c.source.trace == nil {
		return nil
	}
	buf, _ := c.reader.Peek(h.end) // scan has left it in the buffer
	return c.source.interim(h.status, h.header(buf))
}

// joinedAnswer is the size up to which head and body of an answer are one piece of
// memory: whoever keeps a part of one pins no more than this of the other.
const joinedAnswer = readBuffer

// statusEnd is where the first line ends, without what ends it.
func (h *head) statusEnd(text string) int {
	end := h.lines
	for end > 0 && (text[end-1] == '\n' || text[end-1] == '\r') {
		end--
	}
	return end
}

// joined is how long a body is that stands behind its head in memory; zero for none.
func (h *head) joined(call *messages.Call) int {
	if h.length <= 0 || int64(h.end)+h.length > joinedAnswer || h.bodiless(call.Method) ||
		call.Stream || h.coding&call.Codings != 0 || h.loose {
		return 0
	}
	return int(h.length)
}

// takeLines consumes the head and returns a response with what its first line says behind the
// version, and with its field lines, without the empty line that ends it. The payload is
// given room for a body that is joined to them.
func (c *Conn) takeLines(h *head, joined int) (resp *messages.Response) {
	buf, _ := c.reader.Peek(h.end)
	lines := buf[:h.end-len("\r\n")]
	var text string
	switch {
	case h.loose:
		resp = &messages.Response{Status: h.looseStatus(buf), Header: h.header(buf)}
		c.reader.Discard(h.end)
		return resp
	case joined == 0:
		resp, text = new(messages.Response), string(lines)
	default: // one copy of all: the buffer is for the next response
		var whole []byte
		resp, whole = newRoomed(len(lines) + joined)
		text, c.room = textAndRoom(lines, whole)
	}
	resp.Status = text[len("HTTP/1.1 "):h.statusEnd(text)]
	resp.Header = messages.NewHeader(text[h.lines:])
	c.reader.Discard(h.end)
	return resp
}

// scan reads until h is complete, which is then still in the buffer.
func (c *Conn) scan(h *head) error {
	for {
		buf, _ := c.reader.Peek(c.reader.Buffered())
		done, err := c.scanBuffered(h, buf)
		switch {
		case err != nil:
			return err
		case h.end > c.limits.Header || !done && len(buf) >= c.limits.Header:
			return messages.ErrHeaderTooLarge
		case done:
			return nil
		}
		if err := c.more(len(buf)); err != nil {
			return c.readError(h.cut(len(buf))) // not err: bufio's view, which may be an old one
		}
	}
}

// scanBuffered scans what has come of a head. One that is read loosely leaves the
// connection to no other request.
func (c *Conn) scanBuffered(h *head, buf []byte) (done bool, err error) {
	if !h.loose {
		if done, err = h.scan(buf); err == nil || !c.limits.Lenient {
			return done, err
		}
	}
	c.loose = true
	return h.scanLoosely(buf)
}

// more reads at least one byte behind the n that are buffered.
func (c *Conn) more(n int) error {
	if n == c.reader.Size() { // a full buffer: Peek would fail without reading
		wide, err := c.source.widen(c.reader, min(2*n, c.limits.Header)) // as the bytes arrive
		if err != nil {
			return err
		}
		c.reader = wide
	}
	_, err := c.reader.Peek(n + 1)
	return err
}

// readBody reads a whole body into resp. A body of known length that is not
// coded is read straight into its own memory.
func (c *Conn) readBody(h *head, call *messages.Call, resp *messages.Response) (err error) {
	if c.limits.Refuses(h.length, h.coding&call.Codings != 0) {
		return messages.ErrBodyTooLarge
	}
	var l loan.Loan
	decoded := c.decoder(h, call, resp)
	switch {
	case decoded != nil:
		resp.Body, l, err = ReadAll(decoded, c.limits.Body)
		decoded.Release() // after an error as well: it is reset before it is lent again
	case h.length > 0:
		resp.Body, l, err = c.readCounted(int(h.length))
	default:
		c.payload.begin(h)
		resp.Body, l, err = ReadAll(&c.payload, c.limits.Body)
	}
	resp.Lend(l)
	if err != nil {
		return err
	}
	resp.Trailer = c.payload.trailer
	c.finish()
	return nil
}

// readCounted reads a body of that length, behind its head if there is room.
func (c *Conn) readCounted(length int) (body []byte, l loan.Loan, err error) {
	if c.room == nil {
		body, l, err = ReadCounted(c.reader, length)
	} else {
		filled := 0
		filled, err = io.ReadFull(c.reader, c.room)
		body = c.room[:filled:filled]
	}
	if err != nil {
		err = c.readError(ErrHalfBody)
	}
	return body, l, err
}

// readError returns the error that ended reading, or atEOF if it was the peer
// closing.
func (c *Conn) readError(atEOF error) error {
	switch err := c.source.err; {
	case err == nil: // bufio has lost patience with a connection that gives neither bytes nor an error
		return io.ErrNoProgress
	// The latter is crypto/tls's word for an end inside a record.
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return atEOF
	default:
		return c.socket.explain(err)
	}
}
