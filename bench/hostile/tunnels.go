package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

// proxy is how a proxy treats whoever wants a tunnel.
type proxy struct {
	name   string
	scheme string
	// opens says that the tunnel is there, and has to be used.
	opens bool
	// asked answers the request for a tunnel, and reports whether c is one from then on.
	asked func(c net.Conn, r *bufio.Reader) bool
}

const established = "HTTP/1.1 200 Connection established\r\n"

// connecting reads a CONNECT and says something.
func connecting(text string, isTunnel bool) func(net.Conn, *bufio.Reader) bool {
	return func(c net.Conn, r *bufio.Reader) bool {
		if _, err := http.ReadRequest(r); err != nil {
			return false
		}
		_, err := io.WriteString(c, text)
		return isTunnel && err == nil
	}
}

// greeting reads a SOCKS5 greeting and says something, and goes on if it is a choice.
func greeting(choice string, reply string, isTunnel bool) func(net.Conn, *bufio.Reader) bool {
	return func(c net.Conn, r *bufio.Reader) bool {
		if !skip(r, 2, 1) {
			return false
		}
		if _, err := io.WriteString(c, choice); err != nil || choice != "\x05\x00" {
			return false
		}
		if !skip(r, 5, 4) { // a name, and two bytes of port behind it
			return false
		}
		if _, err := r.Discard(2); err != nil {
			return false
		}
		_, err := io.WriteString(c, reply)
		return isTunnel && err == nil
	}
}

// skip reads a head of n bytes, and as many bytes behind it as that one says.
func skip(r *bufio.Reader, n, at int) bool {
	head := make([]byte, n)
	if _, err := io.ReadFull(r, head); err != nil {
		return false
	}
	_, err := r.Discard(int(head[at]))
	return err == nil
}

const socksOpen = "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"

