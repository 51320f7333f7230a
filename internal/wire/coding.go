package wire

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"weak"

	"github.com/klauspost/compress/zstd"
	brotli "github.com/molecule-man/go-brrr"

	"github.com/sluice-engine/sluice/messages"
)

// codings are the names of content codings (RFC 9110, section 8.4.1).
var codings = map[string]messages.Codings{
	"gzip": messages.Gzip, "x-gzip": messages.Gzip, "deflate": messages.Deflate,
	"br": messages.Brotli, "zstd": messages.Zstd,
}

// otherCoding is any other, and any two together.
const otherCoding messages.Codings = 1 << 7

var (
	errCoding    = malformed("invalid content coding")
	errCutCoding = also(malformed("content coding has no end"), io.ErrUnexpectedEOF)
	errInflated  = fmt.Errorf("%w: decompression ratio", messages.ErrBodyTooLarge)
	errPadded    = fmt.Errorf("%w: content coding outweighs the body", messages.ErrBodyTooLarge)
)

// AddCoding returns the content coding of a body by one more value of its
// Content-Encoding, beside what those before it said: zero is none at all.
func AddCoding(before messages.Codings, value []byte) messages.Codings {
	if len(value) == 0 || foldEqual(value, "identity") {
		return before
	}
	if before != 0 {
		return otherCoding
	}
	for name, known := range codings {
		if foldEqual(value, name) {
			return known
		}
	}
	return otherCoding
}

// Decoder undoes the content coding of a body. It bounds how much a byte of the
// body may become: a few kilobytes must not turn into gigabytes. And it bounds how much
// coding there may be for what it becomes: the cap of a body is on what was decoded, and
// empty parts without end would never come to it.
type Decoder struct {
	coded  CodedBody
	buffer *bufio.Reader // of coded
	engine engine
	limits *Limits
	home   *Decoders // where it came from, and its coding
	coding messages.Codings
	begun  bool  // the engine has been given the body
	padded bool  // the coding outweighs the body
	given  int64 // bytes decoded
	err    error // final; io.EOF when the body was complete
}

// CodedBody is a body in its content coding.
type CodedBody interface {
	io.Reader
	// Progress is how many bytes were read, and why there are no more.
	Progress() (taken int64, err error)
}

// Progress is part of CodedBody.
func (b *payload) Progress() (int64, error) { return b.taken, b.err }

// engine is the decompressor itself.
type engine interface {
	io.Reader
	reset(*bufio.Reader) error
}

// decoder returns what undoes the response's content coding. The header then
// tells of the body as it will be. It returns nil if there is no coding, or none
// that this call asked for: what the server chose by itself is handed over as it
// came, with its header.
func (c *Conn) decoder(h *head, call *messages.Call, resp *messages.Response) *Decoder {
	if h.coding&call.Codings == 0 {
		return nil
	}
	c.payload.begin(h)
	c.payload.room = math.MaxInt64 // the cap is on what the decoder makes of it, which bounds what it takes
	resp.Header = resp.Header.Without("Content-Encoding", "Content-Length")
	resp.Uncompressed = true
	return c.limits.Decoders.Lend(h.coding, &c.payload, &c.limits)
}

// Decoders lends decoders to the connections that share it. The zero value is
// ready for use. It is safe for concurrent use.
//
// A few of those that were given back rest in it, for the next body. They are
// large, 8 MiB perhaps for zstd, and so they are held weakly: what rests when
// memory is collected is let go. They never leave the connections that share
// them: those of zstd have channels, which belong to the bubble of a test with
// fake time that made them.
type Decoders struct {
	mu      sync.Mutex
	resting map[messages.Codings][]weak.Pointer[Decoder] // guarded by mu
}

// mostResting is how many decoders of one coding rest.
const mostResting = 8

// Lend returns a decoder of body, whose coding must be one, and known. It reads
// nothing of the body before it is read itself. It is to be released; limits must
// stay as they are until then.
func (l *Decoders) Lend(coding messages.Codings, body CodedBody, limits *Limits) *Decoder {
	d := l.wake(coding)
	if d == nil {
		d = &Decoder{engine: engines[coding](), buffer: bufio.NewReader(nil), home: l, coding: coding}
	}
	d.coded, d.limits, d.begun, d.padded, d.given, d.err = body, limits, false, false, 0, nil
	d.buffer.Reset((*codedInput)(d))
	return d
}

// wake returns a decoder that has rested, and nil if there is none.
func (l *Decoders) wake(coding messages.Codings) *Decoder {
	l.mu.Lock()
	defer l.mu.Unlock()
	for rest := l.resting[coding]; len(rest) > 0; {
		last := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		l.resting[coding] = rest
		if d := last.Value(); d != nil { // its memory may have been collected
			return d
		}
	}
	return nil
}

func (l *Decoders) rest(d *Decoder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resting == nil {
		l.resting = make(map[messages.Codings][]weak.Pointer[Decoder])
	}
	if rest := l.resting[d.coding]; len(rest) < mostResting {
		l.resting[d.coding] = append(rest, weak.Make(d))
	}
}

// Release gives the decoder back; it must not be read after that.
func (d *Decoder) Release() {
	d.coded, d.limits = nil, nil
	d.buffer.Reset(nil)
	d.home.rest(d)
}

// freelyInflated is how much a body may become whatever it was: a short one may well
// be all zeros.
const freelyInflated = 1 << 20

