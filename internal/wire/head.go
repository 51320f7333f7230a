package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/sluice-engine/sluice/messages"
)

// head is what a response head says about framing. A trailer section is scanned
// by the same rules, but says nothing.
type head struct {
	status  int
	http10  bool
	later   uint8 // the minor version, if it is above 1
	chunked bool
	close   bool             // the server will not read another request
	length  int64            // Content-Length, or -1
	coding  messages.Codings // Content-Encoding, if any
	idle    int              // seconds that Keep-Alive leaves an idle connection, or -1
	more    int              // requests that it leaves, or -1

	trailer bool // scanning a trailer section: no status line, no framing
	tunnel  bool // in answer to CONNECT: framing means nothing, and old proxies end lines with LF alone
	lines   int  // where the first field line begins
	end     int  // behind the last whole line scanned

	loose  bool   // scanned once more, loosely: what follows holds then alone
	text   []byte // the field lines, as they should have been
	unsaid string // the name of lines that do not count among them
}

func newHead() head { return head{length: -1, idle: -1, more: -1} }

// scan reads the lines of buf, which begins with the head, and reports whether
// the head is complete. If it is not, scan goes on where it stopped when called
// again with more bytes, so that a head costs one pass however it arrives.
//
// It is stricter than RFC 9112 asks of a client: no bare CR or LF nor any other
// control character, no folded lines, no whitespace before a colon, no guess at
// framing.
func (h *head) scan(buf []byte) (done bool, err error) {
	for {
		rest := buf[h.end:]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return false, nil
		}
		line := rest[:max(0, i-1)]
		if i == 0 || rest[i-1] != '\r' {
			if !h.tunnel {
				return false, errBareLF
			}
			line = rest[:i]
		}
		h.end += i + 1
		if err = printable(line); err != nil {
			return false, err
		}
		switch {
		case h.lines == 0 && !h.trailer:
			h.lines = h.end
			err = h.statusLine(line)
		case len(line) == 0:
			return true, h.check() // done even if it fails: no more bytes would help
		default:
			err = h.field(line)
		}
		if err != nil {
			return false, err
		}
	}
}

// statusLine accepts a missing space after the code, which many servers leave
// out with the reason.
func (h *head) statusLine(line []byte) error {
	const shape = "HTTP/1.1 200"
	if len(line) < len(shape) || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return errStatusLine
	}
	if len(line) > len(shape) && line[len(shape)] != ' ' {
		return errStatusLine
	}
	// These are bytes: what lies below '0' becomes a large number.
	minor, a, b, c := line[7]-'0', line[9]-'0', line[10]-'0', line[11]-'0'
	if minor > 1 || a < 1 || a > 9 || b > 9 || c > 9 {
		return errStatusLine
	}
	h.http10 = minor == 0
	h.status = int(a)*100 + int(b)*10 + int(c)
	return nil
}

func (h *head) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return errFieldName
	}
	name := line[:colon]
	for _, b := range name {
		if !tokenByte[b] {
			return errFieldName
		}
	}
	if h.trailer || h.tunnel {
		return nil // what a trailer says of framing comes too late, and is not believed
	}
	value := line[colon+1:]
	switch {
	case foldEqual(name, "content-length"):
		return h.contentLength(trim(value))
	case foldEqual(name, "transfer-encoding"):
		return h.transferEncoding(trim(value))
	case foldEqual(name, "content-encoding"):
		h.coding = AddCoding(h.coding, trim(value))
	case foldEqual(name, "connection"):
		h.connection(value)
	case foldEqual(name, "keep-alive"):
		h.keepAlive(value)
	}
	return nil
}

// contentLength refuses a list even of equal values (RFC 9110, section 8.6,
// leaves the choice).
func (h *head) contentLength(value []byte) error {
	const maxDigits = 18 // fits an int64
	if h.length >= 0 || len(value) == 0 || len(value) > maxDigits {
		return errContentLength
	}
	n := int64(0)
	for _, b := range value {
		if b < '0' || b > '9' {
			return errContentLength
		}
		n = n*10 + int64(b-'0')
	}
	h.length = n
	return nil
}

func (h *head) transferEncoding(value []byte) error {
	// Any other coding, or a second one, hides where the body ends from somebody.
	if h.chunked || !foldEqual(value, "chunked") {
		return errTransferEncoding
	}
	h.chunked = true
	return nil
}

