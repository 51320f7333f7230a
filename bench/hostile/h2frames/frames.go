package h2frames

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Kinds of frames (RFC 9113, section 6), flags and error codes.
const (
	kindData         = 0
	kindHeaders      = 1
	kindPriority     = 2
	kindReset        = 3
	kindSettings     = 4
	kindPushPromise  = 5
	kindPing         = 6
	kindGoaway       = 7
	kindWindowUpdate = 8
	kindContinuation = 9
	kindUnknown      = 0x77

	ack        = 1
	endStream  = 1
	endHeaders = 4
	padded     = 8

	noError       = 0
	refusedStream = 7
	cancelled     = 8
	calmDown      = 11

	settingTableSize  = 1
	settingPush       = 2
	settingStreams    = 3
	settingWindow     = 4
	settingFrameSize  = 5
	settingHeaderList = 6
)

func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	n := len(payload)
	f := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	return append(binary.BigEndian.AppendUint32(f, stream), payload...)
}

// word is a payload of one number.
func word(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// settings takes pairs of a setting and its value.
func settings(pairs ...uint32) []byte {
	var payload []byte
	for i := 0; i < len(pairs); i += 2 {
		payload = binary.BigEndian.AppendUint16(payload, uint16(pairs[i]))
		payload = binary.BigEndian.AppendUint32(payload, pairs[i+1])
	}
	return frame(kindSettings, 0, 0, payload...)
}

func headers(stream uint32, flags byte, block ...[]byte) []byte {
	return frame(kindHeaders, endHeaders|flags, stream, slices.Concat(block...)...)
}

func data(stream uint32, flags byte, text string) []byte {
	return frame(kindData, flags, stream, []byte(text)...)
}

func reset(stream, code uint32) []byte { return frame(kindReset, 0, stream, word(code)...) }

func goaway(last, code uint32) []byte {
	return frame(kindGoaway, 0, 0, slices.Concat(word(last), word(code))...)
}

func windowUpdate(stream, by uint32) []byte {
	return frame(kindWindowUpdate, 0, stream, word(by)...)
}

func ping() []byte { return frame(kindPing, 0, 0, make([]byte, 8)...) }

// line is a field that nobody remembers (RFC 7541, section 6.2.2), with neither
// table nor Huffman's code.
func line(name, value string) []byte {
	return slices.Concat([]byte{0}, text(name), text(value))
}

// remembered is a field that goes into the table of both sides.
func remembered(name, value string) []byte {
	return slices.Concat([]byte{0x40}, text(name), text(value))
}

// numbered is a field of the table: the first that was remembered last has 62.
func numbered(n byte) []byte { return []byte{0x80 | n} }

// status is a line whose value need be no status.
func status(value string) []byte { return line(":status", value) }

func text(s string) []byte { return append(integer(0x7f, 0, len(s)), s...) }

// integer is a number behind a prefix (RFC 7541, section 5.1).
func integer(most byte, prefix byte, n int) []byte {
	if n < int(most) {
		return []byte{prefix | byte(n)}
	}
	out := []byte{prefix | most}
	for n -= int(most); n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

// split is a header block in a HEADERS frame and CONTINUATIONs of at most size.
func split(stream uint32, flags byte, size int, block []byte) []byte {
	var out []byte
	kind := byte(kindHeaders)
	for len(block) > size {
		out = append(out, frame(kind, flags, stream, block[:size]...)...)
		block, kind, flags = block[size:], kindContinuation, 0
	}
	return append(out, frame(kind, flags|endHeaders, stream, block...)...)
}

// ok is a whole answer.
func ok(stream uint32) []byte {
	return slices.Concat(headers(stream, 0, status("200")), data(stream, endStream, "ok"))
}

func times(n int, b []byte) []byte { return []byte(strings.Repeat(string(b), n)) }
