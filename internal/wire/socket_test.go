//go:build unix

package wire

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// awaitReadable waits, as long as the socket is silent, without reading.
func awaitReadable(t *testing.T, c *Conn) {
	t.Helper()
	raw, err := c.socket.dialled().(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, c.socket.Conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	require.NoError(t, raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return err != syscall.EAGAIN
	}))
	require.NoError(t, c.socket.Conn.SetReadDeadline(time.Time{}))
}

func TestOverTCPOneConnectionCarriesManyExchanges(t *testing.T) {
	c := dial(t, nil, listen(t, answering(ok, nil)))
	require.True(t, c.socket.own)
	for range 100 {
		require.True(t, c.Silent())
		require.Equal(t, "ok", exchange(t, c, get("/")).Text())
		require.True(t, c.Reusable())
	}
}

func TestAByteThatComesLateNeverBecomesTheNextAnswer(t *testing.T) {
	more := make(chan string)
	c := dial(t, nil, listen(t, answering(ok, more)))
	defer close(more)
	exchange(t, c, get("/"))
	require.True(t, c.Reusable())

	more <- "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
	awaitReadable(t, c)
	requireStale(t, c)
}

func TestAnIdleConnectionThatTheServerClosedIsStale(t *testing.T) {
	more := make(chan string)
	c := dial(t, nil, listen(t, answering(ok, more)))
	exchange(t, c, get("/"))
	require.True(t, c.Reusable())

	close(more)
	awaitReadable(t, c)
	requireStale(t, c)
}

func TestAnIdleConnectionThatWasResetIsStale(t *testing.T) {
	more := make(chan string)
	c := dial(t, nil, listen(t, func(c net.Conn) {
		answering(ok, more)(c)
		c.(*net.TCPConn).SetLinger(0)
	}))
	exchange(t, c, get("/"))

	close(more)
	awaitReadable(t, c)
	requireStale(t, c)
}

func TestSilentSeesWhatHasCome(t *testing.T) {
	for name, text := range map[string]string{"a byte": "x", "the end": ""} {
		t.Run(name, func(t *testing.T) {
			more := make(chan string)
			defer close(more)
			c := dial(t, nil, listen(t, answering(ok, more)))
			exchange(t, c, get("/"))
			require.True(t, c.Silent())

			more <- text
			awaitReadable(t, c)
			require.False(t, c.Silent())
			require.False(t, c.Silent(), "the byte was taken away by looking")
			requireStale(t, c)
		})
	}
}

func TestADeadlineThatPassedWhileIdleDoesNotMakeAConnectionStale(t *testing.T) {
	c := dial(t, nil, listen(t, answering(ok, nil)))
	_, _, err := c.Exchange(get("/"), time.Now().Add(time.Minute))
	require.NoError(t, err)

	require.NoError(t, c.socket.Conn.SetReadDeadline(time.Unix(1, 0))) // as if that minute were over
	require.True(t, c.Silent())
	exchange(t, c, get("/"))
}

func TestAConnectionWhoseDeadlinePassedIsNotReusable(t *testing.T) {
	c := dial(t, nil, listen(t, func(c net.Conn) { io.Copy(io.Discard, c) }))
	_, sent, err := c.Exchange(get("/"), time.Now().Add(10*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, messages.SentMaybe, sent)
	require.False(t, c.Reusable())
}

func TestADeadlineInThePastSendsNothing(t *testing.T) {
	tape := play(ok)
	c := over(tape, Limits{})
	_, sent, err := c.Exchange(get("/"), time.Now().Add(-time.Second))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, messages.SentNo, sent)
	require.Zero(t, tape.written.Len())
	require.True(t, c.Reusable(), "nothing happened to it")
}

func TestAbortEndsAnExchangeThatWaitsForItsAnswer(t *testing.T) {
	arrived := make(chan struct{})
	c := dial(t, nil, listen(t, func(c net.Conn) {
		takeRequest(bufio.NewReader(c))
		close(arrived)
		io.Copy(io.Discard, c)
	}))
	go func() { <-arrived; c.Abort() }()
	_, sent, err := c.Exchange(get("/"), time.Now().Add(time.Minute))
	require.ErrorIs(t, err, ErrAborted)
	require.Equal(t, messages.SentMaybe, sent)
	require.False(t, c.Reusable())
}

func TestAbortEndsAnExchangeThatWaitsToWrite(t *testing.T) {
	started := make(chan struct{})
	c := dial(t, nil, listen(t, func(c net.Conn) {
		io.ReadFull(c, make([]byte, 1))
		close(started)
		<-t.Context().Done() // reads no more
	}))
	go func() { <-started; c.Abort() }()
	_, sent, err := c.Exchange(post(strings.Repeat("x", 64<<20)), never)
	require.ErrorIs(t, err, ErrAborted)
	require.Equal(t, messages.SentMaybe, sent)
}

