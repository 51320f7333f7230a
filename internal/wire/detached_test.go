//go:build unix

package wire

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// lying says that it keeps deadlines, and does not.
type lying struct {
	net.Conn
	// stuck are the methods that do not return before release is closed.
	stuck   atomic.Value
	release chan struct{}
}

func (c *lying) SetDeadline(time.Time) error      { return nil }
func (c *lying) SetReadDeadline(time.Time) error  { return nil }
func (c *lying) SetWriteDeadline(time.Time) error { return nil }

func (c *lying) wait(method string) {
	if stuck, _ := c.stuck.Load().(string); strings.Contains(stuck, method) {
		<-c.release
	}
}

func (c *lying) Read(p []byte) (int, error)  { c.wait("Read"); return c.Conn.Read(p) }
func (c *lying) Write(p []byte) (int, error) { c.wait("Write"); return c.Conn.Write(p) }
func (c *lying) Close() error                { c.wait("Close"); return c.Conn.Close() }

// newLying returns a connection to addr; what is stuck is so until the test ends.
func newLying(t *testing.T, addr, stuck string) *lying {
	c := &lying{Conn: dialled(t, addr), release: make(chan struct{})}
	c.stuck.Store(stuck)
	t.Cleanup(func() {
		close(c.release)
		c.Conn.Close()
	})
	return c
}

// deaf reads requests and answers none.
func deaf(c net.Conn) { io.Copy(io.Discard, c) }

func TestAnExchangeEndsAtItsDeadlineWhateverTheConnectionDoes(t *testing.T) {
	plain := listen(t, deaf)
	config, sealed := listenTLS(t, func(c *tls.Conn, _ *joiner) { deaf(c) })
	for _, stuck := range []string{"", "Close", "Read", "Write", "Read, Write, Close"} {
		for name, call := range map[string]*messages.Call{
			"GET": get("/"), "POST": post(strings.Repeat("x", 1<<20)), "upload": uploading(strings.NewReader("abc"), 3),
		} {
			c := over(newLying(t, plain.Addr, stuck), Limits{})
			requireInTime(t, c, call, stuck+" "+name)
		}
		under := newLying(t, sealed.Addr, "") // of which a handshake leaves half a record, perhaps
		s := NewSocket(under)
		s.Seal(tls.Client(s, config), config)
		require.NoError(t, s.Sealed().Handshake())
		under.stuck.Store(stuck)
		requireInTime(t, NewConn(s, Limits{}), get("/"), "TLS "+stuck)
	}
}

func requireInTime(t *testing.T, c *Conn, call *messages.Call, name string) {
	t.Helper()
	begun := time.Now()
	_, sent, err := c.Exchange(call, begun.Add(250*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded, name)
	require.NotErrorIs(t, err, messages.ErrPeerClosed, name)
	require.Equal(t, messages.SentMaybe, sent, name)
	require.False(t, c.Reusable(), name)
	_ = c.Close()
	require.Less(t, time.Since(begun), 2*time.Second, name)
}

func TestAnAbortEndsAnExchangeWhateverTheConnectionDoes(t *testing.T) {
	o := listen(t, deaf)
	for _, stuck := range []string{"", "Read, Write, Close"} {
		c := over(newLying(t, o.Addr, stuck), Limits{})
		time.AfterFunc(250*time.Millisecond, c.Abort)
		_, _, err := c.Exchange(get("/"), never)
		require.ErrorIs(t, err, ErrAborted)
		_ = c.Close()
	}
}

func TestAStreamEndsAtItsDeadlineWhateverTheConnectionDoes(t *testing.T) {
	o := listen(t, func(c net.Conn) {
		takeRequest(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal")
		io.Copy(io.Discard, c)
	})
	c := over(newLying(t, o.Addr, "Close"), Limits{})
	resp, _, err := c.Exchange(streaming(get("/")), time.Now().Add(300*time.Millisecond))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Stream)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, "hal", string(body))
	require.NoError(t, resp.Stream.Close())
	_ = c.Close()
}

// A look at it that does not come back is no proof of silence. What that look
// reads in the end is a part of the answer all the same.
func TestAConnectionThatLiesAboutDeadlinesIsUsedOnce(t *testing.T) {
	o := listen(t, answering(ok, nil))
	c := over(newLying(t, o.Addr, ""), Limits{})
	require.True(t, c.Silent())
	require.Equal(t, "ok", exchange(t, c, get("/")).Text())
	require.False(t, c.Reusable())
	requireStale(t, c)
	require.NoError(t, c.Close())
}

func TestWhatALyingConnectionSaysFirstIsNoAnswer(t *testing.T) {
	o := listen(t, func(c net.Conn) {
		io.WriteString(c, ok)
		io.Copy(io.Discard, c)
	})
	c := over(newLying(t, o.Addr, ""), Limits{})
	time.Sleep(20 * time.Millisecond)
	requireStale(t, c)
	require.NoError(t, c.Close())
}

