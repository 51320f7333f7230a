//go:build unix

package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
)

type renegotiator = wiretest.Renegotiator

// renegotiating asks for another handshake between each request and its answer, both in
// records of piece bytes.
func renegotiating(piece int) func(*renegotiator) {
	return func(r *renegotiator) {
		in := bufio.NewReader(r)
		r.Piece = piece
		for {
			request, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, request.Body)
			if r.Ask() != nil || r.Handshake() != nil {
				return
			}
			io.WriteString(r, ok)
		}
	}
}

// inAMinute is the deadline of an exchange that needs none, so that one which would wait
// for ever fails.
func inAMinute() time.Time { return time.Now().Add(time.Minute) }

func TestAServerMayAskForAnotherHandshakeBeforeItAnswers(t *testing.T) {
	large := strings.Repeat("x", 300<<10)
	calls := map[string]func() *messages.Call{
		"a request":             func() *messages.Call { return get("/") },
		"a traced one":          func() *messages.Call { call := get("/"); call.Trace = new(httptrace.ClientTrace); return call },
		"one with a large body": func() *messages.Call { return post(large) },
		"one with a streamed body": func() *messages.Call {
			return uploading(strings.NewReader(large), -1)
		},
		"one whose answer is streamed": func() *messages.Call { return streaming(get("/")) },
	}
	ways := map[string]func(net.Conn) net.Conn{
		"a socket":  func(c net.Conn) net.Conn { return c },
		"a wrapper": wrappers["embedding a socket"],
	}
	for _, piece := range []int{0, 1, 3} {
		config, o := wiretest.ListenRenegotiating(t, renegotiating(piece))
		for over, wrap := range ways {
			for what, call := range calls {
				t.Run(what+", over "+over, func(t *testing.T) {
					t.Parallel()
					c := sealedOver(t, wrap(dialled(t, o.Addr)), config)
					for n := 0; n < 2 && c.Reusable(); n++ {
						asked := call()
						resp, sent, err := c.Exchange(asked, inAMinute())
						require.NoError(t, err)
						require.Equal(t, messages.SentYes, sent)
						if resp.Stream != nil {
							resp.Body, err = io.ReadAll(resp.Stream)
							require.NoError(t, err)
						}
						require.Equal(t, "ok", resp.Text())
						// On a machine that is busy the end of an upload may be noted too late.
						require.True(t, c.Reusable() || asked.Method == "POST")
					}
				})
			}
		}
	}
}

// sealedOver speaks HTTP through TLS over a connection, whatever that is.
func sealedOver(t *testing.T, under net.Conn, config *tls.Config) *Conn {
	t.Helper()
	s := NewSocket(under)
	s.Seal(tls.Client(s, config), config)
	require.NoError(t, s.Sealed().Handshake())
	c := NewConn(s, Limits{})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAClientsCertificateIsShownInTheHandshakeThatIsAskedFor(t *testing.T) {
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	lender.Close()
	config, o := wiretest.ListenRenegotiating(t, renegotiating(0))
	shown := 0
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		shown++
		return &lender.TLS.Certificates[0], nil
	}
	c := dial(t, config, o)
	require.Equal(t, 1, shown)
	_, _, err := c.Exchange(get("/"), inAMinute())
	require.NoError(t, err)
	require.Equal(t, 2, shown)
}

// asking asks for a handshake behind a request, and lets nothing come of it.
func asking(asked chan<- struct{}) func(*renegotiator) {
	return func(r *renegotiator) {
		takeRequest(bufio.NewReader(r))
		r.Ask()
		io.ReadFull(r.Conn, make([]byte, 5)) // the beginning of the client's
		close(asked)
		io.Copy(io.Discard, r.Conn)
	}
}

func TestAHandshakeThatIsAskedForKeepsTheDeadlineOfItsExchange(t *testing.T) {
	asked := make(chan struct{})
	config, o := wiretest.ListenRenegotiating(t, asking(asked))
	c := dial(t, config, o)
	go func() { <-asked; c.socket.Conn.SetDeadline(time.Unix(1, 0)) }() // as if the minute were over
	_, sent, err := c.Exchange(get("/"), inAMinute())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, messages.SentMaybe, sent)
	require.False(t, c.Reusable())
}