func TestAbortBeforeAnExchangeForestallsIt(t *testing.T) {
	var requests atomic.Int32
	c := dial(t, nil, listen(t, func(c net.Conn) {
		if takeRequest(bufio.NewReader(c)) {
			requests.Add(1)
		}
	}))
	c.Abort()
	c.Abort()
	require.False(t, c.Reusable())
	require.False(t, c.Silent())
	_, sent, err := c.Exchange(get("/"), time.Now().Add(time.Minute))
	require.ErrorIs(t, err, ErrAborted)
	require.Equal(t, messages.SentNo, sent)
	require.Zero(t, requests.Load())
}

// The abort falls anywhere: before, while setting the deadline, while waiting.
func TestAnAbortIsNeverLost(t *testing.T) {
	o := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	for range 200 {
		c := dial(t, nil, o)
		begun := make(chan struct{})
		go func() { <-begun; c.Abort() }()
		close(begun)
		_, _, err := c.Exchange(get("/"), time.Now().Add(10*time.Second))
		require.ErrorIs(t, err, ErrAborted)
		c.Close()
	}
}

func TestADeadlineDoesNotOverwriteAnAbort(t *testing.T) {
	c := dial(t, nil, listen(t, func(net.Conn) {}))
	c.Abort()
	require.ErrorIs(t, c.socket.arm(time.Now().Add(time.Minute)), ErrAborted)
}

func TestALargeBodyIsWrittenWhole(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // more than any socket buffer
	received := make(chan []byte, 1)
	c := dial(t, nil, listen(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		takeRequest(r)
		got := make([]byte, len(body))
		io.ReadFull(r, got)
		received <- got
		io.WriteString(c, ok)
		r.ReadByte()
	}))
	require.Equal(t, "ok", exchange(t, c, post(string(body))).Text())
	require.True(t, bytes.Equal(body, <-received))
	require.True(t, c.Reusable())
}

func TestALargeResponseIsReadWhole(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1<<18)
	answers := map[string]string{
		"counted": "HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n" + body,
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n" + body + "\r\n0\r\n\r\n",
		"head":    "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 60000) + "\r\nContent-Length: 2\r\n\r\nok",
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			c := dial(t, nil, listen(t, answering(answer, nil)))
			for range 2 {
				resp := exchange(t, c, get("/"))
				if name == "head" {
					require.Len(t, resp.Header.Get("X"), 60000)
				} else {
					require.True(t, body == resp.Text())
				}
				require.True(t, c.Reusable())
				require.Equal(t, readBuffer, c.reader.Size())
			}
		})
	}
}

func TestAServerThatReadsAndClosesLeavesTheOutcomeUnknown(t *testing.T) {
	c := dial(t, nil, listen(t, func(c net.Conn) { takeRequest(bufio.NewReader(c)) }))
	_, sent, err := c.Exchange(post(""), never)
	require.ErrorIs(t, err, messages.ErrTruncated)
	require.Equal(t, messages.SentMaybe, sent)
	require.False(t, c.Reusable())
}

func TestAResetKeepsItsNetworkError(t *testing.T) {
	c := dial(t, nil, listen(t, func(c net.Conn) {
		c.Read(make([]byte, 1)) // leaves the rest unread: closing resets
	}))
	_, sent, err := c.Exchange(get("/"), never)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, messages.SentMaybe, sent)
}

// counting embeds a socket and sees everything pass.
type counting struct {
	*net.TCPConn
	read, written int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.read += n
	return n, err
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.written += n
	return n, err
}

func TestAConnectionThatEmbedsASocketIsNotBypassed(t *testing.T) {
	more := make(chan string)
	defer close(more)
	dialled, err := net.Dial("tcp", listen(t, answering(ok, more)).Addr)
	require.NoError(t, err)
	wrapped := &counting{TCPConn: dialled.(*net.TCPConn)}
	c := over(wrapped, Limits{})
	t.Cleanup(func() { c.Close() })
	exchange(t, c, get("/"))
	require.Equal(t, len(ok), wrapped.read)
	require.Positive(t, wrapped.written)
	require.True(t, c.Silent())

	more <- "x"
	awaitReadable(t, c)
	requireStale(t, c)
}

func TestAClosedConnectionCarriesNothing(t *testing.T) {
	c := dial(t, nil, listen(t, answering(ok, nil)))
	require.NoError(t, c.Close())
	require.False(t, c.Reusable())
	require.False(t, c.Silent())
	requireStale(t, c)
}
