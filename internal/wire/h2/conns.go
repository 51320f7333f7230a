package h2

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Open opens a socket to an origin, sealed and with the handshake done, in which
// h2 and http/1.1 were offered. It calls leaves once it waits for nobody but the origin, or
// what is on the way there.
type Open func(ctx context.Context, leaves func()) (*wire.Socket, error)

// Available reports whether net/http speaks HTTP/2 in this program: with
// GODEBUG=http2client=0, which a test may set at any time, and when it was built
// without, it does not, and what would be offered could not be kept.
func Available() bool {
	asked := &http.Transport{ForceAttemptHTTP2: true}
	asked.Clone() // which has it set up, as a first request would
	return asked.TLSNextProto["h2"] != nil
}

// Conns shares an origin's HTTP/2 connections: what it dials is a place on one
// of them. A connection is opened when no other has room. It is safe for
// concurrent use.
type Conns struct {
	addr   string // host and port of the origin
	limits wire.Limits
	open   Open
	gate   chan struct{} // held while a connection is opened, see enter; capacity 1
	empty  func()        // see WhenEmpty; set before the first dial
	maxAge time.Duration // see RetireAfter; likewise

	mu    sync.Mutex
	conns []*conn // guarded by mu: those with a place taken, or that linger, in the order they were opened
	ended bool    // guarded by mu: none lingers any more
	http1 bool    // guarded by mu: the origin chose HTTP/1.1 the last time
}

// conn is one HTTP/2 connection. It is closed with the last of its places.
//
// If what ended in that place was an exchange alone, aborted or late, the
// connection is as good as before, and lingers: whoever asked is about to ask
// again. Not when it has been silent for deadAfter; then it may be dead.
type conn struct {
	shared *Conns
	client *http.ClientConn // set by start, before anybody else has the conn
	frames *frameScan
	sealed *tls.Conn
	tls    *tls.ConnectionState
	since  time.Time // when it was opened
	turn   wire.Turn // of whoever has a stream reserved and its header not written; see Stream.takeTurn

	// guarded by shared.mu
	places int         // taken
	linger *time.Timer // until it is closed; nil while a place is taken
	hasty  bool        // it does not linger: what is idle was to be closed, and no place was taken since
	stuck  int64       // the number of a write (frameScan.writing) that lasted for the whole of an exchange; guarded by shared.mu
}

const (
	// maxStreams bounds the streams of a connection whose peer names no bound.
	maxStreams = 1000
	// headerRoom is how often the cap on a header goes into what net/http bounds it
	// with, and ends the whole connection at: what has come within the cap is not more
	// than that, unless a few lines are meant again and again.
	headerRoom = 8
	// pingAfter is how long a connection is silent before it is asked whether
	// it is alive, and how long it may take to answer.
	pingAfter = 15 * time.Second
	// silentFor is how long nothing has come when an exchange that was given up without a word
	// has the connection be in doubt: longer than a round trip to anywhere.
	silentFor = 500 * time.Millisecond
	// wordWithin is how long after that a dial waits for a word, instead of opening another.
	wordWithin = 250 * time.Millisecond
	// besideAfter is how long a connection may take to be opened before another is beside it: longer
	// than a round trip and a handshake to anywhere that one trades with.
	besideAfter = 250 * time.Millisecond
	// lingerFor is how long a connection lingers.
	lingerFor = time.Second
	// deadAfter is how long a peer may be silent that is believed to be there. A ping
	// would tell, but net/http sends one of its own accord only.
	deadAfter = 5 * time.Second
)

// NewConns returns the connections, none as yet, to the origin at addr. Its
// responses have the caps of limits.
func NewConns(addr string, limits wire.Limits, open Open) *Conns {
	return &Conns{addr: addr, limits: limits.WithDefaults(), open: open, gate: make(chan struct{}, 1)}
}

// WhenEmpty has f called whenever the last connection is gone. It is called before
// the first Dial.
func (c *Conns) WhenEmpty(f func()) { c.empty = f }

// RetireAfter has no place taken on a connection of about that age: one that is
// never without a place would last for ever. Zero means that it may. It is called
// before the first Dial.
func (c *Conns) RetireAfter(age time.Duration) { c.maxAge = age }

// retired reports whether a connection is too old, by a tenth less: who takes a
// place is to have some use of it.
func (c *Conns) retired(one *conn) bool {
	return c.maxAge > 0 && time.Since(one.since) >= c.maxAge-c.maxAge/10
}

// Empty reports whether there are no connections.
func (c *Conns) Empty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns) == 0
}

// Close closes the connections that linger; the others are closed with their last
// place, as ever, and none lingers any more.
func (c *Conns) Close() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.CloseLingering()
}

