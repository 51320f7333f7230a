//go:build unix

package wire

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// What callers give for a connection. None of these is a socket of ours.
type (
	embedding struct{ net.Conn }
	enclosing struct{ under net.Conn } // embeds nothing
	revealing struct{ enclosing }      // and says what it encloses
	buffering struct {
		*net.TCPConn
		held *bufio.Reader
	}
	timeless struct{ net.Conn } // as a channel of SSH is
)

func (c enclosing) Read(p []byte) (int, error)         { return c.under.Read(p) }
func (c enclosing) Write(p []byte) (int, error)        { return c.under.Write(p) }
func (c enclosing) Close() error                       { return c.under.Close() }
func (c enclosing) LocalAddr() net.Addr                { return c.under.LocalAddr() }
func (c enclosing) RemoteAddr() net.Addr               { return c.under.RemoteAddr() }
func (c enclosing) SetDeadline(t time.Time) error      { return c.under.SetDeadline(t) }
func (c enclosing) SetReadDeadline(t time.Time) error  { return c.under.SetReadDeadline(t) }
func (c enclosing) SetWriteDeadline(t time.Time) error { return c.under.SetWriteDeadline(t) }
func (c revealing) NetConn() net.Conn                  { return c.under }
func (c *buffering) Read(p []byte) (int, error)        { return c.held.Read(p) }

var errTimeless = errors.New("deadlines are not supported")

func (timeless) SetDeadline(time.Time) error      { return errTimeless }
func (timeless) SetReadDeadline(time.Time) error  { return errTimeless }
func (timeless) SetWriteDeadline(time.Time) error { return errTimeless }

// wrappers make a foreign connection of one that was dialled.
var wrappers = map[string]func(net.Conn) net.Conn{
	"embedding a net.Conn":          func(c net.Conn) net.Conn { return embedding{c} },
	"embedding a socket":            func(c net.Conn) net.Conn { return &counting{TCPConn: c.(*net.TCPConn)} },
	"embedding one, with a buffer":  func(c net.Conn) net.Conn { return &buffering{c.(*net.TCPConn), bufio.NewReader(c)} },
	"enclosing a net.Conn":          func(c net.Conn) net.Conn { return enclosing{c} },
	"enclosing one, and telling so": func(c net.Conn) net.Conn { return revealing{enclosing{c}} },
	"a wrapper in a wrapper":        func(c net.Conn) net.Conn { return embedding{revealing{enclosing{c}}} },
}

// latecomers answers each request, and late after the second sends an answer that
// nobody asked for.
type latecomers struct {
	mu   sync.Mutex
	sent map[string]chan struct{} // by the client's address: closed once that is sent
}

func (l *latecomers) sentTo(client net.Addr) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent == nil {
		l.sent = map[string]chan struct{}{}
	}
	if l.sent[client.String()] == nil {
		l.sent[client.String()] = make(chan struct{})
	}
	return l.sent[client.String()]
}

func (l *latecomers) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for n := 1; takeRequest(r); n++ {
		io.WriteString(c, ok)
		if n == 2 {
			time.Sleep(30 * time.Millisecond)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			close(l.sentTo(c.RemoteAddr()))
		}
	}
}

// requireSeen expects that a connection to latecomers is not used a third time. A machine that holds
// up a probe has it prove nothing, and the connection is not used even a second time: then another is
// made.
func (l *latecomers) requireSeen(t *testing.T, connect func() *Conn) {
	t.Helper()
	c := connect()
	for tries := 0; !l.answered(t, c); c = connect() {
		tries++
		require.Less(t, tries, 10)
	}
	<-l.sentTo(c.socket.LocalAddr())
	time.Sleep(50 * time.Millisecond) // on its way
	resp, sent, err := c.Exchange(get("/"), never)
	require.ErrorIs(t, err, messages.ErrStale)
	require.Equal(t, messages.SentNo, sent)
	require.Nil(t, resp)
	require.False(t, c.Reusable())
}

// answered reports whether a connection was used twice.
func (l *latecomers) answered(t *testing.T, c *Conn) bool {
	t.Helper()
	for range 2 {
		if !c.Silent() {
			return false
		}
		resp, sent, err := c.Exchange(get("/"), never)
		if sent == messages.SentNo && errors.Is(err, messages.ErrStale) {
			return false
		}
		require.NoError(t, err)
		require.Equal(t, "ok", resp.Text())
		require.True(t, c.Reusable())
	}
	return true
}

