package h2

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// sieve lets those frames of the peer's through to net/http that it has something
// to do with. It writes a line to the standard logger, which is the whole process's,
// for each of the others:
//
//	of a kind it does not know, or PRIORITY       left out (RFC 9113, section 5.5)
//	anything before SETTINGS                      ends the connection
//	DATA of a stream that was never begun         ends the connection
//	DATA before the header of an answer           ends the exchange
//	DATA behind the end, or in answer to a HEAD   has no effect, but for the end
//
// And it keeps from it what it does not stand: a stream's window that overflows has
// it wait for itself, and everybody on the connection with it, for ever.
//
// And it adds a setting that changes nothing to those that the peer sends, for otherwise
// net/http does not look at whoever waits in it for a stream when they allow more.
//
// Bytes that count for the connection's flow control go through all the same, as
// those of a stream that never was, which net/http takes for one that is over.
type sieve struct {
	header [frameHeader]byte // of the frame that passes, once it is complete
	now    header            // the same, read
	emit   int               // bytes of it that are still to be handed on
	inside bool              // a frame is passing
	left   int               // bytes of its payload to come
	drop   bool              // it is left out

	endOf    uint32 // whose end is to be told behind this frame; 0 if none's
	settings []byte // the payload of SETTINGS
	adds     bool   // a setting is added behind it
	known    bool   // settled is closed

	block   uint32 // whose header block is not complete; 0 if none
	packed  int    // bytes of that block
	doubt   uint32 // whose header may be final or interim: net/http reads it first; 0 if none
	interim bool   // net/http says that it was interim

	idle   int           // frames that carried nothing, one behind the other
	idleAt time.Duration // when the first of them came, since the connection began
}

const (
	settingMaxConcurrent = 3
	settingInitialWindow = 4
	lengthOfSetting      = 6
	lengthOfWord         = 4
	// maxFrame is how long a frame may be: this side asks for no more.
	maxFrame = 16 << 10
	// nobody is the id of a stream that never was, below those that were.
	nobody = 2
	// maxIdle is how many frames that carry nothing may come within idleFor, and
	// nothing else in between. Whoever sends more keeps this side busy.
	maxIdle = 10_000
	idleFor = time.Minute
)

// errFrames is the error of a connection whose peer does not keep to HTTP/2.
func errFrames(what string) error {
	return fmt.Errorf("%w: HTTP/2: %s", messages.ErrMalformedResponse, what)
}

var (
	errNoSettings = errFrames("no SETTINGS at first")
	errUnasked    = errFrames("a frame of a stream that was never begun")
	errHeadless   = errFrames("DATA before the header of an answer")
	errFlood      = errFrames("too many frames that carry nothing")
	errFrameSize  = errFrames("a frame is longer or shorter than it may be")
	errPromise    = errFrames("a promise of a push that nobody wants")
	errWindow     = errFrames("a window over 2^31-1")
	errBlock      = fmt.Errorf("%w: HTTP/2: of one answer on this connection", messages.ErrHeaderTooLarge)
)

// sift moves what net/http may see from in to p, and returns how much that is and
// what is left of in.
func (f *frameScan) sift(p, in []byte) (n int, rest []byte, err error) {
	s := &f.sieve
	for n < len(p) {
		switch {
		case s.emit > 0:
			k := copy(p[n:], s.header[frameHeader-s.emit:])
			s.emit -= k
			n += k
		case s.left > 0:
			if len(in) == 0 {
				return n, in, nil
			}
			k := s.pass(p[n:], in)
			in = in[k:]
			if !s.drop {
				n += k
			}
		case s.inside && s.adds:
			f.addSetting()
		case s.inside:
			if n > 0 && s.matters() {
				return n, in, nil // net/http has acted on the frame when it asks for more
			}
			s.inside = false
			if err := f.complete(); err != nil {
				return n, nil, err
			}
		case len(in) < frameHeader, len(in) < frameHeader+lookahead(in):
			return n, in, nil
		default:
			copy(s.header[:], in)
			in = in[frameHeader:]
			if err := f.judge(in); err != nil {
				return n, nil, err
			}
		}
	}
	return n, in, nil
}

// matters reports whether something waits for what net/http makes of the frame that
// has passed: whether a header was final, and that the first settings count.
func (s *sieve) matters() bool {
	return s.doubt != 0 && s.block == 0 || !s.known && s.now.kind == frameSettings
}

