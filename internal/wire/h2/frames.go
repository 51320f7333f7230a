package h2

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// framedConn lets a scan see what the peer sends. Its methods are called on
// goroutines of net/http's, where a panic would end the process, and the end of a
// goroutine leave others waiting.
type framedConn struct {
	net.Conn
	frames  *frameScan
	foreign bool // what lies under it is somebody else's code
}

// Read is part of net.Conn.
func (c *framedConn) Read(p []byte) (n int, err error) {
	if c.foreign {
		n, err = apart(c.Conn.Read, p)
	} else {
		n, err = c.Conn.Read(p)
	}
	c.frames.pass(p[:n]) // before net/http has seen them: settings count from here on
	c.failed(err)
	return n, err
}

// Write is part of net.Conn.
func (c *framedConn) Write(p []byte) (n int, err error) {
	if c.foreign {
		n, err = apart(c.Conn.Write, p)
	} else {
		n, err = c.Conn.Write(p)
	}
	c.failed(err)
	return n, err
}

func apart(f func([]byte) (int, error), p []byte) (n int, err error) {
	if panicked := wire.Apart(messages.Exchanging, func() { n, err = f(p) }); panicked != nil {
		return 0, panicked
	}
	return n, err
}

// Close is part of net.Conn.
func (c *framedConn) Close() (err error) {
	c.frames.leaving.Store(true)
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
	c.frames.leaving.Store(true)
	c.frames.end(err)
}

// frameScan follows the peer's HTTP/2 frames (RFC 9113, section 4.1) for what
// net/http does not tell: how many streams the peer allows, and whether it is
// going away. The goroutine that reads the connection feeds it and owns every
// field, but for those that say otherwise.
type frameScan struct {
	header  [9]byte
	filled  int    // bytes of the header seen
	left    int    // bytes of the payload to come
	payload []byte // of SETTINGS alone
	known   bool   // settled is closed

	streams atomic.Int32  // how many the peer allows; any goroutine reads it
	leaving atomic.Bool   // the peer said goodbye, or the connection is broken; set by whoever closes as well, read by any
	gone    atomic.Bool   // the peer closed or reset the connection; set by whoever meets that, read by any
	begun   time.Time     // never changed
	heard   atomic.Int64  // when something came last, since begun; any goroutine reads it
	settled chan struct{} // closed with the first settings; start waits for it

	ending sync.Once
	why    error         // set by end, and read when ended is closed
	ended  chan struct{} // closed when the connection has failed; start waits for it
}

func newFrameScan() *frameScan {
	f := &frameScan{begun: time.Now(), settled: make(chan struct{}), ended: make(chan struct{})}
	f.streams.Store(maxStreams)
	return f
}

const (
	frameSettings        = 4
	frameGoaway          = 7
	flagAck              = 1
	settingMaxConcurrent = 3
	maxSettingsPayload   = 16 << 10
	lengthOfSetting      = 6
)

// pass follows p.
func (f *frameScan) pass(p []byte) {
	if len(p) > 0 {
		f.heard.Store(int64(time.Since(f.begun)))
	}
	for len(p) > 0 {
		if f.filled < len(f.header) {
			n := copy(f.header[f.filled:], p)
			f.filled += n
			p = p[n:]
			if f.filled < len(f.header) {
				return
			}
			f.left = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
			f.payload = f.payload[:0]
		}
		// Also when p is empty by now: a frame without payload ends with its header.
		n := min(f.left, len(p))
		// What is over the cap is no frame that net/http would accept.
		if f.header[3] == frameSettings && len(f.payload)+n <= maxSettingsPayload {
			f.payload = append(f.payload, p[:n]...)
		}
		f.left -= n
		p = p[n:]
		if f.left == 0 {
			f.frame()
			f.filled = 0
		}
	}
}

// frame acts on a whole frame.
func (f *frameScan) frame() {
	switch {
	case f.header[3] == frameGoaway:
		f.leaving.Store(true) // whatever its last stream is: no new ones
	case f.header[3] == frameSettings && f.header[4]&flagAck == 0:
		for s := f.payload; len(s) >= lengthOfSetting; s = s[lengthOfSetting:] {
			if binary.BigEndian.Uint16(s) == settingMaxConcurrent {
				f.streams.Store(int32(min(binary.BigEndian.Uint32(s[2:]), maxStreams)))
			}
		}
		if !f.known { // the peer may send settings again, and a channel is closed once
			f.known = true
			close(f.settled)
		}
	}
}

// end tells whoever waits for settings why there will be none.
func (f *frameScan) end(why error) {
	f.ending.Do(func() {
		f.why = why
		close(f.ended)
	})
}

// silence is how long nothing has come.
func (f *frameScan) silence() time.Duration {
	return time.Since(f.begun) - time.Duration(f.heard.Load())
}

func (f *frameScan) limit() int { return int(f.streams.Load()) }

func (f *frameScan) leaves() bool { return f.leaving.Load() }