func TestAnAbortEndsAHandshakeThatIsAskedFor(t *testing.T) {
	asked := make(chan struct{})
	config, o := wiretest.ListenRenegotiating(t, asking(asked))
	c := dial(t, config, o)
	go func() { <-asked; c.Abort() }()
	_, sent, err := c.Exchange(get("/"), inAMinute())
	require.ErrorIs(t, err, ErrAborted)
	require.Equal(t, messages.SentMaybe, sent)
}

func TestAHandshakeThatIsNotGrantedEndsTheExchange(t *testing.T) {
	config, o := wiretest.ListenRenegotiating(t, renegotiating(0))
	config.Renegotiation = tls.RenegotiateNever
	_, sent, err := dial(t, config, o).Exchange(get("/"), inAMinute())
	require.ErrorContains(t, err, "no renegotiation")
	require.Equal(t, messages.SentMaybe, sent)
}

func TestAHandshakeThatCannotBeWaitedForIsAnError(t *testing.T) {
	config, o := wiretest.ListenRenegotiating(t, asking(make(chan struct{})))
	c := dial(t, config, o)
	c.socket.mayRenegotiate(false) // as if the configuration did not say so
	_, sent, err := c.Exchange(get("/"), inAMinute())
	require.ErrorIs(t, err, errCutShort)
	require.Equal(t, messages.SentMaybe, sent)
	require.False(t, c.Reusable())
}

func TestOnlyWhereThePeerMayAskForAHandshakeIsARequestWrittenInSteps(t *testing.T) {
	config, o := echo(t, true)
	for version, grants := range map[uint16]bool{tls.VersionTLS12: true, tls.VersionTLS13: false} {
		config.MaxVersion = version
		config.Renegotiation = tls.RenegotiateNever
		require.True(t, dial(t, config, o).socket.prompt())
		config.Renegotiation = tls.RenegotiateOnceAsClient
		require.Equal(t, !grants, dial(t, config, o).socket.prompt())
	}
}

// awaitBytes waits until so many have come, without taking them.
func awaitBytes(t *testing.T, c net.Conn, count int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, count), syscall.MSG_PEEK)
		return n == count || err != nil && err != syscall.EAGAIN
	}))
}

// What is asked of an idle connection is granted by nobody: to look at it must not wait.
func TestAnIdleConnectionThatIsAskedForAHandshakeIsStale(t *testing.T) {
	ways := map[string]func(*testing.T, net.Conn, *tls.Config) *Conn{
		"a socket": sealedOver,
		"a wrapper": func(t *testing.T, under net.Conn, config *tls.Config) *Conn {
			return sealedOver(t, wrappers["embedding a socket"](under), config)
		},
		"the caller's own TLS": func(t *testing.T, under net.Conn, config *tls.Config) *Conn {
			own := tls.Client(under, config)
			require.NoError(t, own.Handshake())
			c := over(own, Limits{})
			t.Cleanup(func() { c.Close() })
			return c
		},
	}
	for name, way := range ways {
		for _, grant := range []tls.RenegotiationSupport{tls.RenegotiateNever, tls.RenegotiateOnceAsClient, tls.RenegotiateFreelyAsClient} {
			const record, whole = 5 + 8 + 16, 4 // of a record of AES-GCM what is no text, and a HelloRequest
			for piece, bytes := range map[int]int{0: record + whole, 1: whole * (record + 1)} {
				t.Run(name, func(t *testing.T) {
					idle := make(chan struct{})
					config, o := wiretest.ListenRenegotiating(t, func(r *renegotiator) {
						takeRequest(bufio.NewReader(r))
						io.WriteString(r, ok)
						<-idle
						r.Piece = piece
						r.Ask()
						io.Copy(io.Discard, r.Conn)
					})
					config.Renegotiation = grant
					under := dialled(t, o.Addr)
					c := way(t, under, config)
					require.Equal(t, "ok", exchange(t, c, get("/")).Text())
					close(idle)
					awaitBytes(t, under, bytes)
					requireStale(t, c)
				})
			}
		}
	}
}

func TestAHandshakeThatIsAskedForBesideAnAnswerMakesTheConnectionStale(t *testing.T) {
	config, o := wiretest.ListenRenegotiating(t, func(r *renegotiator) {
		takeRequest(bufio.NewReader(r))
		both := &joiner{Conn: r.Conn, Hold: true}
		r.Conn = both
		io.WriteString(r, ok)
		r.Ask()
		both.Release()
		io.Copy(io.Discard, both.Conn)
	})
	c := dial(t, config, o)
	require.Equal(t, "ok", exchange(t, c, get("/")).Text())
	requireStale(t, c)
}