// Nobody is told of a write that it has written nothing if that is not known.
func TestWhatAProbeMakesOfSilenceLateIsNothingToARead(t *testing.T) {
	for _, late := range []error{messages.ErrStale, os.ErrDeadlineExceeded} {
		near, far := net.Pipe()
		c := Detached(enclosing{near}).(*detached)
		c.reads.running, c.reads.looking = true, true // and nobody waits for it any more
		c.reads.done <- transfer{err: late}
		go far.Write([]byte("x"))
		n, err := c.Read(make([]byte, 1))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.NoError(t, c.Close())
		require.NoError(t, far.Close())
	}
}

func TestAWriteThatDoesNotReturnCountsForAByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := Detached(&lying{Conn: near})
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := c.Write([]byte("abc"))
		require.Equal(t, 1, n)
		require.ErrorIs(t, err, errNotReturned)
		require.NoError(t, c.SetWriteDeadline(time.Time{}))
		n, err = c.Write([]byte("abc"))
		require.Zero(t, n, "nothing overtakes it")
		require.Error(t, err)
		require.NoError(t, c.Close())
		far.Close()
	})
}

// closing writes all there is, and then says of it what its field does.
type closing struct {
	net.Conn
	says  func(n int) (int, error)
	quiet atomic.Bool // not yet
}

func (c *closing) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil || c.quiet.Load() {
		return n, err
	}
	return c.says(n)
}

// rude is an error that cannot be asked.
type rude struct{}

func (rude) Error() string { return "rude" }
func (rude) Is(error) bool { panic("rude") }

// nothings are what a Write may say that proves nothing of what it has written.
var nothings = map[string]func(n int) (int, error){
	"a panic":                       func(int) (int, error) { panic("behind the Write") },
	"a panic that means closed":     func(int) (int, error) { panic(net.ErrClosed) },
	"the end of its goroutine":      func(int) (int, error) { runtime.Goexit(); return 0, nil },
	"more than it was given":        func(n int) (int, error) { return n + 7, nil },
	"less than nothing":             func(int) (int, error) { return -1, nil },
	"closed, and less than nothing": func(int) (int, error) { return -1, net.ErrClosed },
	"nothing":                       func(int) (int, error) { return 0, nil },
	"nothing, and an end":           func(int) (int, error) { return 0, io.EOF },
	"nothing, and an error":         func(int) (int, error) { return 0, errors.New("odd") },
	"nothing, and a timeout":        func(int) (int, error) { return 0, &net.OpError{Op: "write", Err: os.ErrDeadlineExceeded} },
	"nothing, and a rude error":     func(int) (int, error) { return 0, rude{} },
	"nothing, and a panic's error":  func(int) (int, error) { return 0, &messages.PanicError{Value: net.ErrClosed} },
}

func TestAWriteThatDoesNotSayWhatItHasWrittenCountsForAByteAndIsTheLast(t *testing.T) {
	for name, says := range nothings {
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		c := Detached(&closing{Conn: near, says: says})
		n, err := c.Write([]byte("abc"))
		require.Equal(t, 1, n, name)
		require.Error(t, err, name)
		n, again := c.Write([]byte("abc"))
		require.Zero(t, n, name)
		require.Equal(t, err, again, name)
		require.NoError(t, c.Close())
		far.Close()
	}
}

// This is what lets a request be repeated that met an idle connection's end.
func TestAWriteToAConnectionThatIsClosedHasWrittenNothing(t *testing.T) {
	for _, closed := range []error{
		net.ErrClosed, io.ErrClosedPipe, syscall.EPIPE, syscall.ECONNRESET,
		&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.ECONNRESET)}, fmt.Errorf("wrapped: %w", net.ErrClosed),
	} {
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		c := over(&closing{Conn: near, says: func(int) (int, error) { return 0, closed }}, Limits{})
		_, sent, err := c.Exchange(get("/"), never)
		require.ErrorIs(t, err, closed)
		require.Equal(t, messages.SentNo, sent, "%v", closed)
		require.NoError(t, c.Close())
		far.Close()
	}
}

