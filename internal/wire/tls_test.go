//go:build unix

package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// joiner lets several writes leave as one.
type joiner struct {
	net.Conn
	hold bool
	held []byte
}

func (j *joiner) Write(p []byte) (int, error) {
	if !j.hold {
		return j.Conn.Write(p)
	}
	j.held = append(j.held, p...)
	return len(p), nil
}

func (j *joiner) release() { j.Conn.Write(j.held) }

// listenTLS is listen with a handshake done. serve also gets the connection
// under TLS. The Dialer trusts the server, whose certificate is for example.com.
func listenTLS(t testing.TB, serve func(sealed *tls.Conn, under *joiner)) (*Dialer, messages.Origin) {
	t.Helper()
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	lender.Close()
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	o := listen(t, func(c net.Conn) {
		under := &joiner{Conn: c}
		sealed := tls.Server(under, &tls.Config{
			Certificates: lender.TLS.Certificates,
			NextProtos:   []string{"http/1.1"},
			ClientAuth:   tls.RequestClientCert, // makes tickets follow the handshake, in a flight of their own
		})
		if sealed.Handshake() == nil {
			serve(sealed, under)
		}
	})
	o.Scheme = "https"
	return &Dialer{TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}}, o
}

func answeringTLS(answer string, more <-chan string) func(*tls.Conn, *joiner) {
	return func(sealed *tls.Conn, _ *joiner) {
		answering(answer, more)(sealed)
		sealed.Close()
	}
}

func TestOverTLSOneConnectionCarriesManyExchanges(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}))
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport)
	c := dial(t, &Dialer{TLS: transport.TLSClientConfig}, messages.Origin{Scheme: "https", Addr: server.Listener.Addr().String()})

	require.Equal(t, "http/1.1", c.socket.sealed.ConnectionState().NegotiatedProtocol)
	for _, size := range []int{0, 1, 10, 10_000, 1 << 20, 3} {
		body := bytes.Repeat([]byte("x"), size)
		require.True(t, c.Silent())
		require.True(t, bytes.Equal(body, exchange(t, c, post(string(body))).Body))
		require.True(t, c.Reusable())
	}
}

func TestSessionTicketsAreNoData(t *testing.T) {
	d, o := listenTLS(t, answeringTLS(ok, nil))
	d.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(1) // asks for tickets
	c := dial(t, d, o)
	require.Equal(t, uint16(tls.VersionTLS13), c.socket.sealed.ConnectionState().Version)

	awaitReadable(t, c) // the tickets have come
	require.True(t, c.Silent())
	exchange(t, c, get("/"))

	c = dial(t, d, o)
	awaitReadable(t, c)
	exchange(t, c, get("/"))
}

func TestAStrayRecordMakesATLSConnectionStale(t *testing.T) {
	more := make(chan string)
	defer close(more)
	d, o := listenTLS(t, answeringTLS(ok, more))
	c := dial(t, d, o)
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
			d, o := listenTLS(t, func(sealed *tls.Conn, under *joiner) {
				takeRequest(bufio.NewReader(sealed))
				under.hold = true
				io.WriteString(sealed, ok)
				if stray == "" {
					under.Write([]byte{23, 3, 3})
				} else {
					io.WriteString(sealed, stray)
				}
				under.release()
				sealed.Read(make([]byte, 1))
			})
			c := dial(t, d, o)
			exchange(t, c, get("/"))
			requireStale(t, c)
		})
	}
}

func TestTheBeginningOfARecordMakesATLSConnectionStale(t *testing.T) {
	begin := make(chan struct{})
	d, o := listenTLS(t, func(sealed *tls.Conn, under *joiner) {
		takeRequest(bufio.NewReader(sealed))
		io.WriteString(sealed, ok)
		<-begin
		under.Write([]byte{23, 3, 3})
		under.Read(make([]byte, 1))
	})
	c := dial(t, d, o)
	exchange(t, c, get("/"))
	require.True(t, c.Silent())

	close(begin)
	awaitReadable(t, c)
	requireStale(t, c)
}

