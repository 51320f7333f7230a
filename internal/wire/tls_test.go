//go:build unix

package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestOverTLSOneConnectionCarriesManyExchanges(t *testing.T) {
	config, o := echo(t, true)
	c := dial(t, config, o)
	require.Equal(t, "http/1.1", c.socket.sealed.ConnectionState().NegotiatedProtocol)
	for _, size := range []int{0, 1, 10, 10_000, 1 << 20, 3} {
		body := bytes.Repeat([]byte("x"), size)
		require.True(t, c.Silent())
		require.True(t, bytes.Equal(body, exchange(t, c, post(string(body))).Body))
		require.True(t, c.Reusable())
	}
}

func TestSessionTicketsAreNoData(t *testing.T) {
	config, o := listenTLS(t, answeringTLS(ok, nil))
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1) // resumed by the second
	c := dial(t, config, o)
	require.Equal(t, uint16(tls.VersionTLS13), c.socket.sealed.ConnectionState().Version)

	awaitReadable(t, c) // the tickets have come
	require.True(t, c.Silent())
	exchange(t, c, get("/"))

	c = dial(t, config, o)
	awaitReadable(t, c)
	exchange(t, c, get("/"))
}

func TestAStrayRecordMakesATLSConnectionStale(t *testing.T) {
	more := make(chan string)
	defer close(more)
	config, o := listenTLS(t, answeringTLS(ok, more))
	c := dial(t, config, o)
	exchange(t, c, get("/"))
	require.True(t, c.Silent())

	more <- "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
	awaitReadable(t, c)
	requireStale(t, c)
}

// crypto/tls reads both records at once and hands out the first.
func TestAStrayRecordReadAlongWithTheAnswerMakesATLSConnectionStale(t *testing.T) {
	for name, stray := range map[string]string{"whole": "stray", "begun": ""} {
		t.Run(name, func(t *testing.T) {
			config, o := listenTLS(t, func(sealed *tls.Conn, under *joiner) {
				takeRequest(bufio.NewReader(sealed))
				under.Hold = true
				io.WriteString(sealed, ok)
				if stray == "" {
					under.Write([]byte{23, 3, 3})
				} else {
					io.WriteString(sealed, stray)
				}
				under.Release()
				sealed.Read(make([]byte, 1))
			})
			c := dial(t, config, o)
			exchange(t, c, get("/"))
			requireStale(t, c)
		})
	}
}

func TestTheBeginningOfARecordMakesATLSConnectionStale(t *testing.T) {
	begin := make(chan struct{})
	config, o := listenTLS(t, func(sealed *tls.Conn, under *joiner) {
		takeRequest(bufio.NewReader(sealed))
		io.WriteString(sealed, ok)
		<-begin
		under.Write([]byte{23, 3, 3})
		under.Read(make([]byte, 1))
	})
	c := dial(t, config, o)
	exchange(t, c, get("/"))
	require.True(t, c.Silent())

	close(begin)
	awaitReadable(t, c)
	requireStale(t, c)
}

func TestACloseNotifyMakesATLSConnectionStale(t *testing.T) {
	more := make(chan string)
	config, o := listenTLS(t, answeringTLS(ok, more))
	c := dial(t, config, o)
	exchange(t, c, get("/"))

	close(more)
	awaitReadable(t, c)
	requireStale(t, c)
}

func TestUnderTLSOnlyACloseNotifyEndsABodyWithoutLength(t *testing.T) {
	serve := func(closing func(*tls.Conn, *joiner) error) func(*tls.Conn, *joiner) {
		return func(sealed *tls.Conn, under *joiner) {
			takeRequest(bufio.NewReader(sealed))
			io.WriteString(sealed, "HTTP/1.1 200 OK\r\n\r\nall of it")
			closing(sealed, under)
		}
	}
	config, o := listenTLS(t, serve(func(sealed *tls.Conn, _ *joiner) error { return sealed.Close() }))
	require.Equal(t, "all of it", exchange(t, dial(t, config, o), get("/")).Text())

	config, o = listenTLS(t, serve(func(_ *tls.Conn, under *joiner) error { return under.Close() }))
	_, sent, err := dial(t, config, o).Exchange(get("/"), never)
	require.ErrorIs(t, err, messages.ErrTruncated)
	require.Equal(t, messages.SentYes, sent)
}

func TestCloseSaysGoodbyeToATLSPeer(t *testing.T) {
	last := make(chan error, 1)
	config, o := listenTLS(t, func(sealed *tls.Conn, _ *joiner) {
		_, err := sealed.Read(make([]byte, 1))
		last <- err
	})
	c := dial(t, config, o)
	require.NoError(t, c.Close())
	require.Equal(t, io.EOF, <-last)
}

func TestCloseDoesNotWaitForATLSPeerThatReadsNothing(t *testing.T) {
	config, o := listenTLS(t, func(*tls.Conn, *joiner) { <-t.Context().Done() })
	c := dial(t, config, o)
	for n := 1; n > 0; { // fill the socket under TLS
		c.socket.raw.Write(func(fd uintptr) bool {
			c.socket.on(fd, func() error { n, _ = c.socket.writeNow(make([]byte, 1<<20)); return nil })
			return true
		})
	}
	before := time.Now()
	require.NoError(t, c.Close())
	require.Less(t, time.Since(before), 2*time.Second)
}

func TestAbortEndsATLSExchange(t *testing.T) {
	arrived := make(chan struct{})
	config, o := listenTLS(t, func(sealed *tls.Conn, _ *joiner) {
		takeRequest(bufio.NewReader(sealed))
		close(arrived)
		sealed.Read(make([]byte, 1))
	})
	c := dial(t, config, o)
	go func() { <-arrived; c.Abort() }()
	_, sent, err := c.Exchange(get("/"), never)
	require.ErrorIs(t, err, ErrAborted)
	require.Equal(t, messages.SentMaybe, sent)
}

func TestATLSExchangeKeepsItsDeadline(t *testing.T) {
	config, o := listenTLS(t, func(sealed *tls.Conn, _ *joiner) { io.Copy(io.Discard, sealed) })
	_, sent, err := dial(t, config, o).Exchange(get("/"), time.Now().Add(20*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, messages.SentMaybe, sent)
}

// trickling passes on what the server says in small pieces, with pauses between.
func trickling(t *testing.T, to string) string {
	return listen(t, func(c net.Conn) {
		server, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer server.Close()
		go func() {
			io.Copy(server, c)
			server.Close()
		}()
		piece := make([]byte, 60) // a ticket has some more
		for {
			n, err := server.Read(piece)
			if _, failed := c.Write(piece[:n]); err != nil || failed != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}).Addr
}

func TestTicketsThatTrickleInBehindAHandshakeAreWaitedFor(t *testing.T) {
	config, o := listenTLS(t, answeringTLS(ok, nil))
	at := trickling(t, o.Addr)
	for _, wrap := range []func(net.Conn) net.Conn{func(c net.Conn) net.Conn { return c }, wrappers["embedding a socket"]} {
		for range 3 {
			s := NewSocket(wrap(dialled(t, at)))
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1) // without one, no tickets are sent
			s.Seal(tls.Client(s, config), config)
			require.NoError(t, s.Sealed().Handshake())
			c := NewConn(s, Limits{})
			awaitReadable(t, c) // a ticket has begun
			require.Equal(t, "ok", exchange(t, c, get("/")).Text())
			require.NoError(t, c.Close())
		}
	}
}