func TestALateAnswerNeverBecomesTheNextOneWhateverTheConnectionIs(t *testing.T) {
	var late, sealedLate latecomers // a client's address may be the same at both
	plain := listen(t, late.serve)
	config, sealed := listenTLS(t, func(c *tls.Conn, _ *joiner) { sealedLate.serve(c) })
	for name, wrap := range wrappers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			late.requireSeen(t, func() *Conn { return foreign(t, plain.Addr, wrap) })
		})
		t.Run("TLS over "+name, func(t *testing.T) {
			t.Parallel()
			sealedLate.requireSeen(t, func() *Conn { return sealedOver(t, wrap(dialled(t, sealed.Addr)), config) })
		})
		t.Run("the caller's own TLS over "+name, func(t *testing.T) {
			t.Parallel()
			sealedLate.requireSeen(t, func() *Conn {
				own := tls.Client(wrap(dialled(t, sealed.Addr)), config)
				require.NoError(t, own.Handshake())
				c := over(own, Limits{})
				t.Cleanup(func() { c.Close() })
				return c
			})
		})
	}
}

func dialled(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	return c
}

func foreign(t *testing.T, addr string, wrap func(net.Conn) net.Conn) *Conn {
	t.Helper()
	c := over(wrap(dialled(t, addr)), Limits{})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestALateAnswerInAPipeIsSeenInNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go new(latecomers).serve(far)
		c := over(near, Limits{})
		begun := time.Now()
		for range 2 {
			exchange(t, c, get("/"))
		}
		require.Zero(t, time.Since(begun))
		time.Sleep(time.Second)
		requireStale(t, c)
		require.NoError(t, c.Close())
		far.Close()
	})
}

func TestAnEndIsSeenWhateverTheConnectionIs(t *testing.T) {
	more := make(chan string)
	o := listen(t, answering(ok, more))
	for _, wrap := range wrappers {
		c := foreign(t, o.Addr, wrap)
		exchange(t, c, get("/"))
		more <- ""
		require.Eventually(t, func() bool { return !c.Silent() }, 5*time.Second, time.Millisecond)
		requireStale(t, c)
	}
}

// What cannot be asked is not believed.
func TestAConnectionThatKeepsNoDeadlinesIsUsedOnce(t *testing.T) {
	o := listen(t, answering(ok, nil))
	c := foreign(t, o.Addr, func(c net.Conn) net.Conn { return timeless{c} })
	require.True(t, c.Silent())
	require.Equal(t, "ok", exchange(t, c, get("/")).Text())
	require.False(t, c.Reusable())
	requireStale(t, c)
}

// muteAboutBytes says what it has, until it is mute; and keeps deadlines until then.
type muteAboutBytes struct {
	net.Conn
	mute *atomic.Bool
}

func (c muteAboutBytes) Pending() (int, bool) { return 0, false }
func (c muteAboutBytes) Blind() bool          { return c.mute.Load() }

// muteAboutTime keeps deadlines until it is mute.
type muteAboutTime struct {
	under net.Conn
	timeless
	mute *atomic.Bool
}

func (c muteAboutTime) SetReadDeadline(t time.Time) error {
	if c.mute.Load() {
		return errTimeless
	}
	return c.under.SetReadDeadline(t)
}

func (c muteAboutTime) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// One exchange is let pass where nothing can be told, for nothing can have come before it. A
// second one is not.
func TestAConnectionThatTellsNothingAnyMoreIsNotUsedAgain(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn, *atomic.Bool) net.Conn{
		"it has Pending":    func(c net.Conn, mute *atomic.Bool) net.Conn { return muteAboutBytes{c, mute} },
		"it kept deadlines": func(c net.Conn, mute *atomic.Bool) net.Conn { return muteAboutTime{c, timeless{c}, mute} },
	} {
		t.Run(name, func(t *testing.T) {
			more := make(chan string, 1)
			o := listen(t, answering(ok, more))
			var mute atomic.Bool
			under := dialled(t, o.Addr)
			c := over(wrap(under, &mute), Limits{})
			t.Cleanup(func() { c.Close() })
			require.Equal(t, "ok", exchange(t, c, get("/")).Text())
			require.True(t, c.Reusable())
			more <- "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
			awaitReadable(t, NewConn(NewSocket(under), Limits{}))
			mute.Store(true)
			requireStale(t, c)
		})
		t.Run(name+", and lies idle", func(t *testing.T) {
			o := listen(t, answering(ok, nil))
			var mute atomic.Bool
			c := over(wrap(dialled(t, o.Addr), &mute), Limits{})
			t.Cleanup(func() { c.Close() })
			require.Equal(t, "ok", exchange(t, c, get("/")).Text())
			mute.Store(true)
			require.False(t, c.Silent())
			requireStale(t, c)
		})
	}
}

