package h2

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/sluice-engine/sluice/messages"
)

// openStreams are the streams that this side has begun and that neither side has
// reset, nor both have ended. Whoever writes the connection adds to them and takes
// from them; so does the goroutine that reads it; owners of places let go of them.
type openStreams struct {
	headerCap int // bytes of interim answers to one request; never changed

	mu        sync.Mutex
	ids       []uint32      // guarded by mu, in order: those of all
	all       []*openStream // guarded by mu
	spare     []*openStream // guarded by mu: empty, for those to come
	last      uint32        // guarded by mu: the id begun last
	window    int64         // guarded by mu: of a stream that begins, in bytes that may be sent
	unclaimed uint32        // guarded by mu: the stream whose header is being written; see claim
	headOnly  uint32        // guarded by mu: the last one that the header of its answer ended before the claim
}

// openStream is one of them.
type openStream struct {
	id       uint32
	place    *Stream // whose exchange it carries; nil before the claim, and when that is over
	bodiless bool    // the request is a HEAD
	head     bool    // the final header of the answer has come
	here     bool    // this side has ended it
	there    bool    // the peer has
	interim  int     // bytes of interim answers
	window   int64   // bytes that may be sent still; never less than net/http believes
	broken   error   // what the peer did wrong, until there is a place to tell
}

// find requires that mu is held. What it returns holds until the next change.
func (o *openStreams) find(id uint32) *openStream {
	at, found := slices.BinarySearch(o.ids, id)
	if !found {
		return nil
	}
	return o.all[at]
}

// remove requires that mu is held.
func (o *openStreams) remove(id uint32) {
	at, found := slices.BinarySearch(o.ids, id)
	if !found {
		return
	}
	s := o.all[at]
	o.ids, o.all = slices.Delete(o.ids, at, at+1), slices.Delete(o.all, at, at+1)
	if s.place != nil {
		s.place.carried.Store(false)
	}
	*s = openStream{}
	o.spare = append(o.spare, s)
}

// begin adds a stream that is new, which may have no more than its header; a second
// header of one is its trailer.
func (o *openStreams) begin(id uint32, bodiless, whole bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if id > o.last {
		o.last, o.unclaimed = id, id
		s := o.fresh()
		s.id, s.bodiless, s.window = id, bodiless, o.window
		o.ids, o.all = append(o.ids, id), append(o.all, s)
	}
	if whole {
		o.endHere(id)
	}
}

// fresh requires that mu is held.
func (o *openStreams) fresh() *openStream {
	last := len(o.spare) - 1
	if last < 0 {
		return &openStream{}
	}
	s := o.spare[last]
	o.spare = o.spare[:last]
	return s
}

// claim says whose stream the one is that was begun last. The hook behind the
// writing of a header calls it, and nobody begins another before; an owner whose
// answer was faster calls it himself, and the hook then finds nothing to claim, which
// it reports by false.
func (o *openStreams) claim(place *Stream) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unclaimed == 0 {
		return false
	}
	place.streamID, place.headOnly = o.unclaimed, o.unclaimed == o.headOnly
	place.touched.Store(true)
	o.unclaimed = 0
	if s := o.find(place.streamID); s != nil {
		s.place = place
		place.carried.Store(true)
		if s.broken != nil {
			place.fail(s.broken)
		}
	}
	return true
}

// writing reports whether a header is being written, whosever it is.
func (o *openStreams) writing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.unclaimed != 0
}

// lastID is that of the last stream of a connection: ids are of 31 bits, and net/http
// begins none with the last of them.
const lastID = 1<<31 - 1<<16 - 1

// maxWindow is the largest there may be, and firstWindow what it is before SETTINGS.
const (
	maxWindow   = 1<<31 - 1
	firstWindow = 1<<16 - 1
)

// firstWindow is the window of a stream that begins now.
func (o *openStreams) firstWindow() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.window
}

// setWindow changes the window of every stream, and reports whether none is too
// large by that.
func (o *openStreams) setWindow(to int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	by, fits := to-o.window, to <= maxWindow
	o.window = to
	for _, s := range o.all {
		s.window += by
		fits = fits && s.window <= maxWindow
	}
	return fits
}

// use takes what is sent from a stream's window, and whether that was the last of it.
func (o *openStreams) use(id uint32, n int, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.find(id); s != nil {
		s.window -= int64(n)
	}
	if last {
		o.endHere(id)
	}
}

// endHere takes note that this side has ended a stream. It requires that mu is held.
func (o *openStreams) endHere(id uint32) {
	if s := o.find(id); s != nil {
		s.here = true
		o.removeIfEnded(s)
	}
}