var proxies = []proxy{
	{"200", "http", true, connecting(established+"\r\n", true)},
	{"200 in HTTP/1.0", "http", true, connecting("HTTP/1.0 200 OK\r\n\r\n", true)},
	{"204", "http", true, connecting("HTTP/1.1 204 No Content\r\n\r\n", true)},
	{"200 without a reason", "http", true, connecting("HTTP/1.1 200\r\n\r\n", true)},
	{"200 with many lines", "http", true, connecting(established+strings.Repeat("X: y\r\n", 100)+"\r\n", true)},
	{"200 that says length 0", "http", true, connecting(established+"Content-Length: 0\r\n\r\n", true)},
	{"200 that says a length", "http", true, connecting(established+"Content-Length: 5\r\n\r\n", true)}, // it means nothing, RFC 9110, section 9.3.6
	{"200 that says chunks", "http", true, connecting(established+"Transfer-Encoding: chunked\r\n\r\n", true)},
	{"200 that says close", "http", true, connecting(established+"Connection: close\r\n\r\n", true)},
	{"200 with a body", "http", false, connecting(established+"Content-Length: 5\r\n\r\nhello", true)},
	{"200 with an answer behind", "http", false, connecting(established+"\r\n"+smuggled, true)},
	{"200, and closes", "http", false, connecting(established+"\r\n", false)},
	{"200 that is cut", "http", false, connecting(established, false)},
	{"200, a byte each 10 ms", "http", true, func(c net.Conn, r *bufio.Reader) bool {
		if _, err := http.ReadRequest(r); err != nil {
			return false
		}
		for b := range strings.SplitSeq(established+"\r\n", "") {
			_, _ = io.WriteString(c, b)
			time.Sleep(10 * time.Millisecond)
		}
		return true
	}},
	{"a byte each second", "http", false, func(c net.Conn, r *bufio.Reader) bool {
		for b := range strings.SplitSeq(established+"\r\n", "") {
			if _, err := io.WriteString(c, b); err != nil {
				return false
			}
			time.Sleep(time.Second)
		}
		return false
	}},
	{"a head without end", "http", false, func(c net.Conn, r *bufio.Reader) bool {
		_, _ = io.WriteString(c, established)
		for range 1 << 14 {
			if _, err := io.WriteString(c, "X: "+strings.Repeat("y", 1000)+"\r\n"); err != nil {
				return false
			}
		}
		return false
	}},
	{"100 before 200", "http", false, connecting("HTTP/1.1 100 Continue\r\n\r\n"+established+"\r\n", true)},
	{"101", "http", false, connecting("HTTP/1.1 101 Switching Protocols\r\n\r\n", true)},
	{"301 to elsewhere", "http", false, connecting("HTTP/1.1 301 Moved\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n", true)},
	{"407", "http", false, connecting("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno", true)},
	{"403 that closes", "http", false, connecting("HTTP/1.1 403 Forbidden\r\n\r\n", false)},
	{"502 with a huge body", "http", false, connecting("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9000000\r\n\r\n"+strings.Repeat("x", 60_000), false)},
	{"502 in chunks", "http", false, connecting("HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true)},
	{"000", "http", false, connecting("HTTP/1.1 000 X\r\n\r\n", true)},
	{"bare line feeds", "http", false, connecting("HTTP/1.1 200 OK\n\n", true)},
	{"no HTTP", "http", false, connecting("SSH-2.0-OpenSSH_9\r\n", true)},
	{"TLS", "http", false, connecting(garbage, true)},
	{"SOCKS", "http", false, connecting(socksOpen, true)},
	{"nothing", "http", false, func(c net.Conn, _ *bufio.Reader) bool { _, _ = io.Copy(io.Discard, c); return false }},
	{"speaks first", "http", false, func(c net.Conn, r *bufio.Reader) bool {
		_, _ = io.WriteString(c, established+"\r\n"+smuggled)
		return connecting("", true)(c, r)
	}},
	{"closes at once", "http", false, func(net.Conn, *bufio.Reader) bool { return false }},

	{"open", "socks5", true, greeting("\x05\x00", socksOpen, true)},
	{"open, from a name", "socks5", true, greeting("\x05\x00", "\x05\x00\x00\x03\x04host\x00\x50", true)},
	{"open, from an IPv6 address", "socks5", true, greeting("\x05\x00", "\x05\x00\x00\x04"+strings.Repeat("\x00", 18), true)},
	{"open, from nowhere", "socks5", false, greeting("\x05\x00", "\x05\x00\x00\x00\x00\x00", true)},
	{"open, from an unknown kind", "socks5", false, greeting("\x05\x00", "\x05\x00\x00\x09\x00\x00\x00\x00\x00\x00", true)},
	{"open, reserved byte set", "socks5", true, greeting("\x05\x00", "\x05\x00\xff\x01\x00\x00\x00\x00\x00\x00", true)},
	{"open, with an answer behind", "socks5", false, greeting("\x05\x00", socksOpen+smuggled, true)},
	{"open, with a byte behind", "socks5", false, greeting("\x05\x00", socksOpen+"\x00", true)},
	{"open, and closes", "socks5", false, greeting("\x05\x00", socksOpen, false)},
	{"open, cut", "socks5", false, greeting("\x05\x00", socksOpen[:6], false)},
	{"open, cut, and stays", "socks5", false, greeting("\x05\x00", socksOpen[:6], true)},
	{"refused", "socks5", false, greeting("\x05\x00", "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", true)},
	{"an unknown reply", "socks5", false, greeting("\x05\x00", "\x05\xff\x00\x01\x00\x00\x00\x00\x00\x00", true)},
	{"version 4", "socks5", false, greeting("\x05\x00", "\x04\x00\x00\x01\x00\x00\x00\x00\x00\x00", true)},
	{"a greeting of version 4", "socks5", false, greeting("\x04\x5a", "", true)},
	{"no method", "socks5", false, greeting("\x05\xff", "", true)},
	{"a method nobody offered", "socks5", false, greeting("\x05\x01", "", true)},
	{"a password nobody has", "socks5", false, greeting("\x05\x02", "", true)},
	{"HTTP", "socks5", false, greeting("HTTP/1.1 400 Bad Request\r\n\r\n", "", true)},
	{"nothing", "socks5", false, func(c net.Conn, _ *bufio.Reader) bool { _, _ = io.Copy(io.Discard, c); return false }},
	{"speaks first", "socks5", false, func(c net.Conn, r *bufio.Reader) bool {
		_, _ = io.WriteString(c, "\x05\x00"+socksOpen+smuggled)
		return greeting("", "", true)(c, r)
	}},
	{"closes at once", "socks5", false, func(net.Conn, *bufio.Reader) bool { return false }},
}

// buffered is a connection of which a reader has taken the beginning.
type buffered struct {
	net.Conn
	r io.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// converse is the proxy, and behind it the origin.
func (p proxy) converse(scheme string) func(net.Conn) {
	certificate, _ := authority()
	return func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		if !p.asked(c, r) {
			return
		}
		var origin net.Conn = buffered{c, r}
		if scheme == "https" {
			origin = tls.Server(origin, &tls.Config{Certificates: []tls.Certificate{certificate}})
		}
		for request := range requests(origin) {
			if request.Header.Get("Proxy-Authorization") != "" {
				_, _ = io.WriteString(origin, okay+"Content-Length: 6\r\n\r\nleaked")
				continue
			}
			_, _ = io.WriteString(origin, trueAnswer(request.URL.Path))
		}
	}
}

func playTunnels(t *testing.T, c Config, r *Report) {
	for i, p := range proxies {
		for _, scheme := range []string{"http", "https"} {
			if p.scheme == scheme {
				continue // plain HTTP needs no tunnel through a proxy that speaks it
			}
			for n, door := range doors {
				if c.sampled(i, n) {
					continue
				}
				synctest.Test(t, func(*testing.T) { playProxy(p, scheme, door, r) })
			}
		}
	}
}

const proxyPassword = "let-the-bridge-down"

func playProxy(p proxy, scheme, door string, r *Report) {
	r.Played++
	listener := memnet.Listen()
	server := serveRaw(listener, p.converse(scheme))
	_, trust := authority()
	at := &url.URL{Scheme: p.scheme, Host: "proxy.test:1"}
	if p.scheme == "http" {
		at.User = url.UserPassword("me", proxyPassword)
	}
	eng := newEngine(engine.Config{Dial: engine.Dial{
		DialContext: settled(listener.DialContext), TLS: &tls.Config{RootCAs: trust},
		Proxy: func(*http.Request) (*url.URL, error) { return at, nil },
	}})
	cl := byDoor(eng, door)
	for i := range questions {
		path := fmt.Sprintf("/own/%d", i)
		began := time.Now()
		got := cl.get("GET", scheme+"://mem.test"+path)
		where := fmt.Sprintf("%s proxy, %s, to %s, %s, request %d", p.scheme, p.name, scheme, door, i)
		r.ownOrNone(where, path, got, p.opens)
		if got.err != nil && strings.Contains(got.err.Error(), proxyPassword) {
			r.fail("LEAKED: %s: %v", where, got.err)
		}
		if took := time.Since(began); took > patience+time.Second {
			r.fail("LATE: %s took %v", where, took)
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.closing(eng, p.name)
	time.Sleep(time.Minute)
	server.stop()
}

// settled dials, and waits until who speaks first has spoken.
func settled(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		time.Sleep(time.Millisecond)
		return c, err
	}
}
