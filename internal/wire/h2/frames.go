package h2

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// framedConn stands between net/http and the connection: what the peer sends goes
// through a sieve, and what is sent is followed. Its methods are called on
// goroutines of net/http's, where a panic would end the process, and the end of a
// goroutine leave others waiting.
type framedConn struct {
	net.Conn
	frames  *frameScan
	foreign bool // what lies under it is somebody else's code

	// The next three belong to the goroutine that reads.
	buffer [readBuffer]byte
	unread []byte // of buffer: come, and not yet through the sieve
	err    error  // of the connection; told when unread is used up
}

// readBuffer is as much as a TLS record holds.
const readBuffer = 16 << 10

// Read is part of net.Conn.
func (c *framedConn) Read(p []byte) (n int, err error) {
	for {
		n, c.unread, err = c.frames.sift(p, c.unread)
		if n > 0 || err != nil || len(p) == 0 {
			c.failed(err)
			return n, err
		}
		if c.err != nil {
			return 0, c.err
		}
		c.fill()
	}
}

// fill reads behind what is unread, which is less than is needed to judge a frame.
func (c *framedConn) fill() {
	kept := copy(c.buffer[:], c.unread)
	n, err := c.read(c.buffer[kept:])
	c.unread = c.buffer[:kept+n]
	if n > 0 {
		c.frames.hear()
	}
	if err != nil {
		c.failed(err)
		c.err = err
	}
}

func (c *framedConn) read(p []byte) (int, error) {
	if c.foreign {
		return apart(c.Conn.Read, p)
	}
	return c.Conn.Read(p)
}

// Write is part of net.Conn. It is kept small: net/http calls it on a goroutine that is new for
// each request, and whose stack has to be copied into a larger one, for a seventh of what a request
// costs, if the frame of this is some fifty bytes larger.
func (c *framedConn) Write(p []byte) (int, error) {
	c.frames.beginWrite(p) // before the peer can answer
	if c.foreign {
		return c.writeApart(p)
	}
	n, err := c.Conn.Write(p) // of crypto/tls and our own socket, which do not panic
	c.endWrite(err)
	return n, err
}

//go:noinline
func (c *framedConn) writeApart(p []byte) (int, error) {
	n, err := apart(c.Conn.Write, p)
	c.endWrite(err)
	return n, err
}

//go:noinline
func (f *frameScan) beginWrite(p []byte) {
	f.writing.Add(1)
	f.follow(p)
}

//go:noinline
func (c *framedConn) endWrite(err error) {
	c.frames.writing.Add(1)
	c.failed(err)
}

func apart(f func([]byte) (int, error), p []byte) (n int, err error) {
	if panicked := wire.Apart(messages.Exchanging, func() { n, err = f(p) }); panicked != nil {
		return 0, panicked
	}
	return n, err
}

// Close is part of net.Conn.
func (c *framedConn) Close() (err error) {
	c.frames.leave()
	if panicked := wire.Apart(messages.Exchanging, func() { err = c.Conn.Close() }); panicked != nil {
		return panicked
	}
	return err
}

// failed takes note of an error before net/http has seen it, so that no place is
// given on the connection any more.
func (c *framedConn) failed(err error) {
	if err == nil {
		return
	}
	if wire.IsPeerClosed(err) {
		c.frames.gone.Store(true)
	}
	c.frames.leave()
	c.frames.end(err)
}

// frameScan is what is known of a connection by the frames that pass in both
// directions (RFC 9113, section 4.1), and net/http does not tell: how many streams
// the peer allows, and whether it is going away.
type frameScan struct {
	sieve    sieve    // belongs to the goroutine that reads the connection
	follower follower // belongs to whoever writes it
	open     openStreams
	bound    streamBound
	worked   atomic.Bool // a part of a request was sent; set by whoever writes, taken back by who reads

	writing atomic.Int64 // twice the writes so far, and one more while one is under way; set by whoever writes, read by any

	leaving atomic.Bool  // the peer said goodbye, or the connection is broken; set by whoever closes as well, read by any
	gone    atomic.Bool  // the peer closed or reset the connection; set by whoever meets that, read by any
	begun   time.Time    // never changed
	heard   atomic.Int64 // when something came last, since begun; any goroutine reads it

	// doubt is one more than heard was when an exchange that was given up had heard nothing, and
	// doubted when that was; zero is none. See conn.isInDoubt. Owners of places set them, any
	// goroutine reads them.
	doubt, doubted atomic.Int64

	settled chan struct{} // closed with the first settings; start waits for it
	ending  sync.Once
	why     error         // set by end, and read when ended is closed
	ended   chan struct{} // closed when the connection has failed; start waits for it
}

func newFrameScan(headerCap int) *frameScan {
	f := &frameScan{begun: time.Now(), settled: make(chan struct{}), ended: make(chan struct{})}
	f.open.headerCap, f.open.window = headerCap, firstWindow
	f.follower.left = len(preface)
	f.bound.set(maxStreams)
	return f
}

// preface is what a client sends before its first frame.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// end tells whoever waits for settings why there will be none.
func (f *frameScan) end(why error) {
	f.ending.Do(func() {
		f.why = why
		close(f.ended)
	})
}

// leave takes note that no stream is to be begun any more.
func (f *frameScan) leave() {
	f.leaving.Store(true)
	f.bound.wake() // who waits for a stream waits in vain
}

func (f *frameScan) hear() {
	// Later than the last time, though a clock may stand still: it tells whether something came.
	f.heard.Store(max(int64(time.Since(f.begun)), f.heard.Load()+1))
	if f.doubt.Load() != 0 && f.doubt.Swap(0) != 0 {
		f.bound.wake() // who waits for a word
	}
}

// silence is how long nothing has come.
func (f *frameScan) silence() time.Duration {
	return time.Since(f.begun) - time.Duration(f.heard.Load())
}

func (f *frameScan) limit() int { return f.bound.get() }

func (f *frameScan) leaves() bool { return f.leaving.Load() }
