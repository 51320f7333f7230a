//go:build unix

package dial

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// newAuthority makes a certificate for 127.0.0.1 that only its own pool trusts.
func newAuthority(t *testing.T) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// sealedProxy serves as an HTTP proxy over TLS that lets user:pass through. The
// configuration trusts it.
func sealedProxy(t *testing.T, names chan<- string) (*url.URL, *tls.Config) {
	certificate, pool := newAuthority(t)
	o := listen(t, func(c net.Conn) {
		sealed := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
		connectProxy(sealed, names)
		sealed.Close()
	})
	return &url.URL{Scheme: "https", Host: o.Addr, User: url.UserPassword("user", "pass")}, &tls.Config{RootCAs: pool}
}

func TestRequestsGoThroughAProxyOverTLS(t *testing.T) {
	names := make(chan string, 10)
	proxy, trusting := sealedProxy(t, names)
	plain := listen(t, answering(ok, nil))
	d, sealed := listenTLS(t, answeringTLS(ok, nil))
	through := &Dialer{TLS: d.TLS, ProxyTLS: trusting, Proxy: by(proxy)}
	for _, o := range []messages.Origin{plain, sealed} {
		c := dial(t, through, o)
		for range 3 {
			require.True(t, c.Silent())
			require.Equal(t, "ok", exchange(t, c, to(o, get("/"))).Text())
			require.True(t, c.Reusable())
		}
		require.Equal(t, map[string]string{"http": "GET ", "https": "CONNECT "}[o.Scheme]+o.Addr, <-names)
	}

	d, o := listenH2(t, 10, mirrorH2)
	d.ProxyTLS, d.Proxy = trusting, by(proxy)
	for _, size := range []int{1, 1_000_000} {
		resp, _, err := dialAny(t, d, o).Exchange(post(strings.Repeat("x", size)), never)
		require.NoError(t, err)
		require.Len(t, resp.Body, size)
		require.Equal(t, "HTTP/2.0", resp.Header.Get("Proto"))
	}
}

func TestLargeBodiesPassAProxyOverTLS(t *testing.T) {
	proxy, trusting := sealedProxy(t, make(chan string, 10))
	for _, tls := range []bool{false, true} {
		d, o := echo(t, tls)
		d.ProxyTLS, d.Proxy = trusting, by(proxy)
		c := dial(t, d, o)
		body := strings.Repeat("x", 3_000_000)
		require.True(t, body == exchange(t, c, to(o, post(body))).Text())
		require.True(t, body == exchange(t, c, to(o, uploading(strings.NewReader(body), -1))).Text())
		require.True(t, c.Reusable())
	}
}

// What the origin says unasked is seen through both layers.
func TestAStrayByteThroughAProxyOverTLSMakesTheConnectionStale(t *testing.T) {
	proxy, trusting := sealedProxy(t, make(chan string, 10))
	for name, text := range map[string]string{"an answer": ok, "an end": ""} {
		for _, sealed := range []bool{false, true} {
			more := make(chan string, 1)
			d, o := &Dialer{}, messages.Origin{}
			if sealed {
				d, o = listenTLS(t, answeringTLS(ok, more))
			} else {
				o = listen(t, answering(ok, more))
			}
			d.ProxyTLS, d.Proxy = trusting, by(proxy)
			c := dial(t, d, o)
			exchange(t, c, to(o, get("/")))
			require.True(t, c.Silent(), name)
			more <- text
			require.Eventually(t, func() bool { return !c.Silent() }, 5*time.Second, time.Millisecond, name)
			requireStale(t, c)
			close(more)
		}
	}
}

// Only a close_notify ends what has no length: a bare end may be somebody's, between here and the
// proxy, who cuts it short.
func TestABodyThatIsCutOnItsWayFromAProxyOverTLSIsNotWhole(t *testing.T) {
	certificate, pool := newAuthority(t)
	for name, polite := range map[string]bool{"with a close_notify": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			o := listen(t, func(c net.Conn) {
				sealed := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
				if _, err := http.ReadRequest(bufio.NewReader(sealed)); err != nil {
					return
				}
				io.WriteString(sealed, "HTTP/1.1 200 OK\r\n\r\n{\"balance\":100")
				if polite {
					sealed.Close()
				}
			})
			d := &Dialer{ProxyTLS: &tls.Config{RootCAs: pool}, Proxy: by(&url.URL{Scheme: "https", Host: o.Addr})}
			plain := messages.Origin{Scheme: "http", Addr: "origin.test:80"}
			resp, sent, err := dial(t, d, plain).Exchange(to(plain, get("/")), never)
			require.Equal(t, messages.SentYes, sent)
			if polite {
				require.NoError(t, err)
				require.Equal(t, `{"balance":100`, resp.Text())
				return
			}
			require.ErrorIs(t, err, messages.ErrTruncated)
		})
	}
}

