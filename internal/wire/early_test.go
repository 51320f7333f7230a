//go:build unix

package wire

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

const tooLarge = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\n\r\ntoo big"

// refusing answers when it has read the head, and reads no more. It closes at
// once if closes, which resets the connection, and otherwise when the client does.
func refusing(t *testing.T, closes bool) func(net.Conn) {
	return func(c net.Conn) {
		takeRequest(bufio.NewReaderSize(c, 16))
		io.WriteString(c, tooLarge)
		if !closes {
			<-t.Context().Done()
		}
	}
}

// bodies are those of calls, by how they are handed over.
var bodies = map[string]func(size int) *messages.Call{
	"in memory": func(size int) *messages.Call { return post(strings.Repeat("x", size)) },
	"streamed": func(size int) *messages.Call {
		return uploading(strings.NewReader(strings.Repeat("x", size)), int64(size))
	},
	"streamed in parts": func(size int) *messages.Call { return uploading(strings.NewReader(strings.Repeat("x", size)), -1) },
	"in memory, traced": func(size int) *messages.Call {
		call := post(strings.Repeat("x", size))
		call.Trace = new(httptrace.ClientTrace)
		return call
	},
}

func TestAnAnswerThatComesWhileTheBodyIsWrittenIsTheAnswer(t *testing.T) {
	narrow := func(c net.Conn) net.Conn { c.(*net.TCPConn).SetWriteBuffer(4 << 10); return c }
	for _, closes := range []bool{false, true} {
		plain := listen(t, refusing(t, closes))
		config, sealed := listenTLS(t, func(c *tls.Conn, _ *joiner) { refusing(t, closes)(c) })
		for how, call := range bodies {
			for _, size := range []int{100, 5 << 10, 30 << 10, 60 << 10, 100 << 10, 16 << 20} {
				t.Run(fmt.Sprintf("%d bytes %s, closes %v", size, how, closes), func(t *testing.T) {
					t.Parallel()
					for name, wrap := range map[string]func(net.Conn) net.Conn{"a socket": narrow, "a wrapper": wrappers["enclosing a net.Conn"]} {
						requireRefused(t, func() *Socket { return NewSocket(wrap(dialled(t, plain.Addr))) }, call, size, name)
						requireRefused(t, func() *Socket {
							s := NewSocket(wrap(dialled(t, sealed.Addr)))
							s.Seal(tls.Client(s, config), config)
							require.NoError(t, s.Sealed().Handshake())
							return s
						}, call, size, "TLS over "+name)
					}
				})
			}
		}
	}
}

// requireRefused sends a request of that size on a connection that dial makes.
func requireRefused(t *testing.T, dial func() *Socket, ask func(size int) *messages.Call, size int, name string) {
	t.Helper()
	var resp *messages.Response
	var sent messages.Sent
	var err error
	var c *Conn
	var call *messages.Call
	// On a machine that is busy a look at a connection of another's making may come back too
	// late to prove its silence, and then nothing is sent on it.
	for try := 0; try == 0 || try < 10 && sent == messages.SentNo && errors.Is(err, messages.ErrStale); try++ {
		c, call = NewConn(dial(), Limits{}), ask(size)
		defer c.Close()
		resp, sent, err = c.Exchange(call, time.Now().Add(10*time.Second))
	}
	require.NoError(t, err, name)
	require.Equal(t, messages.SentYes, sent)
	require.Equal(t, 413, resp.StatusCode)
	require.Equal(t, "too big", resp.Text())
	if size > 8<<20 {
		require.False(t, c.Reusable(), "%s: half a request was written", name)
	}
}

// narrowly listens with buffers that hold no request, and serves each connection.
func narrowly(t *testing.T, serve func(net.Conn)) string {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		control := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
		return cmp.Or(control, err)
	}}
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c) }()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

// A body that is offered to the socket at once may be more than it takes.
func TestWhatASocketDoesNotTakeAtOnceIsWrittenBesideTheReading(t *testing.T) {
	addr := narrowly(t, refusing(t, false))
	for how, call := range bodies {
		for _, size := range []int{30 << 10, 60 << 10} {
			requireRefused(t, func() *Socket {
				c := dialled(t, addr)
				require.NoError(t, c.(*net.TCPConn).SetWriteBuffer(4<<10))
				return NewSocket(c)
			}, call, size, how)
		}
	}
	// And all of it arrives where somebody reads.
	got := make(chan int64, 1)
	addr = narrowly(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		takeRequest(r)
		time.Sleep(10 * time.Millisecond)
		n, _ := io.CopyN(io.Discard, r, 60<<10)
		got <- n
		io.WriteString(c, ok)
		io.Copy(io.Discard, r)
	})
	under := dialled(t, addr)
	require.NoError(t, under.(*net.TCPConn).SetWriteBuffer(4<<10))
	c := over(under, Limits{})
	defer c.Close()
	require.Equal(t, "ok", exchange(t, c, post(strings.Repeat("x", 60<<10))).Text())
	require.EqualValues(t, 60<<10, <-got)
	require.True(t, c.Reusable())
}

// Over a pipe not one byte of the body is taken.
func TestAnAnswerOverAPipeThatTakesNoBodyIsTheAnswer(t *testing.T) {
	for how, call := range bodies {
		near, far := net.Pipe()
		go refusing(t, false)(far)
		c := over(near, Limits{})
		resp, _, err := c.Exchange(call(10<<10), time.Now().Add(5*time.Second))
		require.NoError(t, err, how)
		require.Equal(t, 413, resp.StatusCode)
		require.False(t, c.Reusable())
		require.NoError(t, c.Close())
		far.Close()
	}
}

func TestAfterAnEarlyAnswerTheConnectionIsKeptIfTheBodyWasTaken(t *testing.T) {
	for _, size := range []int{100, 10 << 10, 64 << 10, 1 << 20} {
		c := dial(t, nil, listen(t, func(c net.Conn) {
			r := bufio.NewReader(c)
			takeRequest(r)
			io.WriteString(c, tooLarge)
			io.CopyN(io.Discard, r, int64(size))
			if takeRequest(r) {
				io.WriteString(c, ok)
			}
			io.Copy(io.Discard, r)
		}))
		require.Equal(t, 413, exchange(t, c, post(strings.Repeat("x", size))).StatusCode)
		require.True(t, c.Reusable())
		require.Equal(t, "ok", exchange(t, c, get("/")).Text())
	}
}

func TestABodyThatTheSocketTakesAtOnceNeedsNoGoroutine(t *testing.T) {
	_, plain := echo(t, false)
	config, sealed := echo(t, true)
	for _, c := range []*Conn{dial(t, nil, plain), dial(t, config, sealed)} {
		for _, size := range []int{0, 100, 30 << 10} {
			asked := 0
			call := post(strings.Repeat("x", size))
			call.Trace = &httptrace.ClientTrace{GotFirstResponseByte: func() {
				asked++
				require.Nil(t, c.source.upload)
			}}
			require.Len(t, exchange(t, c, call).Body, size)
			require.Equal(t, 1, asked)
		}
	}
}

func TestABodyInMemoryIsTheCallersAgainAfterAnEarlyAnswer(t *testing.T) {
	c := dial(t, nil, listen(t, refusing(t, false)))
	body := make([]byte, 32<<20)
	call := post("")
	call.Body = body
	require.Equal(t, 413, exchange(t, c, call).StatusCode)
	for i := range body {
		body[i] = 1 // the race detector would see somebody read
	}
}
