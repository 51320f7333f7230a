//go:build unix

package dial

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func ips(texts ...string) (all []netip.Addr) {
	for _, t := range texts {
		all = append(all, netip.MustParseAddr(t))
	}
	return all
}

func TestAddressesAreTakenByTurns(t *testing.T) {
	found := ips("2001:db8::1", "2001:db8::2", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	require.Equal(t, ips("2001:db8::1", "10.0.0.1", "2001:db8::2", "10.0.0.2", "10.0.0.3"), inTurns(found, 0))
	require.Equal(t, ips("2001:db8::2", "10.0.0.2", "2001:db8::1", "10.0.0.3", "10.0.0.1"), inTurns(found, 1))
	require.Equal(t, ips("10.0.0.1"), inTurns(ips("10.0.0.1"), 7))
}

// closable is a connection that knows whether it was closed.
type closable struct {
	net.Conn
	addr   string
	closed chan struct{}
}

func (c *closable) Close() error { close(c.closed); return nil }

// race runs firstOf in fake time; each address answers after its delay, with an
// error if that is negative.
func race(t *testing.T, delays ...time.Duration) (winner string, after time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var open []*closable
		var addrs []string
		for i := range delays {
			addrs = append(addrs, fmt.Sprint(i))
		}
		begun := time.Now()
		conn, failure := firstOf(t.Context(), addrs, func(ctx context.Context, _, addr string) (net.Conn, error) {
			var i int
			fmt.Sscan(addr, &i)
			if delays[i] < 0 {
				time.Sleep(-delays[i])
				return nil, errors.New(addr + " failed")
			}
			time.Sleep(delays[i]) // deaf to cancellation, so that losers win as well
			c := &closable{addr: addr, closed: make(chan struct{})}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			return c, nil
		})
		after, err = time.Since(begun), failure
		if err == nil {
			winner = conn.(*closable).addr
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			if c.addr == winner {
				continue
			}
			select {
			case <-c.closed:
			default:
				t.Errorf("%s is still open", c.addr)
			}
		}
	})
	return winner, after, err
}

func TestTheFirstAddressToAnswerWins(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		delays []time.Duration
		winner string
		after  time.Duration
	}{
		{[]time.Duration{10 * ms, 5 * ms}, "0", 10 * ms},
		{[]time.Duration{time.Minute, 5 * ms}, "1", 255 * ms},
		{[]time.Duration{-10 * ms, 5 * ms}, "1", 15 * ms},
		{[]time.Duration{300 * ms, 100 * ms, ms}, "0", 300 * ms},
		{[]time.Duration{time.Minute, time.Minute, ms}, "2", 501 * ms},
	} {
		winner, after, err := race(t, c.delays...)
		require.NoError(t, err)
		require.Equal(t, c.winner, winner, "%v", c.delays)
		require.Equal(t, c.after, after)
	}
	_, after, err := race(t, -10*ms, -20*ms)
	require.EqualError(t, err, "0 failed")
	require.Equal(t, 30*ms, after)
}

func TestConnectionsSpreadOverAHostsAddresses(t *testing.T) {
	o := listen(t, answering(ok, nil))
	_, port, _ := net.SplitHostPort(o.Addr)
	asked := 0
	d := &Dialer{Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
		require.Equal(t, "api.example.com", host)
		asked++
		return ips("127.0.0.2", "127.0.0.1"), nil // nobody listens at the first
	}}
	for range 3 {
		exchange(t, dial(t, d, messages.Origin{Scheme: "http", Addr: "api.example.com:" + port}), get("/"))
	}
	require.Equal(t, 3, asked)

	d.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
	_, err := d.Dial(t.Context(), messages.Origin{Scheme: "http", Addr: "api.example.com:" + port})
	var missing *net.DNSError
	require.ErrorAs(t, err, &missing)
}

func TestConnectionsComeFromTheLocalAddress(t *testing.T) {
	from := make(chan string, 1)
	o := listen(t, func(c net.Conn) { from <- c.RemoteAddr().(*net.TCPAddr).IP.String() })
	local, err := ParseLocalAddr("127.0.0.3")
	require.NoError(t, err)
	dial(t, &Dialer{LocalAddr: local}, o)
	require.Equal(t, "127.0.0.3", <-from)

	_, err = ParseLocalAddr("example.com")
	require.Error(t, err)
}

func TestASessionIsResumed(t *testing.T) {
	d, o := echo(t, true)
	for _, resumed := range []bool{false, true} {
		c := dial(t, d, o)
		exchange(t, c, get("/"))
		require.Equal(t, resumed, c.NetConn().(*tls.Conn).ConnectionState().DidResume)
	}
}

// proxied serves as an HTTP or SOCKS5 proxy that lets user:password through,
// and names by the name of the host it was asked for.
func proxied(t *testing.T, scheme string, names chan<- string) *url.URL {
	serve := connectProxy
	if scheme == "socks5" {
		serve = socksProxy
	}
	o := listen(t, func(c net.Conn) { serve(c, names) })
	return &url.URL{Scheme: scheme, Host: o.Addr, User: url.UserPassword("user", "pass")}
}

func relay(c net.Conn, addr string) {
	far, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer far.Close()
	done := make(chan struct{})
	go func() { defer close(done); io.Copy(far, c); far.(*net.TCPConn).CloseWrite() }()
	io.Copy(c, far)
	c.Close()
	<-done
}