// removeIfEnded requires that mu is held.
func (o *openStreams) removeIfEnded(s *openStream) {
	if s.here && s.there {
		o.remove(s.id)
	}
}

// fail ends the exchange that a stream carries. It requires that mu is held.
func (s *openStream) fail(why error) {
	if s.place != nil {
		s.place.fail(why)
	} else {
		s.broken = why
	}
}

// reset takes a stream out that either side has reset, and reports whether it was
// ever begun.
func (o *openStreams) reset(id uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remove(id)
	return o.wasBegun(id)
}

// wasBegun requires that mu is held.
func (o *openStreams) wasBegun(id uint32) bool { return id%2 == 1 && id <= o.last }

// letGo has nothing that the peer still says about an exchange that is over reach
// the place, which goes on to the next. Mostly the stream is over as well.
func (o *openStreams) letGo(place *Stream) {
	if !place.carried.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	place.carried.Store(false)
	if s := o.find(place.streamID); s != nil && s.place == place {
		s.place = nil
	}
}

// isHere reports whether the peer has ended the stream of a place: all of its answer has come.
func (o *openStreams) isHere(place *Stream) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.find(place.streamID)
	return s == nil || s.there
}

// endByHead takes note that the header of a stream's answer is the end of it. It requires that mu
// is held.
func (o *openStreams) endByHead(s *openStream) {
	if s.place != nil {
		s.place.headOnly = true
	} else {
		o.headOnly = s.id
	}
}

// endedByHead reports whether the header of a place's answer was the end of its stream.
func (o *openStreams) endedByHead(place *Stream) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return place.headOnly
}

// final takes note that the final header of an answer has come.
func (o *openStreams) final(id uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.find(id); s != nil {
		s.head = true
	}
}

// tellInterim counts an interim answer: net/http leaves it to whoever listens to
// bound what there is to hear.
func (o *openStreams) tellInterim(id uint32, size int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.find(id)
	if s == nil {
		return nil
	}
	if s.interim += size; s.interim > o.headerCap {
		return messages.ErrHeaderTooLarge
	}
	return nil
}

// follower sees what this side writes, for the streams that it begins and ends.
// It belongs to whoever writes, of whom net/http lets in one at a time.
type follower struct {
	header [frameHeader]byte
	filled int // bytes of the header seen
	left   int // bytes of the payload to come

	bodiless bool // the next header is that of a HEAD; set by the hook that sees its lines
}

// follow is called with what is about to be written.
func (f *frameScan) follow(p []byte) {
	s := &f.follower
	for len(p) > 0 {
		if s.left > 0 {
			n := min(s.left, len(p))
			s.left -= n
			p = p[n:]
			continue
		}
		n := copy(s.header[s.filled:], p)
		s.filled += n
		p = p[n:]
		if s.filled == frameHeader {
			s.filled = 0
			h := readHeader(s.header[:])
			s.left = h.length
			f.writes(h)
		}
	}
}

func (f *frameScan) writes(h header) {
	switch h.kind {
	case frameHeaders:
		f.open.begin(h.stream, f.follower.bodiless, h.flags&flagEndStream != 0)
		f.follower.bodiless = false
		if h.stream >= lastID {
			f.leave()
		}
	case frameRSTStream:
		f.open.reset(h.stream)
		return
	case frameData:
		f.open.use(h.stream, h.length, h.flags&flagEndStream != 0)
	default:
		return
	}
	f.worked.Store(true)
}

// frameHeader is how long the header of a frame is.
const frameHeader = 9

// header is that of a frame.
type header struct {
	length      int
	kind, flags byte
	stream      uint32
}

func readHeader(b []byte) header {
	return header{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]), kind: b[3], flags: b[4],
		stream: binary.BigEndian.Uint32(b[5:]) &^ (1 << 31), // the highest bit is reserved
	}
}

// least is how long the payload must be at least for what its flags announce.
func (h header) least() (n int) {
	if h.kind != frameData && h.kind != frameHeaders {
		return 0
	}
	if h.flags&flagPadded != 0 {
		n = 1
	}
	if h.kind == frameHeaders && h.flags&flagPriority != 0 {
		n += 5
	}
	return n
}

const (
	frameData         = 0
	frameHeaders      = 1
	framePriority     = 2
	frameRSTStream    = 3
	frameSettings     = 4
	framePromise      = 5
	framePing         = 6
	frameGoaway       = 7
	frameWindowUpdate = 8
	frameContinuation = 9 // the last that net/http knows

	flagAck        = 1
	flagEndStream  = 1
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 0x20
)