func TestAnExchangeThroughAProxyOverTLSEndsWithItsDeadlineOrAbort(t *testing.T) {
	proxy, trusting := sealedProxy(t, make(chan string, 10))
	o := listen(t, func(c net.Conn) {
		io.Copy(io.Discard, io.LimitReader(c, 10))
		c.Read(nil)
		time.Sleep(50 * time.Millisecond)
	})
	d := &Dialer{ProxyTLS: trusting, Proxy: by(proxy)}
	for _, call := range []*messages.Call{get("/"), post(strings.Repeat("x", 64<<20))} {
		_, sent, err := dial(t, d, o).Exchange(to(o, call), time.Now().Add(30*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, messages.SentMaybe, sent)
	}
	c := dial(t, d, o)
	time.AfterFunc(10*time.Millisecond, c.Abort)
	_, _, err := c.Exchange(to(o, get("/")), never)
	require.ErrorIs(t, err, wire.ErrAborted)
}

func TestAProxyOverTLSMustProveWhoItIs(t *testing.T) {
	names := make(chan string, 10)
	proxy, trusting := sealedProxy(t, names)
	proxy.User = url.UserPassword("s3cret", "s3cret")
	_, o := listenTLS(t, answeringTLS(ok, nil))
	_, other := newAuthority(t)
	for name, c := range map[string]struct {
		config, proxyConfig *tls.Config
		trusted             bool
	}{
		"the system's roots":    {},
		"other roots":           {proxyConfig: &tls.Config{RootCAs: other}},
		"another name":          {proxyConfig: &tls.Config{RootCAs: trusting.RootCAs, ServerName: "example.com"}},
		"its own roots":         {proxyConfig: trusting, trusted: true},
		"the origins' roots":    {config: trusting, trusted: true},
		"not the origin's name": {config: &tls.Config{RootCAs: trusting.RootCAs, ServerName: "example.com"}, trusted: true},
	} {
		_, err := (&Dialer{TLS: c.config, ProxyTLS: c.proxyConfig, Proxy: by(proxy)}).Dial(t.Context(), o)
		var failed *messages.ProxyError
		require.ErrorAs(t, err, &failed, name)
		require.NotContains(t, err.Error(), "s3c")
		if c.trusted {
			require.Equal(t, http.StatusProxyAuthRequired, failed.Status, "%s: %v", name, err)
			continue
		}
		var unverified *tls.CertificateVerificationError
		require.ErrorAs(t, err, &unverified, name)
		require.Equal(t, proxy.Host, failed.Proxy)
	}
}

func TestAProxyOverTLSThatSaysNothingEndsTheDial(t *testing.T) {
	var ended atomic.Int32
	o := listen(t, func(c net.Conn) {
		io.Copy(io.Discard, c)
		ended.Add(1)
	})
	d := &Dialer{Timeout: 30 * time.Millisecond, Proxy: by(&url.URL{Scheme: "https", Host: o.Addr})}
	_, err := d.Dial(t.Context(), messages.Origin{Scheme: "https", Addr: "h:443"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Eventually(t, func() bool { return ended.Load() == 1 }, 5*time.Second, time.Millisecond, "the connection is closed")
}

func TestTheHandshakeWithAProxyIsTraced(t *testing.T) {
	proxy, trusting := sealedProxy(t, make(chan string, 10))
	d, o := listenTLS(t, answeringTLS(ok, nil))
	d.ProxyTLS, d.Proxy = trusting, by(proxy)
	done := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			require.NoError(t, err)
			done++
		},
	})
	c, err := d.Dial(ctx, o)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.Equal(t, 2, done)
}

func TestWhyNoProxyCouldBeChosenIsNotTold(t *testing.T) {
	cause := errors.New("invalid proxy address \"http://user:s3cret@\"")
	d := &Dialer{Proxy: func(messages.Origin) (*url.URL, error) { return nil, cause }}
	_, err := d.Dial(t.Context(), messages.Origin{Scheme: "https", Addr: "h:443"})
	require.ErrorIs(t, err, cause)
	require.NotContains(t, err.Error(), "s3cret")
}

// enclosing is a connection that says nothing of what it encloses.
type enclosing struct{ net.Conn }