// connectProxy opens tunnels for user:pass, and passes on what it is told the place
// of, as one connection from the first request on.
func connectProxy(c net.Conn, names chan<- string) {
	r := bufio.NewReader(c)
	var head strings.Builder
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return
		}
		head.WriteString(line)
	}
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head.String())))
	if err != nil {
		return
	}
	names <- req.Method + " " + req.Host
	login := &http.Request{Header: http.Header{"Authorization": req.Header["Proxy-Authorization"]}}
	if name, password, _ := login.BasicAuth(); name != "user" || password != "pass" {
		io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	if req.Method == http.MethodConnect {
		io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
		head.Reset()
	}
	relay(readFrom{c, io.MultiReader(strings.NewReader(head.String()), r)}, req.Host)
}

// readFrom is a connection of which something was read already.
type readFrom struct {
	net.Conn
	io.Reader
}

func (c readFrom) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func socksProxy(c net.Conn, names chan<- string) {
	take := func(n int) []byte {
		b := make([]byte, n)
		io.ReadFull(c, b)
		return b
	}
	take(int(take(2)[1]))
	c.Write([]byte{5, 2})
	take(1)
	name := string(take(int(take(1)[0])))
	password := string(take(int(take(1)[0])))
	if name != "user" || password != "pass" {
		c.Write([]byte{1, 1})
		return
	}
	c.Write([]byte{1, 0})
	head := take(4)
	var host string
	switch head[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(take(4))).String()
	case 3:
		host = string(take(int(take(1)[0])))
	case 4:
		host = netip.AddrFrom16([16]byte(take(16))).String()
	}
	port := take(2)
	addr := net.JoinHostPort(host, fmt.Sprint(int(port[0])<<8|int(port[1])))
	names <- addr
	if host == "forbidden.test" {
		c.Write([]byte{5, 2, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	c.Write([]byte{5, 0, 0, 3, 1, 'x', 0, 80})
	relay(c, addr)
}

func TestRequestsGoThroughAProxy(t *testing.T) {
	plain := listen(t, answering(ok, nil))
	d, sealed := listenTLS(t, answeringTLS(ok, nil))
	for scheme, prefixes := range map[string][]string{"http": {"GET ", "CONNECT "}, "socks5": {"", ""}} {
		names := make(chan string, 10)
		proxy := proxied(t, scheme, names)
		through := &Dialer{TLS: d.TLS, Proxy: func(messages.Origin) (*url.URL, error) { return proxy, nil }}
		for i, o := range []messages.Origin{plain, sealed} {
			c := dial(t, through, o)
			require.Equal(t, "ok", exchange(t, c, to(o, get("/"))).Text())
			require.Equal(t, prefixes[i]+o.Addr, <-names)
		}
	}
}

func TestAProxyThatRefusesIsNamedWithoutItsCredentials(t *testing.T) {
	names := make(chan string, 10)
	for _, scheme := range []string{"http", "socks5"} {
		proxy := proxied(t, scheme, names)
		proxy.User = url.UserPassword("s3cret", "s3cret")
		d := &Dialer{Proxy: func(messages.Origin) (*url.URL, error) { return proxy, nil }}
		_, err := d.Dial(t.Context(), messages.Origin{Scheme: "https", Addr: "h:443"})
		var refused *messages.ProxyError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, proxy.Host, refused.Proxy)
		require.NotContains(t, err.Error(), "s3c")
		if scheme == "http" {
			require.Equal(t, 407, refused.Status)
		}
	}
	proxy := proxied(t, "socks5", names)
	d := &Dialer{Proxy: func(messages.Origin) (*url.URL, error) { return proxy, nil }}
	_, err := d.Dial(t.Context(), messages.Origin{Scheme: "https", Addr: "forbidden.test:443"})
	var refused *messages.ProxyError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 2, refused.Status)
}

func TestABadProxyEndsTheDial(t *testing.T) {
	for name, answer := range map[string]string{
		"silent": "", "garbage": "\x05\xff\x00\x00 garbage\r\n\r\n", "endless": "HTTP/1.1 200 OK\r\nX: " + string(make([]byte, 1<<15)),
	} {
		for _, scheme := range []string{"http", "socks5"} {
			o := listen(t, func(c net.Conn) {
				io.WriteString(c, answer)
				io.Copy(io.Discard, c)
			})
			d := &Dialer{Timeout: 50 * time.Millisecond, Proxy: func(messages.Origin) (*url.URL, error) {
				return &url.URL{Scheme: scheme, Host: o.Addr}, nil
			}}
			_, err := d.Dial(t.Context(), messages.Origin{Scheme: "https", Addr: "h:443"})
			require.Error(t, err)
			if name == "silent" {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
		}
	}
	for _, bad := range []string{"https://", "http://", "ftp://proxy.test"} {
		d := &Dialer{Proxy: func(messages.Origin) (*url.URL, error) { return url.Parse(bad) }}
		_, err := d.Dial(t.Context(), messages.Origin{Scheme: "https", Addr: "h:443"})
		require.Error(t, err)
	}
}

func TestAProxyIsChosenByOrigin(t *testing.T) {
	o := listen(t, answering(ok, nil))
	d := &Dialer{Proxy: func(asked messages.Origin) (*url.URL, error) {
		if asked == o {
			return nil, nil
		}
		return nil, errBroken
	}}
	exchange(t, dial(t, d, o), get("/"))
	_, err := d.Dial(t.Context(), messages.Origin{Scheme: "https", Addr: "h:443"})
	require.ErrorIs(t, err, errBroken)
}

func TestAClientCertificateIsShown(t *testing.T) {
	shown := make(chan int, 1)
	d, o := listenTLS(t, func(sealed *tls.Conn, _ *joiner) { shown <- len(sealed.ConnectionState().PeerCertificates) })
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	lender.Close()
	d.TLS.Certificates = lender.TLS.Certificates
	dial(t, d, o)
	require.Equal(t, 1, <-shown)
}
