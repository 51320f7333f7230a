package wire

import (
	"bytes"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// A server may be known to frame loosely (Limits.Lenient). Its heads are read
// strictly first, and, if that fails, once more as net/http reads them. What was
// read so may mean something else to whoever stands between, and so the connection
// carries nothing more: then nothing can be made of what is left in it.
//
//	a line ends in LF alone             as in CR LF
//	a line is folded                    joined to the one before, with a blank
//	a blank before a colon              the line is kept, and says nothing of framing
//	the same Content-Length again       left out
//	chunks beside a Content-Length      the chunks win, the length is left out
//	Transfer-Encoding in HTTP/1.0       left out: the body has a length, or ends with its connection
//	blanks before the status            skipped
//	control characters in the reason    let pass
//	HTTP/1.2 to HTTP/1.9                HTTP/1.1

// scanLoosely is scan for a head, or a trailer section, that scan has refused. It
// looks for its end first: a folded line changes the one before it.
func (h *head) scanLoosely(buf []byte) (done bool, err error) {
	if !h.loose {
		*h = newHeadOf(h.trailer)
		h.loose = true
	}
	for {
		rest := buf[h.end:]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			return false, nil
		}
		h.end += i + 1
		switch line := bytes.TrimSuffix(rest[:i], []byte{'\r'}); {
		case h.lines == 0 && !h.trailer:
			h.lines = h.end
			err = h.looseStatusLine(line) // at once, for behind another protocol's words no empty line may come
		case len(line) == 0:
			return true, h.readLoosely(buf[h.lines:h.end])
		}
		if err != nil {
			return false, err
		}
	}
}

func newHeadOf(trailer bool) head {
	if trailer {
		return head{trailer: true}
	}
	return newHead()
}

// readLoosely reads the field lines of a head that is complete, and keeps them as
// they should have been.
func (h *head) readLoosely(buf []byte) error {
	for {
		var line []byte
		if line, buf = unfolded(buf); line == nil {
			break
		}
		keep, err := h.looseField(line)
		if err != nil {
			return err
		}
		if keep {
			h.text = append(append(h.text, line...), "\r\n"...)
		}
	}
	if h.chunked && h.length >= 0 {
		h.length, h.unsaid = -1, "Content-Length"
	}
	return nil
}

// unfolded takes one field line, with all that continues it; nil at the empty line. A
// line without a colon is taken alone: it would find one further down, and be a name.
func unfolded(buf []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(buf, []byte{'\n'})
	if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) == 0 {
		return nil, rest
	}
	folded := false
	isField := bytes.IndexByte(line, ':') >= 0
	for line = trimEnd(line); isField && len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t'); {
		var more []byte
		more, rest, _ = bytes.Cut(rest, []byte{'\n'})
		if !folded { // the buffer is not to be written to
			line, folded = bytes.Clone(line), true
		}
		line = append(append(line, ' '), trim(bytes.TrimSuffix(more, []byte{'\r'}))...)
	}
	return line, rest
}

func trimEnd(s []byte) []byte { return bytes.TrimRight(s, " \t") }

func (h *head) looseStatusLine(line []byte) error {
	version, status, _ := bytes.Cut(line, []byte{' '})
	status = bytes.TrimLeft(status, " ")
	if len(version) == len("HTTP/1.1") && version[7] > '1' && version[7] <= '9' {
		h.later = version[7] - '0'
		version = append(bytes.Clone(version[:7]), '1')
	}
	code, _, _ := bytes.Cut(status, []byte{' '}) // the reason says nothing
	return h.statusLine(append(append(bytes.Clone(version), ' '), code...))
}

// looseStatus returns what the first line of a head that is in buf says behind the
// version.
func (h *head) looseStatus(buf []byte) string {
	line := string(bytes.TrimSuffix(buf[len("HTTP/1.1 "):h.lines], []byte{'\n'}))
	return strings.TrimLeft(strings.TrimSuffix(line, "\r"), " ")
}

// looseField reads a field line, and reports whether it is to be told of.
func (h *head) looseField(line []byte) (keep bool, err error) {
	name, value, found := bytes.Cut(line, []byte{':'})
	blank := false
	for i, b := range name {
		blank = blank || b == ' '
		if !tokenByte[b] && (b != ' ' || i == 0) {
			return false, errFieldName
		}
	}
	switch err = printable(value); {
	case !found, len(name) == 0:
		return false, errFieldName
	case err != nil:
		return false, err
	case blank, h.trailer:
		return true, nil
	case h.http10 && foldEqual(name, "transfer-encoding"):
		return false, nil
	case h.length >= 0 && foldEqual(name, "content-length"):
		first := h.length
		h.length = -1
		if err = h.contentLength(trim(value)); err == nil && h.length != first {
			err = errContentLength
		}
		return false, err
	}
	return true, h.field(line)
}

// header returns the field lines of a head that is in buf.
func (h *head) header(buf []byte) messages.Header {
	if !h.loose {
		return messages.NewHeader(string(buf[h.lines : h.end-len("\r\n")])) // a copy: the buffer is for the next response
	}
	lines := messages.NewHeader(string(h.text))
	if h.unsaid != "" {
		lines = lines.Without(h.unsaid)
	}
	return lines
}
