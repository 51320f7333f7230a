package wire

import (
	"errors"
	"io"
	"net"
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

// severed fails every Write but the first ones, as a tunnel does whose way out has gone; its Read
// goes on waiting.
type severed struct {
	net.Conn
	whole atomic.Int32 // of the writes to come
	says  error
}

func (c *severed) Write(p []byte) (int, error) {
	if c.whole.Add(-1) < 0 {
		return 0, c.says
	}
	return c.Conn.Write(p)
}

func newSevered(t *testing.T, says error) (c *severed, far net.Conn) {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	c = &severed{Conn: near, says: says}
	c.whole.Store(1)
	return c, far
}

func TestABodyThatCannotBeWrittenIsNotWaitedFor(t *testing.T) {
	for _, says := range []error{syscall.EPIPE, net.ErrClosed, errors.New("no route out of the tunnel")} {
		for name, call := range map[string]*messages.Call{
			"in memory": post(strings.Repeat("x", 1<<20)), "read": uploading(strings.NewReader("abc"), 3), "read in chunks": uploading(strings.NewReader("abc"), -1),
		} {
			synctest.Test(t, func(t *testing.T) {
				conn, far := newSevered(t, says)
				go deaf(far)
				c, began := over(conn, Limits{}), time.Now()
				_, sent, err := c.Exchange(call, time.Time{})
				require.ErrorIs(t, err, says, name)
				require.NotErrorIs(t, err, ErrDeadline, name)
				require.NotEqual(t, messages.SentNo, sent)
				require.Less(t, time.Since(began), lastWait+100*time.Millisecond, name)
				c.Close()
			})
		}
	}
}

func TestAnAnswerToABodyThatCouldNotBeWrittenHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, far := newSevered(t, syscall.EPIPE)
		go func() {
			go deaf(far)
			time.Sleep(lastWait / 2)
			io.WriteString(far, "HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\n")
			time.Sleep(5 * lastWait)
			io.WriteString(far, "no")
		}()
		c := over(conn, Limits{})
		resp, _, err := c.Exchange(post(strings.Repeat("x", 1<<20)), time.Time{})
		require.NoError(t, err)
		require.Equal(t, 413, resp.StatusCode)
		require.Equal(t, "no", string(resp.Body))
		c.Close()
	})
}

// empty has nothing to say, and says so at once.
type empty struct {
	net.Conn
	reads atomic.Int64
}

func (c *empty) Read([]byte) (int, error) { c.reads.Add(1); return 0, nil }

func TestAConnectionThatReadsNothingAndSaysNothingIsNotAskedForEver(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	conn := &empty{Conn: near}
	c := Detached(conn)
	for range 3 {
		var err error
		for err == nil {
			_, err = c.Read(make([]byte, 8)) // as crypto/tls does
		}
		require.ErrorIs(t, err, io.ErrNoProgress)
	}
	require.Less(t, conn.reads.Load(), int64(2*mostEmpty))
	require.NoError(t, c.Close())
}

// telling has the methods by which a connection says something of itself.
type telling struct {
	net.Conn
	pending, closeWrite func()
}

func (c *telling) Pending() (int, bool) { c.pending(); return 0, false }
func (c *telling) CloseWrite() error    { c.closeWrite(); return nil }

func TestWhatAConnectionSaysOfItselfNeedNotReturn(t *testing.T) {
	for name, harm := range map[string]func(){
		"hangs": nil, "exits": runtime.Goexit, "panics": func() { panic("odd") },
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			gate := make(chan struct{})
			harm := harm
			if name == "hangs" {
				harm = func() { <-gate }
			}
			c := over(&telling{Conn: near, pending: harm, closeWrite: harm}, Limits{})
			go answering(ok, nil)(far)
			began := time.Now()
			_, _, err := c.Exchange(get("/"), time.Now().Add(time.Second))
			if name != "hangs" {
				require.Error(t, err, name)
			}
			require.LessOrEqual(t, time.Since(began), time.Second, name)
			d := c.socket.detached
			require.NoError(t, d.SetWriteDeadline(time.Now().Add(time.Second)))
			require.Error(t, d.closeWrite(&telling{closeWrite: harm}), name)
			require.LessOrEqual(t, time.Since(began), 2*time.Second, name)
			c.Close()
			far.Close()
			close(gate)
		})
	}
}

func TestALineThatTheBodysFramingNeedsIsSentOnce(t *testing.T) {
	call := uploading(strings.NewReader("abc"), -1)
	call.Continue, call.Trailer = true, map[string][]string{"Sum": nil}
	call.Fields = []messages.Field{{Name: "expect", Value: "100-continue"}, {Name: "trailer", Value: "x-t"}, {Name: "X", Value: "y"}}
	text, _, err := appendRequest(nil, call, nil)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(strings.ToLower(string(text)), "expect:"), string(text))
	require.Equal(t, 1, strings.Count(strings.ToLower(string(text)), "trailer:"), string(text))
	require.Contains(t, string(text), "\r\nX: y\r\n")
}