const (
	// codingRatio is how many bytes of its coding one byte of a body makes up for. One
	// that is flushed byte by byte has seven in gzip, and fewer in br and zstd.
	codingRatio = framingRatio
	// freelyCoded is how much of a coding there may be whatever comes of it: a decoder
	// reads ahead, and the largest block of zstd has 128 KiB.
	freelyCoded = 1 << 20
	// mostAtOnce is how much is decoded at once, so that what was given is never far
	// behind what was taken for it.
	mostAtOnce = 64 << 10
)

// mostCoded is how many bytes a coded body may have that becomes no more than limit.
func mostCoded(limit int64) int64 {
	if limit > (math.MaxInt64-freelyCoded)/codingRatio {
		return math.MaxInt64
	}
	return codingRatio*limit + freelyCoded
}

// codedInput is what the engine of a Decoder reads: the body in its coding, as long as
// that is in proportion. The engine itself is no place to look, for it may read empty
// parts one after another before it returns.
type codedInput Decoder

// Read is part of io.Reader.
func (d *codedInput) Read(p []byte) (int, error) {
	if taken, _ := d.coded.Progress(); taken > mostCoded(d.given) {
		d.padded = true
		return 0, errPadded
	}
	return d.coded.Read(p)
}

// Read is part of io.Reader.
func (d *Decoder) Read(p []byte) (n int, err error) {
	if !d.begun {
		d.begun = true
		d.err = d.begin()
	}
	if d.err != nil {
		return 0, d.err
	}
	n, err = d.engine.Read(p[:min(len(p), mostAtOnce)])
	d.given += int64(n)
	taken, _ := d.coded.Progress()
	switch {
	case d.given > freelyInflated && d.given/int64(d.limits.Ratio) > taken:
		d.err = errInflated
	case err == io.EOF:
		d.err = d.end()
	case err != nil:
		d.err = d.explain(err)
	}
	return n, d.err
}

// begin waits for the first bytes. A body that has none is empty, whatever coding
// it is said to be in: many servers name one beside an empty body.
func (d *Decoder) begin() error {
	if _, err := d.buffer.Peek(1); err != nil {
		if _, ended := d.coded.Progress(); ended == io.EOF {
			return io.EOF
		}
		return d.explain(err)
	}
	if err := d.engine.reset(d.buffer); err != nil {
		return d.explain(err)
	}
	return nil
}

// end makes sure that the body ends where its coding does.
func (d *Decoder) end() error {
	// This read is expected to fail: what it finds was not covered by the coding.
	if _, err := d.buffer.ReadByte(); err != io.EOF {
		return d.explain(err)
	}
	return io.EOF
}

// codingFaults are what a decompressor may say of a body that holds nothing of it.
// Clients of net/http compare.
var codingFaults = [...]error{gzip.ErrHeader, gzip.ErrChecksum, zlib.ErrHeader, zlib.ErrChecksum, zlib.ErrDictionary}

// explain tells a broken connection from a broken coding, and that from one that
// is not complete. Any other text of the decompressor's is dropped: it may hold a
// part of the response.
func (d *Decoder) explain(said error) error {
	if d.padded {
		return errPadded
	}
	if _, err := d.coded.Progress(); err != nil && err != io.EOF {
		return err
	}
	if errors.Is(said, io.ErrUnexpectedEOF) {
		return errCutCoding
	}
	for _, fault := range codingFaults {
		if errors.Is(said, fault) {
			return fmt.Errorf("%w: %w", errCoding, fault)
		}
	}
	if corrupt, ok := errors.AsType[flate.CorruptInputError](said); ok { // it says where, and not what
		return fmt.Errorf("%w: %w", errCoding, corrupt)
	}
	return errCoding
}

// engines are made by coding.
var engines = map[messages.Codings]func() engine{
	messages.Gzip:    func() engine { return new(gzipEngine) },
	messages.Deflate: func() engine { return new(deflateEngine) },
	messages.Brotli:  func() engine { return new(brotliEngine) },
	messages.Zstd:    func() engine { return new(zstdEngine) },
}

type gzipEngine struct{ gzip.Reader }

func (e *gzipEngine) reset(r *bufio.Reader) error { return e.Reset(r) }

// deflateEngine reads zlib, as RFC 9110 means by deflate, and bare DEFLATE, as
// many servers do.
type deflateEngine struct {
	io.Reader
	zlib, bare io.ReadCloser
}

func (e *deflateEngine) reset(r *bufio.Reader) (err error) {
	// A zlib header names its method in four bits and is a multiple of 31; an
	// error of Peek comes again when the body is read.
	start, _ := r.Peek(2)
	if len(start) == 2 && start[0]&0x0f == 8 && (int(start[0])<<8|int(start[1]))%31 == 0 {
		if e.zlib == nil {
			e.zlib, err = zlib.NewReader(r)
		} else {
			err = e.zlib.(zlib.Resetter).Reset(r, nil)
		}
		e.Reader = e.zlib
		return err
	}
	if e.bare == nil {
		e.bare = flate.NewReader(r)
	} else {
		err = e.bare.(flate.Resetter).Reset(r, nil)
	}
	e.Reader = e.bare
	return err
}

type brotliEngine struct{ *brotli.Reader }

func (e *brotliEngine) reset(r *bufio.Reader) error {
	if e.Reader == nil {
		e.Reader = brotli.NewReader(r)
		return nil
	}
	e.Reader.Reset(r)
	return nil
}

// zstdWindow is the largest window HTTP allows for zstd (RFC 9659).
const zstdWindow = 8 << 20

type zstdEngine struct{ *zstd.Decoder }

func (e *zstdEngine) reset(r *bufio.Reader) (err error) {
	if e.Decoder == nil {
		// With a concurrency of one it decodes on the reader's goroutine and starts none.
		e.Decoder, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		return err
	}
	return e.Decoder.Reset(r)
}