func TestALateAnswerThroughATunnelOverAWrapperIsSeen(t *testing.T) {
	late := make(chan struct{}, 100)
	serve := func(c net.Conn) {
		r := bufio.NewReader(c)
		for wiretest.TakeRequest(r) {
			io.WriteString(c, ok)
			<-late
			io.WriteString(c, ok)
		}
	}
	proxy, trusting := sealedProxy(t, make(chan string, 100))
	for _, sealed := range []bool{false, true} {
		d, o := &Dialer{}, messages.Origin{}
		if sealed {
			d, o = listenTLS(t, func(c *tls.Conn, _ *joiner) { serve(c) })
		} else {
			o = listen(t, serve)
		}
		d.ProxyTLS, d.Proxy = trusting, by(proxy)
		d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return enclosing{c}, err
		}
		var c protocol.Connection
		for tries := 0; c == nil || !c.Reusable(); tries++ { // a look that takes long, as on a busy machine, leaves a doubt
			require.Less(t, tries, 20)
			if c != nil {
				late <- struct{}{}
			}
			c = dial(t, d, o)
			require.Equal(t, "ok", exchange(t, c, to(o, get("/"))).Text())
		}
		late <- struct{}{}
		time.Sleep(100 * time.Millisecond)
		_, sent, err := c.Exchange(to(o, get("/")), never)
		require.ErrorIs(t, err, messages.ErrStale)
		require.Equal(t, messages.SentNo, sent)
	}
}

// failingConn writes all there is, and then says that it has failed, once it is to.
type failingConn struct {
	net.Conn
	fails func(n int) (int, error)
	now   *atomic.Bool
}

func (c failingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil || !c.now.Load() {
		return n, err
	}
	return c.fails(n)
}

// The TLS to the proxy says that it has written nothing whenever there was an error.
func TestARequestMayHaveBeenSentWhateverFailsUnderATunnel(t *testing.T) {
	proxy, trusting := sealedProxy(t, make(chan string, 100))
	for name, fails := range map[string]func(n int) (int, error){
		"a panic":          func(int) (int, error) { panic("behind the Write") },
		"a count too high": func(n int) (int, error) { return n + 7, nil },
		"all, and closed":  func(n int) (int, error) { return n, net.ErrClosed },
		"no return":        func(int) (int, error) { <-t.Context().Done(); return 0, nil },
	} {
		for _, sealed := range []bool{false, true} {
			d, o := &Dialer{}, messages.Origin{}
			if sealed {
				d, o = listenTLS(t, answeringTLS(ok, nil))
			} else {
				o = listen(t, answering(ok, nil))
			}
			var now atomic.Bool
			d.ProxyTLS, d.Proxy = trusting, by(proxy)
			d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				return failingConn{c, fails, &now}, err
			}
			c := dial(t, d, o)
			require.Equal(t, "ok", exchange(t, c, to(o, get("/"))).Text(), name)
			now.Store(true)
			_, sent, err := c.Exchange(to(o, post("an order")), time.Now().Add(200*time.Millisecond))
			require.Error(t, err, name)
			require.Equal(t, messages.SentMaybe, sent, "%s, sealed: %v", name, sealed)
		}
	}
}

func TestARequestWasNotSentIfWhatIsUnderATunnelIsClosed(t *testing.T) {
	proxy, trusting := sealedProxy(t, make(chan string, 100))
	o := listen(t, answering(ok, nil))
	d, closed := &Dialer{ProxyTLS: trusting, Proxy: by(proxy)}, atomic.Bool{}
	d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return closedConn{c, &closed}, err
	}
	c := dial(t, d, o)
	exchange(t, c, to(o, get("/")))
	closed.Store(true)
	_, sent, err := c.Exchange(to(o, post("an order")), never)
	require.ErrorIs(t, err, net.ErrClosed)
	require.Equal(t, messages.SentNo, sent)
}

// closedConn is closed for writing, once it is to be.
type closedConn struct {
	net.Conn
	now *atomic.Bool
}

func (c closedConn) Write(p []byte) (int, error) {
	if c.now.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// timeless knows no deadlines.
type timeless struct{ net.Conn }

func (timeless) SetDeadline(time.Time) error     { return errBroken }
func (timeless) SetReadDeadline(time.Time) error { return errBroken }

func TestATunnelOverAConnectionThatKeepsNoDeadlinesIsUsedOnce(t *testing.T) {
	proxy, trusting := sealedProxy(t, make(chan string, 10))
	d := &Dialer{ProxyTLS: trusting, Proxy: by(proxy)}
	d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return timeless{c}, err
	}
	o := listen(t, answering(ok, nil))
	c := dial(t, d, o)
	require.Equal(t, "ok", exchange(t, c, to(o, get("/"))).Text())
	require.False(t, c.Reusable())
}