// CloseLingering closes the connections that linger now, and has no other linger that
// nobody takes a place on from now on.
func (c *Conns) CloseLingering() { closeAll(c.unlinger(true)) }

// Yield closes the connections that linger now, for one that is about to be opened and has their
// place: nobody counts them. It returns when they are closed, or may not be waited for any longer.
func (c *Conns) Yield(ctx context.Context) {
	unused := c.unlinger(false)
	if len(unused) == 0 {
		return
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closeAll(unused)
	}()
	patience := time.NewTimer(lingerFor) // a peer that does not read may keep the last word from leaving
	defer patience.Stop()
	select {
	case <-closed:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// unlinger takes the connections that linger out of the list, for who closes them. Of the others hasty
// says that they are not to linger either.
func (c *Conns) unlinger(hasty bool) (unused []*conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.conns {
		one.hasty = one.hasty || hasty
		if one.linger != nil {
			one.linger.Stop()
			one.linger = nil
			unused = append(unused, one)
		}
	}
	for _, one := range unused {
		one.drop()
	}
	return unused
}

func closeAll(unused []*conn) {
	for _, one := range unused {
		_ = one.close() // nobody is left to hear of it
	}
}

// Dial returns a *Stream, or a *wire.Conn if the origin chose HTTP/1.1.
func (c *Conns) Dial(ctx context.Context) (protocol.Connection, error) {
	if s := c.join(); s != nil {
		return s, nil
	}
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if s := c.join(); s != nil { // somebody opened one meanwhile
		return s, nil
	}
	if s := c.joinAfterWord(ctx); s != nil {
		return s, nil
	}
	c.Yield(ctx) // what lingers has no room: its bound has fallen, or it is too old
	var late *time.Timer
	socket, err := c.open(ctx, func() { late = time.AfterFunc(besideAfter, leave) })
	if late != nil {
		defer late.Stop()
	}
	if err != nil {
		return nil, err
	}
	if c.choseHTTP1(socket) {
		return wire.NewConn(socket, c.limits), nil
	}
	kept := false
	defer func() {
		if !kept { // not only after an error: a hook may panic
			_ = socket.Close() // a second time, perhaps: net/http closes only what it has taken on
		}
	}()
	opened, err := c.start(ctx, socket)
	if err != nil {
		return nil, err
	}
	kept = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, opened)
	opened.places++
	return newStream(opened), nil
}

// enter passes the gate: connections are opened one at a time, so that a crowd of first requests
// shares one. One that takes long lets another be opened beside it: of several backends one may hang.
// And those of an origin that speaks HTTP/1.1 are not shared.
func (c *Conns) enter(ctx context.Context) (leave func(), err error) {
	if c.speaksHTTP1() {
		return func() {}, nil
	}
	select {
	case c.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	leave = sync.OnceFunc(func() { <-c.gate })
	if c.speaksHTTP1() { // which has shown meanwhile
		leave()
	}
	return leave, nil
}

func (c *Conns) speaksHTTP1() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.http1
}

// choseHTTP1 reports which protocol the origin chose for a connection, and takes note of it.
func (c *Conns) choseHTTP1(socket *wire.Socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.http1 = socket.Sealed().ConnectionState().NegotiatedProtocol != "h2"
	return c.http1
}

// join takes a place on a connection with room; it returns nil if there is none.
func (c *Conns) join() *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.conns {
		if c.hasRoom(one) {
			one.places++
			one.hasty = false
			if one.linger != nil {
				one.linger.Stop() // if it is too late for that, expire sees that it is nil
				one.linger = nil
			}
			s := newStream(one)
			s.shared = true
			return s
		}
	}
	return nil
}

// hasRoom reports whether a place may be taken on a connection. The bound may have fallen below what
// is taken: the peer may change it. And a stream may count whose place was given back. It requires
// that mu is held.
func (c *Conns) hasRoom(one *conn) bool {
	return !one.frames.leaves() && !one.isStuck() && !one.isInDoubt() && one.places < one.frames.limit() && one.mayBegin() && !c.retired(one)
}

// hasRoomBeside reports whether another connection than one has room.
func (c *Conns) hasRoomBeside(one *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.conns, func(other *conn) bool { return other != one && c.hasRoom(other) })
}

// joinAfterWord is join for when a connection has just come in doubt: its peer may be about to answer.
func (c *Conns) joinAfterWord(ctx context.Context) *Stream {
	c.mu.Lock()
	at := slices.IndexFunc(c.conns, (*conn).isInDoubt)
	if at < 0 { // the word may have come since the last look
		c.mu.Unlock()
		return c.join()
	}
	f := c.conns[at].frames
	c.mu.Unlock()
	left := wordWithin - (time.Since(f.begun) - time.Duration(f.doubted.Load()))
	if left <= 0 {
		return nil
	}
	patience := time.NewTimer(left)
	defer patience.Stop()
	changed := f.bound.change()
	if f.doubt.Load() == f.heard.Load()+1 {
		select {
		case <-changed:
		case <-patience.C:
		case <-ctx.Done():
		}
	}
	return c.join()
}