func TestARequestMayHaveBeenSentWhateverAConnectionSaysOfItsWrite(t *testing.T) {
	hangUp := func(c net.Conn) { takeRequest(bufio.NewReader(c)) }
	plain := listen(t, hangUp)
	config, sealed := listenTLS(t, func(c *tls.Conn, _ *joiner) { hangUp(c) })
	for name, says := range nothings {
		bare := over(&closing{Conn: dialled(t, plain.Addr), says: says}, Limits{})
		requireInDoubt(t, bare, name)

		under := &closing{Conn: dialled(t, sealed.Addr), says: says}
		under.quiet.Store(true)
		s := NewSocket(under)
		s.Seal(tls.Client(s, config), config)
		require.NoError(t, s.Sealed().Handshake())
		under.quiet.Store(false)
		requireInDoubt(t, NewConn(s, Limits{}), "TLS upon one that says "+name)

		under = &closing{Conn: dialled(t, sealed.Addr), says: says}
		under.quiet.Store(true)
		own := tls.Client(under, config)
		require.NoError(t, own.Handshake())
		under.quiet.Store(false)
		requireInDoubt(t, over(own, Limits{}), "the caller's own TLS upon one that says "+name)
	}
}

func requireInDoubt(t *testing.T, c *Conn, name string) {
	t.Helper()
	_, sent, err := c.Exchange(post("an order"), time.Now().Add(10*time.Second))
	require.Error(t, err, name)
	require.Equal(t, messages.SentMaybe, sent, name)
	require.False(t, c.Reusable(), name)
	_ = c.Close()
}

// The code of the caller's that TLS calls may be called between two records.
func TestARequestMayHaveBeenSentIfTheCallersOwnTLSDoesNotReturn(t *testing.T) {
	for does, harm := range harms {
		came := make(chan struct{}, 1)
		config, o := listenTLS(t, func(c *tls.Conn, _ *joiner) {
			if n, _ := c.Read(make([]byte, 1)); n > 0 {
				came <- struct{}{}
			}
		})
		var left atomic.Int32
		left.Store(1 << 20)
		config = config.Clone()
		config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		config.Rand = readerFunc(func(p []byte) (int, error) {
			if left.Add(-1) < 0 {
				harm()
			}
			return rand.Read(p)
		})
		sealed := tls.Client(dialled(t, o.Addr), config)
		require.NoError(t, sealed.Handshake())
		left.Store(1) // each record asks for some
		c := over(sealed, Limits{})
		out := exchangeApart(c, post(strings.Repeat("x", foreignBody)))
		<-came
		if out.survived {
			require.Equal(t, messages.SentMaybe, out.sent, does)
		}
		require.False(t, c.Reusable())
		_ = c.Close()
	}
}

func TestADeadlineThatIsMovedIsTheOneThatCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := Detached(&lying{Conn: near})
		for _, at := range []time.Duration{time.Second, -time.Second, 3 * time.Second, time.Millisecond} {
			begun := time.Now()
			require.NoError(t, c.SetReadDeadline(begun.Add(time.Hour)))
			time.AfterFunc(time.Millisecond/2, func() { c.SetDeadline(begun.Add(at)) })
			_, err := c.Read(make([]byte, 9))
			require.ErrorIs(t, err, errNotReturned)
			require.Equal(t, max(at, time.Millisecond/2)+interruptGrace, time.Since(begun))
			_, err = c.Read(make([]byte, 9))
			require.Error(t, err, "it has passed")
		}
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		go far.Write([]byte("abc"))
		p := make([]byte, 2)
		n, err := c.Read(p)
		require.NoError(t, err)
		require.Equal(t, "ab", string(p[:n]), "the read that nobody waited for")
		n, err = c.Read(p)
		require.NoError(t, err)
		require.Equal(t, "c", string(p[:n]))
		go c.Close()
		_, err = c.Read(p)
		require.ErrorIs(t, err, net.ErrClosed)
		far.Close()
	})
}

func TestConnectionsOfKnownTypesAreUsedAsTheyAre(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	o := listen(t, answering(ok, nil))
	tcp := dialled(t, o.Addr)
	defer tcp.Close()
	for _, c := range []net.Conn{near, tcp, tls.Client(tcp, &tls.Config{})} {
		require.True(t, c == Detached(c), "%T", c)
	}
	for _, c := range []net.Conn{embedding{tcp}, &counting{TCPConn: tcp.(*net.TCPConn)}, tls.Client(embedding{tcp}, &tls.Config{})} {
		d := Detached(c)
		require.IsType(t, new(detached), d, "%T", c)
		require.True(t, d == Detached(d))
	}
}

// What is left of a handshake is read to its end, or the first request would be
// refused.
func TestTLSOverWhatKeepsNoDeadlinesCarriesOneExchange(t *testing.T) {
	config, o := listenTLS(t, answeringTLS(ok, nil))
	for _, under := range []net.Conn{newLying(t, o.Addr, ""), timeless{dialled(t, o.Addr)}} {
		s := NewSocket(under)
		s.Seal(tls.Client(s, config), config)
		require.NoError(t, s.Sealed().Handshake())
		c := NewConn(s, Limits{})
		require.True(t, c.Silent())
		require.Equal(t, "ok", exchange(t, c, get("/")).Text(), "%T", under)
		require.False(t, c.Reusable())
		require.NoError(t, c.Close())
	}
}