// lookahead is how much of a frame's payload must be there when it is judged.
func lookahead(frame []byte) int {
	switch h := readHeader(frame); {
	case h.length == lengthOfWord && (h.kind == frameWindowUpdate || h.kind == frameRSTStream):
		return lengthOfWord
	case h.kind == frameData && h.flags&flagPadded != 0 && h.length > 0:
		return 1
	}
	return 0
}

// pass moves a part of the payload, and returns how much of in that was.
func (s *sieve) pass(p, in []byte) int {
	n := min(len(in), s.left)
	if !s.drop {
		n = copy(p, in[:n])
	}
	if s.now.kind == frameSettings {
		s.settings = append(s.settings, in[:n]...)
	}
	s.left -= n
	return n
}

// judge looks at the header of a frame; payload is what has come of its payload.
func (f *frameScan) judge(payload []byte) error {
	s := &f.sieve
	s.now = readHeader(s.header[:])
	h := s.now
	s.inside, s.drop, s.left, s.emit, s.adds = true, false, h.length, frameHeader, false
	s.settings = s.settings[:0]
	switch {
	case !s.known && (h.kind != frameSettings || h.flags&flagAck != 0):
		return errNoSettings
	case h.length > maxFrame, h.length < h.least():
		return errFrameSize
	case s.block != 0:
		return f.judgeBlock(h)
	}
	switch h.kind {
	case frameHeaders:
		return f.judgeHeaders(h, payload)
	case frameData:
		return f.judgeData(h, payload)
	case frameRSTStream:
		if !f.open.reset(h.stream) {
			return errUnasked
		}
		if h.length == lengthOfWord && binary.BigEndian.Uint32(payload) == codeProtocolError {
			f.leave() // net/http begins no further stream
		}
	case framePromise:
		return errPromise
	case frameWindowUpdate:
		f.judgeUpdate(h, payload)
	case frameSettings:
		s.announceSetting()
	case framePriority:
		s.leaveOut()
	default:
		if h.kind > frameContinuation {
			s.leaveOut()
		}
	}
	return f.carriesNothing()
}

// judgeBlock looks at what comes before a header block is complete: anything but a
// CONTINUATION of it does not belong there, and net/http says so.
func (f *frameScan) judgeBlock(h header) error {
	s := &f.sieve
	if h.kind != frameContinuation {
		return nil
	}
	if h.flags&flagEndHeaders != 0 {
		s.block = 0
	}
	// Nobody packs lines into more than they are.
	if s.packed += h.length; s.packed > f.open.headerCap {
		return errBlock
	}
	if h.length == 0 {
		return f.carriesNothing()
	}
	return nil
}

// judgeUpdate counts a stream's window as net/http does.
func (f *frameScan) judgeUpdate(h header, payload []byte) {
	if h.stream == 0 || h.length != lengthOfWord {
		return
	}
	by := binary.BigEndian.Uint32(payload) &^ (1 << 31)
	o := &f.open
	o.mu.Lock()
	defer o.mu.Unlock()
	stream := o.find(h.stream)
	if stream == nil { // it is over, and net/http may not know yet
		f.sieve.leaveOut()
		return
	}
	if stream.window += int64(by); stream.window > maxWindow {
		stream.fail(errWindow)
		f.sieve.leaveOut()
	}
}

// announceSetting has SETTINGS be one setting longer than the peer's. Nobody waits before the first.
func (s *sieve) announceSetting() {
	longer := s.now.length + lengthOfSetting
	if !s.known || s.now.flags&flagAck != 0 || longer > maxFrame {
		return
	}
	s.adds = true
	s.header[0], s.header[1], s.header[2] = byte(longer>>16), byte(longer>>8), byte(longer)
}

// addSetting says once more how large the window of a stream is at first: it is what net/http wakes
// all for who wait in it.
func (f *frameScan) addSetting() {
	s := &f.sieve
	s.adds, s.emit = false, lengthOfSetting
	added := s.header[frameHeader-lengthOfSetting:]
	binary.BigEndian.PutUint16(added, settingInitialWindow)
	binary.BigEndian.PutUint32(added[2:], f.windowBehind(s.settings))
}

// windowBehind is the first window of a stream once settings hold.
func (f *frameScan) windowBehind(settings []byte) uint32 {
	window := uint32(f.open.firstWindow())
	for s := settings; len(s) >= lengthOfSetting; s = s[lengthOfSetting:] {
		if binary.BigEndian.Uint16(s) == settingInitialWindow {
			window = binary.BigEndian.Uint32(s[2:])
		}
	}
	return window
}

func (s *sieve) leaveOut() { s.drop, s.emit = true, 0 }

