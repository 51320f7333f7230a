package results

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The encoding is written and read here, since the library's allocates more than a megabyte
// for each: a run encodes several for every operation and second. Tests hold it to the
// library's.
const (
	cookieOfCounts     = 0x1c849313
	cookieOfCompressed = 0x1c849314
	headOfCounts       = 40
	headOfCompressed   = 8
	// mostPayload is nine bytes for every counter, and mostEncoded the base64 of what
	// deflate at worst makes of it.
	mostPayload = 9 * counters
	mostEncoded = (mostPayload + mostPayload/100 + 1024) * 4 / 3
)

// payload appends the counters as HdrHistogram's V2 encoding has them: each a ZigZag number,
// where one below zero says how many zeros follow one another.
func (h *Histogram) payload(to []byte) []byte {
	if h.table == nil {
		return append(to, h.packed...)
	}
	out := packer{to: to}
	h.eachOfTable(func(i int, n uint64) bool {
		out.put(i, n)
		return true
	})
	return out.to
}

// packer writes a payload; counters come in order.
type packer struct {
	to   []byte
	next int
}

func (p *packer) put(i int, n uint64) {
	switch zeros := int64(i - p.next); zeros {
	case 0:
	case 1:
		p.to = appendZigZag(p.to, 0)
	default:
		p.to = appendZigZag(p.to, -zeros)
	}
	p.to = appendZigZag(p.to, int64(n))
	p.next = i + 1
}

// cursor walks over a payload that parsePayload has accepted.
type cursor struct {
	rest []byte
	next int
	i    int    // the counter that it is at,
	n    uint64 // and what that counts, never zero
}

// step goes to the next counter that counts anything; false if there is none.
func (c *cursor) step() bool {
	for len(c.rest) > 0 {
		v, n := zigZag(c.rest)
		c.rest = c.rest[n:]
		if v < 0 {
			c.next += int(-v)
			continue
		}
		c.i, c.n = c.next, uint64(v)
		c.next++
		if v > 0 {
			return true
		}
	}
	return false
}

func eachPacked(payload []byte, f func(i int, n uint64) bool) {
	for c := (cursor{rest: payload}); c.step(); {
		if !f(c.i, c.n) {
			return
		}
	}
}

// mergePayloads adds up two, whose counts together are no more than the encoding holds.
func mergePayloads(a, b []byte) []byte {
	out := packer{to: make([]byte, 0, len(a)+len(b))}
	left, right := cursor{rest: a}, cursor{rest: b}
	more, others := left.step(), right.step()
	for more && others {
		switch {
		case left.i < right.i:
			out.put(left.i, left.n)
			more = left.step()
		case left.i > right.i:
			out.put(right.i, right.n)
			others = right.step()
		default:
			out.put(left.i, left.n+right.n)
			more, others = left.step(), right.step()
		}
	}
	for ; more; more = left.step() {
		out.put(left.i, left.n)
	}
	for ; others; others = right.step() {
		out.put(right.i, right.n)
	}
	return append(make([]byte, 0, len(out.to)), out.to...)
}

// parsePayload checks what eachPacked relies on, and adds up.
func parsePayload(payload []byte) (total uint64, err error) {
	i := int64(0)
	for len(payload) > 0 {
		v, n := zigZag(payload)
		if n == 0 {
			return 0, errors.New("a number of the histogram is cut off")
		}
		payload = payload[n:]
		switch {
		case v < -counters:
			return 0, errors.New("more zeros than a histogram has counters")
		case v < 0:
			i += -v
		case uint64(v) > mostCounted-total:
			return 0, errors.New("the histogram's counts add up to more than 2^63-1")
		default:
			total += uint64(v)
			i++
		}
		if i > counters {
			return 0, fmt.Errorf("more counters than the %d of a histogram", counters)
		}
	}
	return total, nil
}

// appendZigZag writes seven bits a byte, and all eight of the ninth.
func appendZigZag(to []byte, signed int64) []byte {
	v := uint64(signed<<1) ^ uint64(signed>>63)
	for range 8 {
		if v < 0x80 {
			return append(to, byte(v))
		}
		to = append(to, byte(v)|0x80)
		v >>= 7
	}
	return append(to, byte(v))
}

// zigZag reads one number and says of how many bytes; of 0 if it is cut off.
func zigZag(from []byte) (int64, int) {
	var v uint64
	for i, b := range from {
		if i == 8 {
			v |= uint64(b) << 56
		} else {
			v |= uint64(b&0x7f) << (7 * i)
		}
		if i == 8 || b < 0x80 {
			return int64(v>>1) ^ -int64(v&1), i + 1
		}
	}
	return 0, 0
}

// deflaters are kept, since one is most of a megabyte.
var deflaters = make(chan *zlib.Writer, 2)

func deflate(to *bytes.Buffer, from []byte) {
	var w *zlib.Writer
	select {
	case w = <-deflaters:
		w.Reset(to)
	default:
		w = zlib.NewWriter(to)
	}
	w.Write(from) // a bytes.Buffer takes everything
	w.Close()
	select {
	case deflaters <- w:
	default:
	}
}