// An abort ends it nevertheless.
func TestAConnectionThatKeepsNoDeadlinesIsClosedToAbortIt(t *testing.T) {
	arrived := make(chan struct{})
	o := listen(t, func(c net.Conn) {
		takeRequest(bufio.NewReader(c))
		close(arrived)
		io.Copy(io.Discard, c)
	})
	c := foreign(t, o.Addr, func(c net.Conn) net.Conn { return timeless{c} })
	go func() { <-arrived; c.Abort() }()
	_, sent, err := c.Exchange(get("/"), never)
	require.ErrorIs(t, err, ErrAborted)
	require.Equal(t, messages.SentMaybe, sent)
}

// And so does a deadline.
func TestAConnectionThatKeepsNoDeadlinesIsClosedAtTheDeadline(t *testing.T) {
	o := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	c := foreign(t, o.Addr, func(c net.Conn) net.Conn { return timeless{c} })
	_, sent, err := c.Exchange(get("/"), time.Now().Add(20*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, messages.ErrPeerClosed)
	require.Equal(t, messages.SentMaybe, sent)

	o = listen(t, answering(ok, nil))
	c = foreign(t, o.Addr, func(c net.Conn) net.Conn { return timeless{c} })
	_, _, err = c.Exchange(get("/"), time.Now().Add(time.Minute))
	require.NoError(t, err)
}

// A deadline of the probe's own is not what the exchange waits with.
func TestAProbeLeavesTheDeadlineAsItWas(t *testing.T) {
	deadlines := []time.Time{never, time.Now().Add(time.Hour), never}
	o := listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for range deadlines {
			takeRequest(r)
			time.Sleep(20 * time.Millisecond) // longer than a probe reads
			io.WriteString(c, ok)
		}
		io.Copy(io.Discard, r) // the last one is not answered
	})
	late := func(wrap func(net.Conn) net.Conn, after time.Duration) error {
		c := foreign(t, o.Addr, wrap)
		for _, deadline := range deadlines {
			_, _, err := c.Exchange(get("/"), deadline)
			if err != nil || !c.Silent() {
				return cmp.Or(err, messages.ErrStale)
			}
		}
		_, _, err := c.Exchange(get("/"), time.Now().Add(after))
		return err
	}
	for _, wrap := range wrappers {
		after := 10 * time.Millisecond
		err := late(wrap, after)
		for ; errors.Is(err, messages.ErrStale) && after < time.Minute; err = late(wrap, after) {
			after *= 8 // a busy machine may have held up a probe, or let all of it pass before one
		}
		require.ErrorContains(t, err, "deadline")
		require.NotErrorIs(t, err, messages.ErrStale)
	}
}

// dawdling is a connection whose Read has something of its own to do first.
type dawdling struct {
	net.Conn
	first time.Duration
}

func (d dawdling) Read(p []byte) (int, error) {
	time.Sleep(d.first)
	return d.Conn.Read(p)
}

func TestALateAnswerIsSeenThoughTheConnectionTakesItsTimeToLook(t *testing.T) {
	for _, first := range []time.Duration{5 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond, 2 * time.Millisecond, 10 * time.Millisecond} {
		t.Run(first.String(), func(t *testing.T) {
			more := make(chan string, 1)
			o := listen(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", more))
			under, err := net.Dial("tcp", o.Addr)
			require.NoError(t, err)
			c := NewConn(NewSocket(struct{ net.Conn }{dawdling{under, first}}), Limits{})
			defer c.Close()
			require.Equal(t, "ok", exchange(t, c, get("/")).Text())
			direct := NewConn(NewSocket(under), Limits{})
			more <- "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"
			awaitReadable(t, direct)

			requireStale(t, c)
		})
	}
}
