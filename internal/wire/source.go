package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// readBuffer is what an idle connection keeps for reading. A head that does not
// fit gets a larger buffer for the length of its exchange.
const readBuffer = 4 << 10

// source feeds the buffered reader of a Conn. Its first read of an exchange
// writes the request.
type source struct {
	socket *Socket

	asking bool   // the request is still to be written
	prefix []byte // read already, and to be read once more from here
	err    error  // the last error of the connection
	reads  int    // of the connection in the running exchange
	fast   bool   // the last of these brought all that it had room for

	upload *upload                // of a request body that is read while it is sent; nil otherwise
	trace  *httptrace.ClientTrace // nil tells nobody
}

func (r *source) begin(u *upload, trace *httptrace.ClientTrace) {
	r.asking, r.err, r.reads, r.upload, r.trace = true, nil, 0, u, trace
}

const (
	// recordWait is how long the rest of a TLS record is waited for that has begun to
	// come when a request is about to leave: the tickets behind a handshake come
	// about then. recordTries is how often.
	recordWait  = time.Millisecond
	recordTries = 20
)

// ask sends the request and reads the first bytes of its answer.
func (r *source) ask(p []byte) (n int, err error) {
	for range recordTries {
		if n, err = r.askOnce(p); err != messages.ErrStale || !r.socket.midRecord() {
			return n, err
		}
		time.Sleep(recordWait)
	}
	return n, err
}

func (r *source) askOnce(p []byte) (int, error) {
	if r.upload == nil && r.trace == nil {
		return r.socket.converse(p, r)
	}
	return r.socket.converseInSteps(p, r)
}

// Read implements io.Reader.
func (r *source) Read(p []byte) (n int, err error) {
	switch {
	case len(r.prefix) > 0:
		n = copy(p, r.prefix)
		r.prefix = r.prefix[n:]
		return n, nil
	case r.asking:
		r.reads++
		r.asking = false // before the write: whatever comes of it, there is no second one
		n, err = r.ask(p)
	default:
		r.reads++
		n, err = r.socket.read(p)
	}
	r.fast = n == len(p)
	if err != nil {
		r.err = err // bufio.Reader gives an error once and forgets it
	}
	return n, err
}

// sent is told when the head of a request was written, and its body unless that
// is an upload, or the socket did not take all: then the rest becomes one.
func (r *source) sent() {
	if left := r.socket.takeBacklog(); !left.isEmpty() {
		r.upload = newBacklog(r.socket, left, r.trace)
	}
	r.wroteFields()
	if r.trace != nil && r.trace.WroteHeaders != nil {
		r.trace.WroteHeaders()
	}
	if r.upload == nil {
		wrote(r.trace, nil)
	}
	r.upload.headSent() // the methods of an upload may be called on nil
}

// wroteFields tells of every field of the head that was written, once for lines of
// one name behind another, but not of a proxy's credentials, which are none of the
// request's.
func (r *source) wroteFields() {
	if r.trace == nil || r.trace.WroteHeaderField == nil {
		return
	}
	// The first empty line ends the head: what is behind it is the body.
	head, _, _ := bytes.Cut(r.socket.out, []byte("\r\n\r\n"))
	_, lines, _ := strings.Cut(string(head), "\r\n")
	var name string
	var values []string
	tell := func() {
		if len(values) > 0 && name != proxyAuthorization {
			r.trace.WroteHeaderField(name, values)
		}
	}
	for line := range strings.SplitSeq(lines, "\r\n") {
		next, value, _ := strings.Cut(line, ": ")
		if next != name {
			tell()
			name, values = next, nil // the hook's own from now on
		}
		values = append(values, value)
	}
	tell()
}

func wrote(trace *httptrace.ClientTrace, err error) {
	if trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
}

func (r *source) answered() {
	if r.trace != nil && r.trace.GotFirstResponseByte != nil {
		r.trace.GotFirstResponseByte()
	}
}

// interim tells of a 1xx head.
func (r *source) interim(status int, header messages.Header) error {
	if r.trace == nil {
		return nil
	}
	if status == http.StatusContinue && r.trace.Got100Continue != nil {
		r.trace.Got100Continue()
	}
	if r.trace.Got1xxResponse != nil {
		return r.trace.Got1xxResponse(status, textproto.MIMEHeader(header.HTTP()))
	}
	return nil
}

// widen returns a reader with room for size bytes that goes on where r stands.
func (r *source) widen(narrow *bufio.Reader, size int) (*bufio.Reader, error) {
	// What narrow has read goes back to where it came from, and is read once more.
	r.prefix = make([]byte, narrow.Buffered())
	if _, err := io.ReadFull(narrow, r.prefix); err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(r, size), nil
}

// wideBuffer is what a body is read through that comes fast and in small portions.
const wideBuffer = 64 << 10

// wideReaders are lent by fit. What idles is let go by the collector.
var wideReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, wideBuffer) }}

// fit chooses the reader for the next n bytes of a body. Portions that are smaller
// than what comes at once go through a wide buffer, or each costs system calls of
// its own; whoever waits for a server, behind a read that found less than it had room
// for, holds no more than the narrow one.
func (c *Conn) fit(n int64) {
	// With an error behind it, a reader may have one that it has not told.
	if c.reader.Buffered() > 0 || len(c.source.prefix) > 0 || c.source.err != nil {
		return
	}
	switch fast := c.source.fast; {
	case c.reader == c.narrow && fast && n < wideBuffer/4:
		c.reader = wideReaders.Get().(*bufio.Reader)
		c.reader.Reset(&c.source)
	case c.reader != c.narrow && !fast:
		c.narrowDown()
	}
}

// narrowDown returns to the narrow reader, which has nothing left. What a wide one
// has left is lost.
func (c *Conn) narrowDown() {
	wide := c.reader
	c.reader, c.source.prefix = c.narrow, nil
	if wide.Size() == wideBuffer { // any other was made for one large head
		wide.Reset(nil)
		wideReaders.Put(wide)
	}
}