// Encode returns HdrHistogram's compressed V2 encoding in base64.
func (h *Histogram) Encode() []byte {
	plain := make([]byte, headOfCounts, headOfCounts+2048)
	if h != nil {
		plain = h.payload(plain)
	}
	binary.BigEndian.PutUint32(plain, cookieOfCounts)
	binary.BigEndian.PutUint32(plain[4:], uint32(len(plain)-headOfCounts))
	binary.BigEndian.PutUint32(plain[12:], digits)
	binary.BigEndian.PutUint64(plain[16:], lowest)
	binary.BigEndian.PutUint64(plain[24:], uint64(highest))
	binary.BigEndian.PutUint64(plain[32:], math.Float64bits(1))
	out := bytes.NewBuffer(make([]byte, headOfCompressed, headOfCompressed+1024))
	deflate(out, plain)
	binary.BigEndian.PutUint32(out.Bytes(), cookieOfCompressed)
	binary.BigEndian.PutUint32(out.Bytes()[4:], uint32(out.Len()-headOfCompressed))
	return base64.StdEncoding.AppendEncode(nil, out.Bytes())
}

// Decode reads what Encode wrote. It refuses what has another geometry than this package's,
// as a log of another program may.
func Decode(encoded []byte) (*Histogram, error) {
	plain, err := inflate(encoded)
	if err != nil {
		return nil, fmt.Errorf("a histogram cannot be read: %w", err)
	}
	payload := plain[headOfCounts:]
	switch {
	case binary.BigEndian.Uint32(plain) != cookieOfCounts:
		err = fmt.Errorf("its counts are in encoding %#x, not HdrHistogram's V2", binary.BigEndian.Uint32(plain))
	case binary.BigEndian.Uint32(plain[4:]) != uint32(len(payload)):
		err = fmt.Errorf("it has %d bytes of counts and says %d", len(payload), binary.BigEndian.Uint32(plain[4:]))
	case binary.BigEndian.Uint32(plain[8:]) != 0,
		binary.BigEndian.Uint32(plain[12:]) != digits,
		binary.BigEndian.Uint64(plain[16:]) != lowest,
		binary.BigEndian.Uint64(plain[24:]) != uint64(highest),
		binary.BigEndian.Uint64(plain[32:]) != math.Float64bits(1):
		err = errors.New("it is not of 64 ns to an hour with 3 digits")
	}
	if err != nil {
		return nil, fmt.Errorf("a histogram cannot be read: %w", err)
	}
	total, err := parsePayload(payload)
	if err != nil {
		return nil, fmt.Errorf("a histogram cannot be read: %w", err)
	}
	return &Histogram{total: total, packed: bytes.Clone(payload)}, nil
}

// inflate returns the head and the payload, which are at least a head long.
func inflate(encoded []byte) ([]byte, error) {
	if len(encoded) > mostEncoded {
		return nil, fmt.Errorf("it has %d bytes, more than any histogram", len(encoded))
	}
	raw, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return nil, err
	}
	if len(raw) < headOfCompressed || binary.BigEndian.Uint32(raw) != cookieOfCompressed {
		return nil, errors.New("it is not in HdrHistogram's compressed V2 encoding")
	}
	if told := binary.BigEndian.Uint32(raw[4:]); uint64(told) != uint64(len(raw)-headOfCompressed) {
		return nil, fmt.Errorf("it has %d compressed bytes and says %d", len(raw)-headOfCompressed, told)
	}
	from, err := zlib.NewReader(bytes.NewReader(raw[headOfCompressed:]))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(from, headOfCounts+mostPayload+1))
	switch {
	case err != nil:
		return nil, err
	case len(plain) < headOfCounts:
		return nil, errors.New("it is cut off")
	case len(plain) > headOfCounts+mostPayload:
		return nil, errors.New("it has more bytes than any histogram")
	}
	return plain, nil
}

// MarshalJSON writes Encode's text as a string; an empty one if nothing is counted.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	if h.Count() == 0 {
		return []byte(`""`), nil
	}
	text := h.Encode()
	return append(append(append(make([]byte, 0, len(text)+2), '"'), text...), '"'), nil
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses anything else.
func (h *Histogram) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("a histogram cannot be read: %w", err)
	}
	if text == "" {
		*h = Histogram{}
		return nil
	}
	read, err := Decode([]byte(text))
	if err != nil {
		return err
	}
	*h = *read
	return nil
}

// HDR returns the same as a histogram of the library's, of nanoseconds: 200 KB.
func (h *Histogram) HDR() *hdrhistogram.Histogram {
	out := hdrhistogram.New(lowest, highest, digits)
	h.Each(func(first, _ time.Duration, n uint64) bool {
		// The geometry is the same and the sum fits, so nothing is out of range.
		_ = out.RecordValues(int64(first), int64(n))
		return true
	})
	return out
}
