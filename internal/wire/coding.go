package wire

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"sync"

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
	errCoding   = malformed("invalid content coding")
	errInflated = fmt.Errorf("%w: decompression ratio", messages.ErrBodyTooLarge)
)

// contentCoding notes a Content-Encoding line.
func (h *head) contentCoding(value []byte) {
	if len(value) == 0 || foldEqual(value, "identity") {
		return
	}
	coding := otherCoding
	for name, known := range codings {
		if foldEqual(value, name) {
			coding = known
		}
	}
	if h.coding != 0 {
		coding = otherCoding
	}
	h.coding = coding
}

// decoder undoes the content coding of a payload. It bounds how much a byte of
// the payload may become: a few kilobytes must not turn into gigabytes.
type decoder struct {
	payload codedBody
	buffer  *bufio.Reader // of the payload
	engine  engine
	limits  *Limits
	home    *sync.Pool // nil if it stays with its connection
	given   int64      // bytes decoded
	err     error
}

// codedBody is a body in its content coding.
type codedBody interface {
	io.Reader
	// progress is how many bytes were read, and why there are no more.
	progress() (taken int64, err error)
}

func (b *payload) progress() (int64, error) { return b.taken, b.err }

// engine is the decompressor itself.
type engine interface {
	io.Reader
	reset(*bufio.Reader) error
}

// decoder returns what undoes the response's content coding. The header then
// tells of the body as it will be. It returns nil if there is no coding, or none
// that this call asked for: what the server chose by itself is handed over as it
// came, with its header.
func (c *Conn) decoder(h *head, call *messages.Call, resp *messages.Response) (*decoder, error) {
	if h.coding&call.Codings == 0 {
		return nil, nil
	}
	c.payload.begin(h)
	d, err := newDecoder(h.coding, &c.payload, &c.limits, &c.zstd)
	if err != nil {
		return nil, err
	}
	resp.Header = resp.Header.Without("Content-Encoding", "Content-Length")
	resp.Uncompressed = true
	return d, nil
}

// newDecoder lends a decoder. That for zstd is kept at zstd.
func newDecoder(coding messages.Codings, body codedBody, limits *Limits, zstd **decoder) (*decoder, error) {
	d := lentDecoder(coding, zstd)
	d.payload, d.limits, d.given, d.err = body, limits, 0, nil
	d.buffer.Reset(body)
	if err := d.engine.reset(d.buffer); err != nil {
		err = d.explain(err)
		d.release()
		return nil, err
	}
	return d, nil
}

// release gives the decoder back; it must not be read after that.
func (d *decoder) release() {
	d.payload, d.limits = nil, nil
	d.buffer.Reset(nil)
	if d.home != nil {
		d.home.Put(d)
	}
}

// lentDecoder returns a decoder that is nobody else's. That for zstd stays with
// the connection: it has channels, which must not leave the bubble of a test
// with fake time.
func lentDecoder(coding messages.Codings, kept **decoder) *decoder {
	if coding != messages.Zstd {
		return decoders[coding].Get().(*decoder)
	}
	if *kept == nil {
		*kept = &decoder{engine: new(zstdEngine), buffer: bufio.NewReader(nil)}
	}
	return *kept
}

// Read is part of io.Reader.
func (d *decoder) Read(p []byte) (n int, err error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err = d.engine.Read(p)
	d.given += int64(n)
	taken, _ := d.payload.progress()
	switch {
	case d.given > believed && d.given/int64(d.limits.Ratio) > taken:
		d.err = errInflated
	case err == io.EOF:
		d.err = d.end()
	case err != nil:
		d.err = d.explain(err)
	}
	return n, d.err
}

// end makes sure that the payload ends where its coding does.
func (d *decoder) end() error {
	if _, err := d.buffer.ReadByte(); err != io.EOF {
		return d.explain(errCoding)
	}
	return io.EOF
}

// explain tells a broken connection from a broken coding.
func (d *decoder) explain(error) error {
	if _, err := d.payload.progress(); err != nil && err != io.EOF {
		return err
	}
	return errCoding
}

// decoders are recycled: each has some 40 KB of tables.
var decoders = map[messages.Codings]*sync.Pool{
	messages.Gzip:    decoderPool(func() engine { return new(gzipEngine) }),
	messages.Deflate: decoderPool(func() engine { return new(deflateEngine) }),
	messages.Brotli:  decoderPool(func() engine { return new(brotliEngine) }),
}

func decoderPool(build func() engine) *sync.Pool {
	home := new(sync.Pool)
	home.New = func() any { return &decoder{engine: build(), buffer: bufio.NewReader(nil), home: home} }
	return home
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
		e.Decoder, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		return err
	}
	return e.Decoder.Reset(r)
}
