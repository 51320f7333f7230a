package wire

import (
	"bytes"
	"io"
	"math"

	"github.com/sluice-engine/sluice/messages"
)

// payload reads a body and undoes its transfer coding: to its Content-Length,
// chunk by chunk, or to the connection's end. At io.EOF the body was complete,
// and the trailers are read.
type payload struct {
	conn    *Conn
	framing framing
	keeps   bool  // the head lets the connection go on
	left    int64 // bytes to come, of the body or of the chunk
	room    int64 // bytes the body may still have; chunks and open end only
	taken   int64 // bytes read
	inside  bool  // a chunk's CR LF is still to come
	excess  int64 // chunk framing that the body does not outweigh
	trailer messages.Header
	err     error // final; io.EOF when complete
}

type framing uint8

const (
	counted framing = iota
	chunked
	toEnd
)

// begin makes the payload ready to be read as its head says.
func (b *payload) begin(h *head) {
	switch {
	case h.chunked:
		b.framing, b.left = chunked, 0
	case h.length < 0:
		b.framing, b.left = toEnd, math.MaxInt64
	}
}

// Read is part of io.Reader.
func (b *payload) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.left == 0 {
		if b.err = b.next(); b.err != nil {
			return 0, b.err
		}
	}
	want := min(int64(len(p)), b.left)
	b.conn.fit(want)
	n, err := b.conn.reader.Read(p[:want])
	b.left -= int64(n)
	b.taken += int64(n)
	switch {
	case b.framing == chunked:
		b.excess = max(0, b.excess-framingRatio*int64(n))
	case b.framing == toEnd && b.taken > b.room:
		b.err = messages.ErrBodyTooLarge
		return n - int(b.taken-b.room), b.err // what is over the cap is not handed on
	}
	switch {
	case n > 0 && b.framing == counted && b.left == 0:
		b.err = io.EOF // with the last byte, for some readers never ask again
	case n == 0 && err != nil: // an error beside data comes again with the next read
		b.err = b.ended()
	}
	return n, b.err
}

// next goes on where nothing is left: to the next chunk, or to the end.
func (b *payload) next() error {
	if b.framing != chunked {
		return io.EOF
	}
	b.conn.fit(0) // whoever waits for a server waits between two chunks mostly
	if b.inside {
		if err := b.chunkEnd(); err != nil {
			return err
		}
		b.conn.fit(0)
	}
	size, err := b.chunkLine()
	switch {
	case err != nil:
		return err
	case size == 0:
		return b.trailers()
	case size > b.room:
		return messages.ErrBodyTooLarge
	}
	b.room -= size // on the chunk's word, so that a body over the cap ends before it is read
	b.left, b.inside = size, true
	return nil
}

// ended says what it means that the connection gives no more. Under TLS only a
// close_notify ends a body without length; a bare end may be somebody's cutting
// it short.
func (b *payload) ended() error {
	err := b.conn.readError(io.EOF)
	// crypto/tls says io.EOF of a close_notify and of a bare end alike; the socket
	// has noted which it was.
	switch {
	case err != io.EOF:
		return err
	case b.framing != toEnd, b.conn.socket.cutOff():
		return ErrHalfBody
	}
	return io.EOF
}

const (
	// framingRatio is how many bytes of chunk framing one byte of body makes up
	// for. Chunks of one byte have five.
	framingRatio = 8
	// maxSizeDigits of a chunk size fit an int64.
	maxSizeDigits = 15
)

// chunkLine reads the line before a chunk, and drops its extension (RFC 9112,
// section 7.1). Blanks behind the size are let pass, as old servers pad it.
func (b *payload) chunkLine() (size int64, err error) {
	line, err := b.conn.reader.ReadSlice('\n')
	b.excess += int64(len(line)) + 2 // and the CR LF behind the chunk
	switch {
	case b.excess > int64(b.conn.limits.Header):
		return 0, errFraming
	case err != nil && b.conn.source.err == nil:
		return 0, errFraming // the line is longer than the buffer
	case err != nil:
		return 0, b.conn.readError(ErrHalfBody)
	case len(line) < 2 || line[len(line)-2] != '\r':
		return 0, errChunk
	}
	return chunkSize(line[:len(line)-2])
}

func chunkSize(line []byte) (size int64, err error) {
	digits := 0
	for digits < len(line) && hexDigit[line[digits]] >= 0 {
		size = size<<4 | int64(hexDigit[line[digits]])
		digits++
	}
	if digits == 0 || digits > maxSizeDigits {
		return 0, errChunk
	}
	extension := trim(line[digits:])
	if len(extension) > 0 && extension[0] != ';' {
		return 0, errChunk
	}
	for _, c := range extension {
		if c == '\r' || c == 0 {
			return 0, errChunk
		}
	}
	return size, nil
}

var hexDigit = func() (table [256]int8) {
	for i := range table {
		table[i] = -1
	}
	for i, c := range "0123456789abcdef" {
		table[c] = int8(i)
	}
	for i, c := range "ABCDEF" {
		table[c] = int8(10 + i)
	}
	return table
}()

func (b *payload) chunkEnd() error {
	b.inside = false
	for _, want := range []byte("\r\n") {
		got, err := b.conn.reader.ReadByte()
		if err != nil {
			return b.conn.readError(ErrHalfBody)
		}
		if got != want {
			return errChunk
		}
	}
	return nil
}

// holdsLastChunk reports whether a chunked body ends in buf, which begins with it: its trailer
// section too. It goes from chunk to chunk as Read does, for what looks like an end may be data. Of
// what is malformed the end is not known.
func holdsLastChunk(buf []byte) bool {
	for {
		end := bytes.IndexByte(buf, '\n')
		if end < 1 || buf[end-1] != '\r' {
			return false
		}
		size, err := chunkSize(buf[:end-1])
		buf = buf[end+1:]
		switch {
		case err != nil:
			return false
		case size == 0:
			section := head{trailer: true}
			done, err := section.scan(buf)
			return done && err == nil
		case size+2 > int64(len(buf)) || buf[size] != '\r' || buf[size+1] != '\n':
			return false
		}
		buf = buf[size+2:]
	}
}

// trailers reads the trailer section, by the rules of a head.
func (b *payload) trailers() error {
	c := b.conn
	section := head{trailer: true}
	if err := c.scan(&section); err != nil {
		return err
	}
	if section.end > len("\r\n") { // most bodies have no trailer
		lines, _ := c.reader.Peek(section.end)
		b.trailer = section.header(lines)
	}
	c.reader.Discard(section.end) // it is in the buffer, so this cannot fail
	return io.EOF
}