func TestACloseNotifyMakesATLSConnectionStale(t *testing.T) {
	more := make(chan string)
	d, o := listenTLS(t, answeringTLS(ok, more))
	c := dial(t, d, o)
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
	d, o := listenTLS(t, serve(func(sealed *tls.Conn, _ *joiner) error { return sealed.Close() }))
	require.Equal(t, "all of it", exchange(t, dial(t, d, o), get("/")).Text())

	d, o = listenTLS(t, serve(func(_ *tls.Conn, under *joiner) error { return under.Close() }))
	_, sent, err := dial(t, d, o).Exchange(get("/"), never)
	require.ErrorIs(t, err, messages.ErrTruncated)
	require.Equal(t, messages.SentYes, sent)
}

func TestCloseSaysGoodbyeToATLSPeer(t *testing.T) {
	last := make(chan error, 1)
	d, o := listenTLS(t, func(sealed *tls.Conn, _ *joiner) {
		_, err := sealed.Read(make([]byte, 1))
		last <- err
	})
	c := dial(t, d, o)
	require.NoError(t, c.Close())
	require.Equal(t, io.EOF, <-last)
}

func TestCloseDoesNotWaitForATLSPeerThatReadsNothing(t *testing.T) {
	d, o := listenTLS(t, func(*tls.Conn, *joiner) { <-t.Context().Done() })
	c := dial(t, d, o)
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
	d, o := listenTLS(t, func(sealed *tls.Conn, _ *joiner) {
		takeRequest(bufio.NewReader(sealed))
		close(arrived)
		sealed.Read(make([]byte, 1))
	})
	c := dial(t, d, o)
	go func() { <-arrived; c.Abort() }()
	_, sent, err := c.Exchange(get("/"), never)
	require.ErrorIs(t, err, ErrAborted)
	require.Equal(t, messages.SentMaybe, sent)
}

func TestATLSExchangeKeepsItsDeadline(t *testing.T) {
	d, o := listenTLS(t, func(sealed *tls.Conn, _ *joiner) { io.Copy(io.Discard, sealed) })
	_, sent, err := dial(t, d, o).Exchange(get("/"), time.Now().Add(20*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, messages.SentMaybe, sent)
}

func TestAServerThatCannotProveItsNameIsRefused(t *testing.T) {
	d, o := listenTLS(t, answeringTLS(ok, nil))
	d.TLS.ServerName = "" // 127.0.0.1, which the certificate has
	dial(t, d, o)

	var unknown x509.UnknownAuthorityError
	_, err := (&Dialer{}).Dial(t.Context(), o)
	require.ErrorAs(t, err, &unknown)

	var other x509.HostnameError
	d = &Dialer{TLS: d.TLS.Clone()}
	d.TLS.ServerName = "example.org"
	_, err = d.Dial(t.Context(), o)
	require.ErrorAs(t, err, &other)
}

func TestAHandshakeThatStallsEndsWithTheTimeout(t *testing.T) {
	o := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	o.Scheme = "https"
	_, err := (&Dialer{Timeout: 20 * time.Millisecond}).Dial(t.Context(), o)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = (&Dialer{}).Dial(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
}

func TestADialersOwnErrorIsKeptBesideTheTimeout(t *testing.T) {
	d := &Dialer{Timeout: time.Millisecond, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, errBroken
	}}
	_, err := d.Dial(t.Context(), messages.Origin{Scheme: "http", Addr: "127.0.0.1:1"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, errBroken)
}

func TestTheDialersConfigurationIsNotChanged(t *testing.T) {
	d := &Dialer{TLS: &tls.Config{MinVersion: tls.VersionTLS10, NextProtos: []string{"h2"}}}
	config := d.config("example.com:443", http1)
	require.Equal(t, "example.com", config.ServerName)
	require.Equal(t, uint16(tls.VersionTLS12), config.MinVersion)
	require.Equal(t, []string{"http/1.1"}, config.NextProtos)
	require.Equal(t, []string{"h2"}, d.TLS.NextProtos)
	require.Equal(t, uint16(tls.VersionTLS10), d.TLS.MinVersion)
	require.Empty(t, d.TLS.ServerName)
}

func TestDialRefusesAnOriginItCannotReach(t *testing.T) {
	for _, o := range []messages.Origin{
		{Scheme: "http", Addr: "no-port"},
		{Scheme: "ftp", Addr: "127.0.0.1:21"},
		{Addr: "127.0.0.1:80"},
	} {
		_, err := (&Dialer{}).Dial(t.Context(), o)
		require.ErrorContains(t, err, o.String())
	}
}