// start speaks HTTP/2 over a socket, and waits for the peer's settings: before
// them nobody knows how many streams it allows.
func (c *Conns) start(ctx context.Context, socket *wire.Socket) (*conn, error) {
	state := socket.Sealed().ConnectionState()
	opened := &conn{shared: c, since: time.Now(), sealed: socket.Sealed(), tls: &state, turn: wire.NewTurn(), frames: newFrameScan(c.limits.Header)}
	socket.Share() // from here on goroutines of net/http's read and write it
	dial := func(context.Context, string, string) (net.Conn, error) {
		return &framedConn{Conn: opened.sealed, frames: opened.frames, foreign: socket.Foreign()}, nil
	}
	transport := &http.Transport{
		DialContext:            dial,
		Protocols:              new(http.Protocols),
		DisableCompression:     true, // what is coded is decoded here, under the same caps as in HTTP/1.1
		MaxResponseHeaderBytes: headerRoom * int64(c.limits.Header),
		ExpectContinueTimeout:  wire.ContinueWait,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter, MaxReadFrameSize: maxFrame},
	}
	// The transport is told that the connection is plain, though it is not: it would
	// take nothing but a *tls.Conn otherwise, and only a framedConn sees what the
	// peer says.
	transport.Protocols.SetUnencryptedHTTP2(true)
	// net/http writes its first frames at once, whatever ctx says: they may find no room on the way.
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() }) // a second time, perhaps
	client, err := transport.NewClientConn(ctx, "http", c.addr)
	if err == nil {
		opened.client = client
		select {
		case <-opened.frames.settled:
		case <-opened.frames.ended:
			err = opened.frames.why
		case <-ctx.Done():
		}
	}
	if !stop() {
		err = ctx.Err() // whatever that has met with
	}
	if err == nil {
		return opened, nil
	}
	if client != nil {
		client.Close() // its error would say no more than that
	}
	return nil, err
}

// close is called by whoever took the connection from the list.
func (c *conn) close() error {
	err := c.client.Close() // outside the lock: TLS says goodbye, which may wait
	if c.shared.empty != nil && c.shared.Empty() {
		c.shared.empty()
	}
	return err
}

// leave gives a place back; spoiled says that an exchange in it has ended badly, and behind is the
// frameScan.writing of its beginning. It
// reports whether the place was the last, with which the connection is nobody's any
// more, and whoever gave it back closes it.
func (c *conn) leave(spoiled bool, behind int64) (last bool) {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	// Not one that has begun later: that may be what tells the peer of the exchange's end.
	if write := c.frames.writing.Load(); spoiled && write%2 == 1 && write <= behind+1 {
		c.stuck = write
	}
	c.places--
	if c.places > 0 {
		return false
	}
	if spoiled && !c.isStuck() && !c.hasty && !c.shared.ended && !c.shared.retired(c) && !c.frames.leaves() && c.frames.silence() < deadAfter {
		c.linger = time.AfterFunc(lingerFor, c.expire)
		return false
	}
	c.drop()
	return true
}

// isStuck reports whether a write is still under way that has lasted for the whole of an exchange
// which ended badly: whoever came next would wait behind it. It requires that shared.mu is held.
func (c *conn) isStuck() bool { return c.stuck != 0 && c.frames.writing.Load() == c.stuck }

// giveUpOn takes note of an exchange that was given up, and when something had come last when it
// began.
func (c *conn) giveUpOn(heard int64) {
	if c.frames.heard.Load() == heard && c.frames.silence() >= silentFor {
		c.frames.doubted.Store(int64(time.Since(c.frames.begun)))
		c.frames.doubt.Store(heard + 1)
	}
}

// isInDoubt reports whether nothing has come since an exchange began that was given up: another
// would perhaps wait in vain as well. A peer that is there answers the PING behind its reset.
func (c *conn) isInDoubt() bool {
	doubt := c.frames.doubt.Load()
	return doubt != 0 && doubt == c.frames.heard.Load()+1
}

// drop requires that shared.mu is held.
func (c *conn) drop() {
	c.shared.conns = slices.DeleteFunc(c.shared.conns, func(other *conn) bool { return other == c })
}

// expire closes a connection that nobody has come back to.
func (c *conn) expire() {
	c.shared.mu.Lock()
	unused := c.linger != nil
	if unused {
		c.linger = nil
		c.drop()
	}
	c.shared.mu.Unlock()
	if unused {
		_ = c.close() // nobody is left to hear of it
	}
}