// carriesNothing counts a frame that moves no exchange on.
func (f *frameScan) carriesNothing() error {
	s := &f.sieve
	now := time.Duration(f.heard.Load())
	if f.worked.Swap(false) || s.idle == 0 || now-s.idleAt > idleFor {
		s.idle, s.idleAt = 0, now
	}
	if s.idle++; s.idle > maxIdle {
		return errFlood
	}
	return nil
}

func (f *frameScan) judgeHeaders(h header, payload []byte) error {
	o := &f.open
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.wasBegun(h.stream) {
		return errUnasked
	}
	s := &f.sieve
	if h.flags&flagEndHeaders == 0 {
		s.block, s.packed = h.stream, h.length
	}
	stream := o.find(h.stream)
	if stream == nil { // it is over, but its lines belong to what the next ones are packed with
		return f.carriesNothing()
	}
	s.idle = 0
	ends := h.flags&flagEndStream != 0
	if ends && !stream.head {
		o.endByHead(stream)
	}
	switch {
	case stream.head: // a trailer
	case isFinal(h, payload):
		stream.head = true
	default:
		s.doubt, s.interim = h.stream, false
	}
	if ends {
		stream.there = true
		o.removeIfEnded(stream)
	}
	return nil
}

// isFinal reports whether a header is seen at once to be that of a final answer: its
// first line is one of those statuses that HPACK has a number for (RFC 7541,
// appendix A).
func isFinal(h header, payload []byte) bool {
	const ok, serverError = 0x80 | 8, 0x80 | 14
	return h.flags&(flagPadded|flagPriority) == 0 && h.length > 0 && len(payload) > 0 &&
		ok <= payload[0] && payload[0] <= serverError
}

func (f *frameScan) judgeData(h header, payload []byte) error {
	o := &f.open
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.wasBegun(h.stream) {
		return errUnasked
	}
	s, ends := &f.sieve, h.flags&flagEndStream != 0
	stream := o.find(h.stream)
	switch {
	case stream == nil, stream.there:
		s.sendToNobody()
	case !stream.head:
		stream.fail(errHeadless)
		s.sendToNobody()
	case stream.bodiless && h.length > 0: // HTTP/1.1 takes such an answer as well
		s.sendToNobody()
		if ends {
			stream.there = true
			o.removeIfEnded(stream)
			s.endOf = h.stream
		}
	case ends:
		stream.there = true
		o.removeIfEnded(stream)
	}
	empty := h.length == 0 || h.flags&flagPadded != 0 && h.length == 1+int(payload[0])
	if empty && !ends {
		return f.carriesNothing()
	}
	if stream != nil {
		s.idle = 0
	}
	return nil
}

// tellEnd lets net/http see the end of a stream, whose last DATA it did not see.
func (s *sieve) tellEnd() {
	s.header = [frameHeader]byte{3: frameData, 4: flagEndStream}
	binary.BigEndian.PutUint32(s.header[5:], s.endOf)
	s.endOf, s.emit, s.inside = 0, frameHeader, true
}

func (s *sieve) sendToNobody() { binary.BigEndian.PutUint32(s.header[5:], nobody) }

// complete acts on a whole frame.
func (f *frameScan) complete() error {
	s := &f.sieve
	if s.doubt != 0 && s.block == 0 {
		if !s.interim {
			f.open.final(s.doubt)
		}
		s.doubt = 0
	}
	if s.endOf != 0 {
		s.tellEnd()
		return nil
	}
	switch s.now.kind {
	case frameGoaway:
		f.leave() // whatever its last stream is: no new ones
	case frameSettings:
		if s.now.flags&flagAck == 0 {
			return f.settle()
		}
	}
	return nil
}

func (f *frameScan) settle() error {
	for s := f.sieve.settings; len(s) >= lengthOfSetting; s = s[lengthOfSetting:] {
		value := binary.BigEndian.Uint32(s[2:])
		switch binary.BigEndian.Uint16(s) {
		case settingMaxConcurrent:
			f.bound.set(int(min(value, maxStreams)))
		case settingInitialWindow:
			if !f.open.setWindow(int64(value)) {
				return errWindow
			}
		}
	}
	if !f.sieve.known { // the peer may send settings again, and a channel is closed once
		f.sieve.known = true
		close(f.settled)
	}
	return nil
}

// tellInterim is called by net/http for an interim answer, on the goroutine that
// reads.
func (f *frameScan) tellInterim(size int) error {
	f.sieve.interim = true
	return f.open.tellInterim(f.sieve.doubt, size)
}