func (h *head) connection(value []byte) {
	for more := true; more; {
		var token []byte
		token, value, more = bytes.Cut(value, []byte{','})
		if foldEqual(trim(token), "close") {
			h.close = true
		}
	}
}

// check looks at a complete head as a whole.
func (h *head) check() error {
	if h.chunked && (h.length >= 0 || h.http10) {
		return errTwoFramings
	}
	return nil
}

// printable returns the error of a line that holds a control character other than
// a tab (RFC 9110, section 5.5). Eight bytes are looked at together: nearly all
// lines are clean.
func printable(line []byte) error {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(line); i += 8 {
		x := binary.LittleEndian.Uint64(line[i:])
		del := x ^ 0x7f*ones
		// The high bit of a byte is set if it is below ' ', or is DEL; of one above such
		// a byte it may be set in error.
		if ((x-' '*ones)&^x|(del-ones)&^del)&highs != 0 {
			if err := unprintable(line[i : i+8]); err != nil {
				return err
			}
		}
	}
	return unprintable(line[i:])
}

func unprintable(line []byte) error {
	for _, b := range line {
		switch {
		case b >= ' ' && b != 0x7f || b == '\t':
		case b == '\r':
			return errBareCR
		case b == 0:
			return errNUL // some readers end a line there
		default:
			return errControl
		}
	}
	return nil
}

// cut is the error of a connection that ends when n bytes of h have come.
func (h *head) cut(n int) error {
	switch {
	case h.trailer:
		return ErrHalfBody
	case n == 0:
		return ErrNoAnswer
	}
	return errHalfHead
}

// errEndless is the error of a head that is longer than its reader lets it be.
var errEndless = errors.New("answer has no end")

// ReadStatus reads the head of an answer to CONNECT, of at most limit bytes, and returns its
// status. It takes no byte behind the head, which is somebody else's, and heeds no framing (RFC
// 9110, section 9.3.6): what follows a 2xx is the tunnel, and any other ends the connection.
func ReadStatus(r io.Reader, limit int) (status int, err error) {
	h := newHead()
	h.tunnel = true
	for buf := make([]byte, 0, 512); ; {
		// One byte at a time, for the reader cannot be given back what is too much.
		buf = append(buf, 0)
		if _, err := io.ReadFull(r, buf[len(buf)-1:]); err != nil {
			return 0, err
		}
		if done, err := h.scan(buf); done || err != nil {
			return h.status, err
		}
		if len(buf) == limit {
			return 0, errEndless
		}
	}
}

// minor is the version that the server said, behind "HTTP/1.".
func (h *head) minor() uint8 {
	switch {
	case h.http10:
		return 0
	case h.later > 1: // read loosely
		return h.later
	}
	return 1
}

// bodiless reports whether no body follows, whatever the head says (RFC 9112,
// section 6.3).
func (h *head) bodiless(method string) bool {
	return method == "HEAD" || h.status == 204 || h.status == 304
}

// keeps reports whether the connection may carry another request as far as the
// head can tell. A 204 that announces a body is not trusted: none may (RFC 9110,
// section 8.6, and RFC 9112, section 6.1), and some send it all the same. In answer
// to a HEAD, and in a 304, the length is that of another answer.
func (h *head) keeps(bodiless bool) bool {
	if h.http10 || h.close {
		return false
	}
	if bodiless {
		return h.status != 204 || !h.chunked && h.length <= 0
	}
	// Without framing the body ends with its connection.
	return h.chunked || h.length >= 0
}

// tokenByte holds the bytes of a token (RFC 9110, section 5.6.2).
var tokenByte = func() (table [256]bool) {
	const others = "!#$%&'*+-.^_`|~"
	for b := range table {
		c := byte(b)
		table[b] = '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' ||
			bytes.IndexByte([]byte(others), c) >= 0
	}
	return table
}()

// foldEqual reports whether s is lower, which has small letters and hyphens
// only, without regard to the case of s.
func foldEqual(s []byte, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i, b := range s {
		if 'A' <= b && b <= 'Z' {
			b |= 0x20
		}
		if b != lower[i] {
			return false
		}
	}
	return true
}

// trim cuts optional whitespace (RFC 9110, section 5.6.3).
func trim(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
